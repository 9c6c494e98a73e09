"""The shape of a row of the attack tables, and the program that carries it into the jail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from autograder.sandbox.calls import (
    Call,
    Cell,
    Forward,
    Gradients,
    RecordedOutput,
    Sizes,
    Weights,
)
from autograder.sandbox.host import DEFAULT_LIMITS

LEAK: Final = "LEAKED"
MARK: Final = "attack-left-this"
"""In the name of every file that an attack makes or tries to make."""


@dataclass(frozen=True)
class World:
    """What the attacker is assumed to know: where everything lies, and who holds what."""

    grader: int
    folder: str
    secret: str
    results: str
    repository: str


@dataclass(frozen=True)
class Row:
    """One hostile upload. code: a cell of its own, before the model; forward: the body of its forward.

    ends: how the first call has to end, by names of `End` or of exceptions; empty: see the table.
    """

    family: str
    name: str
    code: str = ""
    forward: str = ""
    ends: tuple[str, ...] = ()
    after: str = ""


HONEST_FORWARD: Final = """
if self.pos is not None:
    seq = torch.cat([seq, self.pos.weight[:len(seq)]], dim=-1)
scores = self.Qm(seq) @ self.Km(seq).T / math.sqrt(self.qk_dim)
return torch.softmax(scores, dim=-1) @ self.Vm(seq)
"""
WRONG_FORWARD: Final = HONEST_FORWARD.replace(" / math.sqrt(self.qk_dim)", "")
"""The scores are not scaled."""

_PREAMBLE: Final = """
import ctypes, gc, io, json, math, mmap, os, random, resource, signal, socket, struct, sys, threading, time
import numpy as np
import torch
import torch.nn as nn
GRADER, FOLDER, SECRET, RESULTS, REPOSITORY = {world}
MARK = {mark!r}
libc = ctypes.CDLL(None, use_errno=True)
def leak(*what):
    raise RuntimeError({leak!r} + repr(what)[:300])
def call(number, *arguments):
    result = libc.syscall(number, *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""
_MODEL: Final = """
class PytorchTransformer(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.qk_dim = qk_dim
        self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim else None
        total = input_dim + (pos_dim or 0)
        self.Km = nn.Linear(total, qk_dim, bias=False)
        self.Qm = nn.Linear(total, qk_dim, bias=False)
        self.Vm = nn.Linear(total, v_dim, bias=False)

    def forward(self, seq):
{forward}
"""

SIZES: Final = Sizes(3, 4, 2, 2, 6)
_RNG: Final = np.random.default_rng(7)
_WEIGHTS: Final = Weights(
    _RNG.normal(size=(5, 4)), _RNG.normal(size=(5, 4)), _RNG.normal(size=(5, 2)), _RNG.normal(size=(6, 2))
)
_SEQUENCE: Final = _RNG.normal(size=(5, 3))
CALLS: Final[tuple[Call, ...]] = (
    Forward(SIZES, _WEIGHTS, _SEQUENCE),
    Gradients(SIZES, _WEIGHTS, _SEQUENCE, _RNG.normal(size=(5, 2))),
    RecordedOutput(1998, SIZES, 5),
    Forward(SIZES, _WEIGHTS, _SEQUENCE[::-1].copy()),
)

LIMITS: Final = replace(DEFAULT_LIMITS, load_cpu=1.0, call_cpu=1.0, wall_factor=2.0, failed_attempts=2)
"""For attacks that never end: what a test can wait for."""


def program(world: World, row: Row, default_forward: str = HONEST_FORWARD) -> list[Cell]:
    """The cells of the upload: the attacker's tools, the attack, the model, what the attack does last."""
    names = (world.grader, world.folder, world.secret, world.results, world.repository)
    lines = (row.forward or default_forward).strip().splitlines()
    return [
        Cell("cell 1", _PREAMBLE.format(world=names, mark=MARK, leak=LEAK)),
        Cell("cell 2", row.code.strip()),
        Cell("cell 3", _MODEL.format(forward="\n".join(f"        {line}" for line in lines))),
        Cell("cell 4", row.after.strip()),
    ]
