"""An honest upload and a wrong one, as files by name: what the hostile uploads are made from."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import numpy as np
import torch

from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, drawn_sequence

Files = dict[str, bytes]
LOG, CODE = "submission_log.json", "homework.py"

_INIT = """\
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.qk_dim = qk_dim
        self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim else None
        total = input_dim + (pos_dim or 0)
        self.Km = nn.Linear(total, qk_dim, bias=False)
        self.Qm = nn.Linear(total, qk_dim, bias=False)
        self.Vm = nn.Linear(total, v_dim, bias=False)
"""
HONEST_FORWARD = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:len(seq)]], dim=-1)
        scores = self.Qm(seq) @ self.Km(seq).T / math.sqrt(self.qk_dim)
        return torch.softmax(scores, dim=-1) @ self.Vm(seq)
"""
WRONG_FORWARD = HONEST_FORWARD.replace(" / math.sqrt(self.qk_dim)", "")
LOOPED_FORWARD = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:len(seq)]], dim=-1)
        keys, values = self.Km(seq), self.Vm(seq)
        rows = []
        for row in seq:
            scores = self.Qm(row) @ keys.T / math.sqrt(self.qk_dim)
            rows.append(torch.softmax(scores, dim=-1) @ values)
        return torch.stack(rows)
"""


def code(before: str = "", forward: str = HONEST_FORWARD, after: str = "") -> bytes:
    """The script: imports, what the attacker puts first, the class, and what comes last."""
    head = "import math, os, sys\nimport numpy as np\nimport torch\nimport torch.nn as nn\n"
    return f"{head}{before}\nclass PytorchTransformer(nn.Module):\n{_INIT}\n{forward}\n{after}\n".encode()


def log(**changed: Any) -> bytes:
    """The log that the notebook would write, with some values changed."""
    return json.dumps({**_honest_log(), **changed}).encode()


def honest(before: str = "", forward: str = HONEST_FORWARD, after: str = "", **changed: Any) -> Files:
    """Both files of an upload that is right, unless forward (as the log records it) or a value is not."""
    recorded = {"torch_transformer_forward": forward, **changed}
    return {LOG: log(**recorded), CODE: code(before, forward, after)}


def wrong(before: str = "", after: str = "") -> Files:
    """An upload whose scores are not scaled and whose matrices are all zeros."""
    zeros = {name: [0.0] * len(value) for name, value in _honest_log().items() if name.endswith(("_K", "_Q"))}
    return honest(before, WRONG_FORWARD, after, **zeros)


@cache
def _honest_log() -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(code(), namespace)
    random.seed(1998)
    np.random.seed(1998)
    torch.manual_seed(1998)
    with torch.no_grad():
        output = namespace["PytorchTransformer"](7, 4, 3, 2, 9)(torch.randn(8, 7))
    values: dict[str, Any] = {
        "time": 1700000000.5,
        "torch_transformer_shape": list(output.shape),
        "torch_transformer_value": output.flatten()[2:7].tolist(),
        "torch_transformer_init": _INIT,
        "torch_transformer_forward": HONEST_FORWARD,
    }
    content, position = (next(iter(SOLUTIONS[task.name].values())) for task in (IDENTITY, COPY_FIRST))
    for prefix, transformer, task, seed in (
        ("attention_by_content", content, IDENTITY, 1997),
        ("attention_by_position", position, COPY_FIRST, 2017),
    ):
        sequence = drawn_sequence(task, seed).inputs[0]
        values[prefix] = transformer.forward(sequence).output.ravel().tolist()
        for letter in "QKV":
            values[f"{prefix}_{letter}"] = getattr(transformer, f"{letter}m").ravel().tolist()
    values["attention_by_position_pos"] = position.pos.ravel().tolist()
    return values
