"""Student models with planted mistakes, as PyTorch source, and what they give on the graded cases.

One fragment per variant of every choice, written from what students write, not from the formulas of
`feedback.mistakes`: the two must agree on their own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from textwrap import indent

import numpy as np
import torch
from torch import nn

from autograder import settings
from autograder.assignment import TEST_SEED
from autograder.feedback.diagnose import CHOICES, VARIANTS
from autograder.feedback.messages import Run
from autograder.feedback.mistakes import Choice
from autograder.sandbox.calls import Answer, Forward, Raised, Sizes, Weights
from reference.cases import (
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    drawn_sizes,
    equivalence_cases,
    random_cases,
)
from reference.transformer import FloatArray

POSITIONS = {
    "right": "x = torch.cat([seq, self.pos.weight[:n]], dim=1)",
    "prepended": "x = torch.cat([self.pos(torch.arange(n)), seq], dim=1)",
    "ignored": "x = torch.cat([seq, torch.zeros(n, self.pos.embedding_dim)], dim=1)",
    "added": (
        "p = self.pos.weight[:n]\nx = torch.zeros(n, seq.shape[1] + p.shape[1])\n"
        "x[:, :seq.shape[1]] += seq\nx[:, :p.shape[1]] += p"
    ),
    "added and appended": "p = self.pos.weight[:n]\nx = torch.cat([seq + same(p, seq), p], dim=1)",
    "input and sum": "p = self.pos.weight[:n]\nx = torch.cat([seq, seq + same(p, seq)], dim=1)",
    "shifted": "x = torch.cat([seq, self.pos(torch.arange(1, n + 1))], dim=1)",
    "last rows": "x = torch.cat([seq, self.pos.weight[-n:]], dim=1)",
    "reversed": "x = torch.cat([seq, self.pos.weight[:n].flip(0)], dim=1)",
    "reversed table": "x = torch.cat([seq, self.pos.weight.flip(0)[:n]], dim=1)",
    "first row": "x = torch.cat([seq, self.pos(torch.zeros(n, dtype=torch.long))], dim=1)",
    "row seq_len - 1": "x = torch.cat([seq, self.pos(torch.tensor(n - 1)).expand(n, -1)], dim=1)",
    "row seq_len": "x = torch.cat([seq, self.pos(torch.tensor(n)).expand(n, -1)], dim=1)",
    "beyond": "x = torch.cat([seq, self.pos(torch.arange(n, 2 * n))], dim=1)",
    "padded, cropped": (
        "seq = torch.cat([seq, torch.zeros(len(self.pos.weight) - n, seq.shape[1])])\n"
        "x = torch.cat([seq, self.pos.weight], dim=1)"
    ),
    "padded": (
        "seq = torch.cat([seq, torch.zeros(len(self.pos.weight) - n, seq.shape[1])])\n"
        "n = len(seq)\nx = torch.cat([seq, self.pos.weight], dim=1)"
    ),
    "sinusoidal": (
        "d = self.pos.embedding_dim\nt = torch.arange(n).unsqueeze(1)\np = torch.zeros(n, d)\n"
        "p[:, 0::2] = torch.sin(t / 10000 ** (torch.arange(0, d, 2) / d))\n"
        "p[:, 1::2] = torch.cos(t / 10000 ** (torch.arange(0, d, 2) / d))[:, :d // 2]\n"
        "x = torch.cat([seq, p], dim=1)"
    ),
}
_CALL = {"K": "K = self.Km(x)", "Q": "Q = self.Qm(x)", "V": "V = self.Vm(x)"}
_TRANSPOSED = {name: f"{name} = x @ self.{name}m.weight" for name in "KQV"}
_RESHAPED = {name: f"{name} = x @ self.{name}m.weight.reshape(x.shape[1], -1)" for name in "KQV"}
WEIGHTS = {
    "right": {},
    "transposed KQV": _TRANSPOSED,
    "transposed KQ": {name: _TRANSPOSED[name] for name in "KQ"},
    "transposed V": {"V": _TRANSPOSED["V"]},
    "transposed K": {"K": _TRANSPOSED["K"]},
    "transposed Q": {"Q": _TRANSPOSED["Q"]},
    "reshaped KQV": _RESHAPED,
}
SCALE = {
    "right": "/ math.sqrt(self.Qm.out_features)",
    "none": "",
    "qk_dim": "/ self.Qm.out_features",
    "sqrt v_dim": "/ self.Vm.out_features ** 0.5",
    "sqrt total_dim": "/ math.sqrt(self.Qm.in_features)",
    "sqrt input_dim": "/ math.sqrt(seq.shape[-1])",
    "sqrt seq_len": "/ math.sqrt(scores.shape[0])",
    "multiplied": "* math.sqrt(self.Qm.out_features)",
    "after": "",
    "both": "/ math.sqrt(self.Qm.out_features)",
    "v_dim": "/ self.Vm.out_features",
    "total_dim": "/ self.Qm.in_features",
    "input_dim": "/ seq.shape[-1]",
    "seq_len": "/ scores.shape[0]",
    "sqrt max_seq_len": "/ math.sqrt(self.max_seq_len)",
    "multiplied by qk_dim": "* self.Qm.out_features",
}
SOFTMAX = {
    "right": "A = torch.softmax(scores, dim=-1)",
    "queries": "A = torch.softmax(scores, dim=0)",
    "all": "A = torch.softmax(scores.flatten(), dim=0).view_as(scores)",
    "none": "A = scores",
    "exp": "A = scores.exp()",
    "log": "A = scores.log_softmax(dim=-1)",
    "misaligned": "A = torch.exp(scores)\nA = A / A.sum(dim=1)",
    "linear": "A = scores / scores.sum(dim=1, keepdim=True)",
    "twice": "A = nn.functional.softmax(torch.softmax(scores, dim=1), dim=1)",
    "of output": "A = scores",
    "sigmoid": "A = torch.sigmoid(scores)",
    "negated": "A = nn.Softmin(dim=-1)(scores)",
    "argmax": "A = nn.functional.one_hot(scores.argmax(dim=-1), scores.shape[-1]).float()",
}
MASK_BEFORE = {
    "causal": "scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float('-inf'))",
    "causal, zeros": "scores = torch.tril(scores)",
    "only later": "scores = scores.masked_fill(torch.ones_like(scores).tril(-1) == 1, float('-inf'))",
    "not itself": "scores = scores.fill_diagonal_(float('-inf'))",
}
VALUES = {"right": "V", "x": "x", "seq": "seq", "K": "K", "Q": "Q"}
OUTPUT = {
    "right": "",
    "transposed": "out = out.T",
    "flattened": "out = out.flatten()",
    "flattened by column": "out = out.t().reshape(-1)",
    "reshaped": "out = out.reshape(out.shape[1], out.shape[0])",
    "squeezed": "out = out.squeeze()",
    "batched": "out = out.unsqueeze(0)",
    "sum": "out = out.sum(dim=0)",
    "mean": "out = out.mean(dim=0)",
    "first": "out = out[0]",
    "last": "out = out[-1]",
}


def source(combination: tuple[int, ...]) -> str:
    """The body of forward."""
    keys = {choice: VARIANTS[choice][combination[choice.value]][0] for choice in CHOICES}
    left, right, value = "QKV" if keys[Choice.ROLES] == "right" else keys[Choice.ROLES]
    scale, mask = keys[Choice.SCALE], keys[Choice.MASK]
    values = value if keys[Choice.VALUES] == "right" else VALUES[keys[Choice.VALUES]]
    residual = keys[Choice.RESIDUAL]
    lines = [
        "n = len(seq)",
        "if self.pos is None:",
        "    x = seq",
        "else:",
        indent(POSITIONS[keys[Choice.POSITIONS]], "    "),
        *(_CALL | WEIGHTS[keys[Choice.WEIGHTS]]).values(),
        f"scores = {left} @ {right}.T",
        f"scores = scores {SCALE[scale]}",
        MASK_BEFORE.get(mask, ""),
        SOFTMAX[keys[Choice.SOFTMAX]],
        "A = A.tril()" if mask == "causal, after" else "",
        "A = A / math.sqrt(self.Qm.out_features)" if scale in ("after", "both") else "",
        f"out = A @ {values}",
        "out = torch.softmax(out, dim=-1)" if keys[Choice.SOFTMAX] == "of output" else "",
        "" if residual == "right" else f"out = out + same({residual}, out)",
        "out = out[:n]",
        OUTPUT[keys[Choice.OUTPUT]],
        "return out",
    ]
    return "\n".join(line for line in lines if line)


def same(part: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """No broadcasting: a student's sum of other shapes is another mistake."""
    if part.shape != like.shape:
        raise ValueError("the shapes differ")
    return part


