"""Right models whose code reaches beyond the two gaps: helpers, base classes, patches, whole rewrites."""

from __future__ import annotations

from dataclasses import replace

from tests.answers.answer import PLAIN_START, Answer, Draft
from tests.answers.notebook import MODEL

NUMPY_CLASS, _, _ = MODEL.partition("class PytorchTransformer")
REST = """
class PytorchTransformer(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super(PytorchTransformer, self).__init__()
        self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
        d = input_dim if pos_dim is None else input_dim + pos_dim
        self.Km = nn.Linear(d, qk_dim, bias=False)
        self.Qm = nn.Linear(d, qk_dim, bias=False)
        self.Vm = nn.Linear(d, v_dim, bias=False)

    def forward(self, seq: torch.Tensor, return_weights: bool = False) -> torch.Tensor:
        n = seq.shape[0]
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:n]], dim=-1)
        q, k, v = self.Qm(seq), self.Km(seq), self.Vm(seq)
        w = torch.softmax(q @ k.T / k.shape[-1] ** 0.5, dim=-1)
        return (w @ v, w) if return_weights else w @ v


test()
"""
WITH_METHODS = """
class PytorchTransformer(nn.Module):
    SCALED: bool = True

    def __init__(self, input_dim: int, qk_dim: int, v_dim: int, pos_dim: int | None = None, max_seq_len=10):
        super().__init__()
        self.pos = self._embedding(max_seq_len, pos_dim)
        total = input_dim + (pos_dim or 0)
        self.Qm, self.Km = (nn.Linear(total, qk_dim, bias=False) for _ in range(2))
        self.Vm = nn.Linear(total, v_dim, bias=False)

    @staticmethod
    def _embedding(rows, width):
        return nn.Embedding(rows, width) if width is not None else None

    @property
    def scale(self) -> float:
        return math.sqrt(self.Km.out_features)

    def _with_positions(self, seq):
        return seq if self.pos is None else torch.cat([seq, self.pos(torch.arange(len(seq)))], -1)

    def attention(self, x):
        scores = self.Qm(x) @ self.Km(x).T / self.scale
        return scores.softmax(dim=-1)

    def forward(self, seq):
        x = self._with_positions(seq)
        return self.attention(x) @ self.Vm(x)


test()
"""
WITH_BASE = """
class Projections(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim is not None else None
        total = input_dim + (pos_dim or 0)
        self.Km = nn.Linear(total, qk_dim, bias=False)
        self.Qm = nn.Linear(total, qk_dim, bias=False)
        self.Vm = nn.Linear(total, v_dim, bias=False)


class Attention(nn.Module):
    def forward(self, q, k, v):
        return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.size(-1)), dim=-1) @ v


class PytorchTransformer(Projections):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.attend = Attention()

    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[: len(seq)]], dim=1)
        return self.attend(self.Qm(seq), self.Km(seq), self.Vm(seq))


test()
"""
PATCHED = """
def forward(self, seq):
    seq_len = len(seq)
    if self.pos is not None:
        seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=-1)
    Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
    return torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V


PytorchTransformer.forward = forward
test()
"""


def _patched_later(drafts: list[Draft]) -> list[Draft]:
    at = next(i for i, draft in enumerate(drafts) if draft.name == "model") + 1
    return [*drafts[:at], Draft("patch", PATCHED), *drafts[at:]]


def _first_try_before(drafts: list[Draft]) -> list[Draft]:
    """A first class that was wrong, run, and left standing above the second."""
    at = next(i for i, draft in enumerate(drafts) if draft.name == "model")
    first = drafts[at].source.replace("/ math.sqrt(self.d_k)", "").replace("self.Vm(seq)", "self.Vm(seq) * 2")
    return [*drafts[:at], Draft("first try", first), *drafts[at:]]


def _split(drafts: list[Draft]) -> list[Draft]:
    """The model's cell cut in three: NumPy class, PyTorch class, test."""
    at = next(i for i, draft in enumerate(drafts) if draft.name == "model")
    head, _, tail = drafts[at].source.partition("class PytorchTransformer")
    body, _, _ = tail.rpartition("test()")
    parts = [head, "class PytorchTransformer" + body, "test()\n"]
    return [
        *drafts[:at],
        *(replace(drafts[at], name=f"model {i}", source=s) for i, s in enumerate(parts)),
        *drafts[at + 1 :],
    ]


def _no_more_gradients(drafts: list[Draft]) -> list[Draft]:
    return [*drafts, Draft("end", "torch.set_grad_enabled(False)")]


RIGHT_CLASSES = (
    Answer("whole rewrite", model=NUMPY_CLASS + REST),
    Answer("helper methods", model=NUMPY_CLASS + WITH_METHODS, needs_notebook=True),
    Answer("base class and attention module", model=NUMPY_CLASS + WITH_BASE, needs_notebook=True),
    Answer("forward patched in later", forward="out = seq\nseq_len = 0", arrange=_patched_later),
    Answer("class defined twice", arrange=_first_try_before),
    Answer("model cell split", arrange=_split),
    Answer(
        "helper function",
        before_model="""
def attend(Q, K, V):
    \"\"\"Attention of all queries at once.\"\"\"
    return torch.softmax(Q @ K.T / math.sqrt(K.shape[1]), dim=-1) @ V
""",
        forward=PLAIN_START + "out = attend(Q, K, V)",
        needs_notebook=True,
    ),
    Answer(
        "helper lambdas and a constant",
        before_model="HALF = 0.5\n"
        "soft = lambda s: torch.softmax(s, dim=-1)\n"
        "scaled = lambda q, k: q @ k.T / k.size(1) ** HALF",
        forward=PLAIN_START + "out = soft(scaled(Q, K)) @ V",
        needs_notebook=True,
    ),
    Answer(
        "names imported",
        before_model="from math import sqrt\n"
        "from torch import softmax as sm, Tensor\n"
        "from torch.nn import functional as tnf",
        forward=PLAIN_START + "scores: Tensor = Q @ K.T / sqrt(self.d_k)\nout = sm(scores, dim=-1) @ V",
        needs_notebook=True,
    ),
    Answer(
        "a name that the hints take over",
        before_model="from torch.nn.functional import softmax",
        forward=PLAIN_START + "out = softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V",
        needs_notebook=True,
    ),
    Answer(
        "a helper that the hints take over",
        before_model="def softmax(x):\n    e = torch.exp(x)\n    return e / e.sum(-1, keepdim=True)",
        forward=PLAIN_START + "out = softmax(Q @ K.T / math.sqrt(self.d_k)) @ V",
        needs_notebook=True,
    ),
    Answer("gradients switched off at the end", arrange=_no_more_gradients),
)
