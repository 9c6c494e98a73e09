"""Small student models, run as the sandbox's child runs them, and what is said of them."""

from __future__ import annotations

import numpy as np

from autograder.feedback.translate import Explanation, explain
from autograder.sandbox.calls import (
    Answer,
    Call,
    Forward,
    Outcome,
    Place,
    Raised,
    Refused,
    Sizes,
    Weights,
)
from autograder.sandbox.worker import errors, model

SIZES = Sizes(3, 2, 6, 5, 9)
PLAIN = Sizes(3, 2, 6, None, 9)
LABEL = "code cell 3"


def forward_call(sizes: Sizes = SIZES, seq_len: int = 4) -> Forward:
    rng = np.random.RandomState(0)
    total, pos_dim = sizes.total_dim, sizes.pos_dim
    weights = Weights(
        rng.randn(total, sizes.qk_dim),
        rng.randn(total, sizes.qk_dim),
        rng.randn(total, sizes.v_dim),
        None if pos_dim is None else rng.randn(sizes.max_seq_len, pos_dim),
    )
    return Forward(sizes, weights, rng.randn(seq_len, sizes.input_dim))


INIT = """\
super().__init__()
self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
total = input_dim + (pos_dim or 0)
self.Km = nn.Linear(total, qk_dim, bias=False)
self.Qm = nn.Linear(total, qk_dim, bias=False)
self.Vm = nn.Linear(total, v_dim, bias=False)
self.d_k = qk_dim
"""
FORWARD = """\
seq_len = seq.shape[0]
if self.pos is not None:
    seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=-1)
Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V
return out
"""


ASSERT = "assert out.shape[0] == seq_len, f'Output seq_len {out.shape[0]} != input seq_len {seq_len}'\n"


def source(init: str = INIT, forward: str = FORWARD, signature: str = "self, seq") -> str:
    return "\n".join(
        [
            "import math, sys\nimport numpy as np\nimport torch",
            "from torch import nn\nimport torch.nn.functional as F",
            "class PytorchTransformer(nn.Module):",
            "    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):",
            *(f"        {line}" for line in init.splitlines()),
            f"    def forward({signature}):",
            *(f"        {line}" for line in forward.splitlines()),
        ]
    )


def outcome_of(code: str, call: Call, label: str = LABEL) -> Outcome:
    """As the sandbox's child has it, with the lines that the host fills in."""
    scope: dict[str, object] = {}
    try:
        exec(compile(code, label, "exec", dont_inherit=True), scope)
        return model.answer(scope, call)
    except model.Refuse as refusal:
        return Refused(refusal.reason, refusal.detail)
    except BaseException as error:
        ended = errors.out_of_memory(error)
        if ended is not None:
            return ended
        raised = errors.raised(error, {label: 0}, 4096)
        lines = code.splitlines()
        trace = tuple(Place(p.label, p.line, lines[p.line - 1].strip()) for p in raised.trace)
        return Raised(raised.type_name, raised.message, trace)


def explained(code: str, call: Call | None = None, label: str = LABEL) -> Explanation:
    call = call or forward_call()
    outcome = outcome_of(code, call, label)
    assert not isinstance(outcome, Answer), "this code was to fail"
    return explain(outcome, call)


def of_forward(old: str, new: str, call: Call | None = None) -> Explanation:
    assert old in FORWARD
    return explained(source(forward=FORWARD.replace(old, new)), call)


def of_init(old: str, new: str, call: Call | None = None) -> Explanation:
    assert old in INIT
    return explained(source(init=INIT.replace(old, new)), call)