class Layers(nn.Module):
    """What the notebook's __init__ makes; forward comes from a fragment."""

    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.max_seq_len = max_seq_len
        self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
        total_dim = input_dim + (pos_dim or 0)
        self.Km = nn.Linear(total_dim, qk_dim, bias=False)
        self.Qm = nn.Linear(total_dim, qk_dim, bias=False)
        self.Vm = nn.Linear(total_dim, v_dim, bias=False)


@cache
def loaded(number: int) -> tuple[Layers, torch.Tensor]:
    """The layers with the weights of a graded case, and its sequence."""
    case = graded_cases()[number].call
    s, w = case.sizes, case.weights
    layers = Layers(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len)
    state = {f"{name}m.weight": torch.FloatTensor(getattr(w, f"{name}m").T) for name in "KQV"}
    if w.pos is not None:
        state["pos.weight"] = torch.FloatTensor(w.pos)
    layers.load_state_dict(state)
    return layers, torch.FloatTensor(case.seq.copy())


@cache
def graded_cases() -> tuple[Run, ...]:
    """The cases of checks 2.2, 2.3 and 2.4, with the reference's outputs."""
    drawn = (
        *equivalence_cases(TEST_SEED),
        *random_cases(EXTRA_WITHOUT_POSITIONS, settings.EXTRA_CASES_SEED),
        *random_cases(EXTRA_WITH_POSITIONS, settings.EXTRA_CASES_SEED),
        *random_cases(drawn_sizes(settings.OTHER_SIZES_SEED), settings.OTHER_SIZES_SEED),
    )
    return tuple(
        Run(
            Forward(
                Sizes(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len),
                Weights(*(None if matrix is None else matrix.copy() for matrix in (t.Km, t.Qm, t.Vm, t.pos))),
                case.seq,
            ),
            Answer({"output": case.output}),
            case.output,
        )
        for case in drawn
        for s, t in ((case.sizes, case.transformer),)
    )


def giving(run: Run, output: FloatArray | None) -> Run:
    """The run of a model that gives this output; None: that raises."""
    outcome = Raised("RuntimeError", "") if output is None else Answer({"output": output})
    return replace(run, outcome=outcome)


@cache
def outputs_of(combination: tuple[int, ...]) -> tuple[Run, ...]:
    """What the model with these mistakes gives on every case."""
    scope = {"torch": torch, "nn": nn, "math": math, "same": same}
    exec("def forward(self, seq):\n" + indent(source(combination), "    "), scope)

    def output(number: int) -> FloatArray | None:
        module, seq = loaded(number)
        try:
            with torch.no_grad():
                return np.array(scope["forward"](module, seq).numpy())
        except (RuntimeError, IndexError, ValueError):
            return None

    return tuple(giving(case, output(i)) for i, case in enumerate(graded_cases()))
