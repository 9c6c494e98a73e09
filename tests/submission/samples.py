"""A small upload that is right, for tests to bend: the log as a dict, the notebook and the class as text."""

from __future__ import annotations

import json
from typing import Any

INIT = """\
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        total = input_dim + (pos_dim or 0)
        self.Km = nn.Linear(total, qk_dim, bias=False)
        self.Qm = nn.Linear(total, qk_dim, bias=False)
        self.Vm = nn.Linear(total, v_dim, bias=False)
        self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim else None
"""
FORWARD = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[: len(seq)]], dim=1)
        scores = self.Qm(seq) @ self.Km(seq).T / self.Km.out_features**0.5
        return F.softmax(scores, dim=-1) @ self.Vm(seq)
"""
IMPORTS = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
CLASS = f"class PytorchTransformer(nn.Module):\n{INIT}\n{FORWARD}"


def log_values() -> dict[str, Any]:
    identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    return {
        "time": 1700000000.5,
        "torch_transformer_shape": [8, 3],
        "torch_transformer_value": [0.1, -0.2, 0.3, -0.4, 0.5],
        "torch_transformer_init": INIT,
        "torch_transformer_forward": FORWARD,
        "attention_by_content": identity,
        "attention_by_content_Q": [30 * number for number in identity],
        "attention_by_content_K": identity,
        "attention_by_content_V": identity,
        "attention_by_position": identity,
        "attention_by_position_pos": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
        "attention_by_position_Q": [0.0, 0.0, 0.0, 9.0, 0.0],
        "attention_by_position_K": [0.0, 0.0, 0.0, 0.0, 9.0],
        "attention_by_position_V": [*identity, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    }


def log_bytes(**changed: Any) -> bytes:
    """The log with some values changed; None takes a key out."""
    values = {**log_values(), **changed}
    return json.dumps({key: value for key, value in values.items() if value is not None}).encode()


def notebook_bytes(*sources: str, language: str = "python", **top: Any) -> bytes:
    """A notebook with these code cells, each below a text cell."""
    cells: list[dict[str, Any]] = []
    for source in sources:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": ["# A title"]})
        cells.append(
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": source.splitlines(keepends=True),
            }
        )
    kernel = {"kernelspec": {"display_name": "x", "language": language, "name": "x"}}
    value = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells, **top}
    return json.dumps(value).encode()
