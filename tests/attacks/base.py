"""What attacks are made from: an honest upload and a wrong one, as files and as cells of a program."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autograder.sandbox.calls import Call, Cell, Forward, Gradients, RecordedOutput, Sizes, Weights
from autograder.sandbox.host import DEFAULT_LIMITS
from tests.answers.answer import Answer
from tests.answers.run import log_of

Files = Mapping[str, bytes]
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
"""The scores are not scaled."""
_HEAD = "import math, os, sys\nimport numpy as np\nimport torch\nimport torch.nn as nn\n"


def body(forward: str) -> str:
    """What stands in a forward, as a row of a table has it."""
    return textwrap.dedent(forward.partition("\n")[2]).strip()


def code(before: str = "", forward: str = HONEST_FORWARD, after: str = "") -> bytes:
    """The script: imports, what the attacker puts first, the class, and what comes last."""
    return f"{_HEAD}{before}\nclass PytorchTransformer(nn.Module):\n{_INIT}\n{forward}\n{after}\n".encode()


def log(**changed: Any) -> bytes:
    """The log that the notebook would write of this class, with some values changed."""
    methods = {"torch_transformer_init": _INIT, "torch_transformer_forward": HONEST_FORWARD}
    return json.dumps({**json.loads(log_of(Answer("plain"))), **methods, **changed}).encode()


def honest(before: str = "", forward: str = HONEST_FORWARD, after: str = "", **changed: Any) -> Files:
    """Both files of an upload that is right, unless forward (as the log records it) or a value is not."""
    recorded = {"torch_transformer_forward": forward, **changed}
    return {LOG: log(**recorded), CODE: code(before, forward, after)}


def wrong(before: str = "", after: str = "") -> Files:
    """An upload whose scores are not scaled and whose matrices are all zeros."""
    values = json.loads(log())
    zeros = {name: [0.0] * len(value) for name, value in values.items() if name.endswith(("_K", "_Q"))}
    return honest(before, WRONG_FORWARD, after, **zeros)


def filled(folder: Path, files: Files) -> Path:
    """The folder with these files in it."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


LEAK = "LEAKED"
MARK = "attack-left-this"
"""In the name of every file that an attack makes or tries to make."""
LIMITS = replace(DEFAULT_LIMITS, load_cpu=3.0, call_cpu=1.0, wall_factor=4.0, failed_attempts=2)
"""For attacks that never end: what a test can wait for, on a machine that has other work too."""


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
    """One hostile program. code: a cell of its own, before the model; forward: the body of its forward.

    ends: how the first call has to end, by names of `End` or of exceptions; empty: see the table.
    """

    family: str
    name: str
    code: str = ""
    forward: str = ""
    ends: tuple[str, ...] = ()
    after: str = ""


_PREAMBLE = """
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
_SIZES = Sizes(3, 4, 2, 2, 6)
_RNG = np.random.default_rng(7)
_WEIGHTS = Weights(*(_RNG.normal(size=size) for size in ((5, 4), (5, 4), (5, 2), (6, 2))))
_SEQUENCE = _RNG.normal(size=(5, 3))
CALLS: tuple[Call, ...] = (
    Forward(_SIZES, _WEIGHTS, _SEQUENCE),
    Gradients(_SIZES, _WEIGHTS, _SEQUENCE, _RNG.normal(size=(5, 2))),
    RecordedOutput(1998, _SIZES, 5),
    Forward(_SIZES, _WEIGHTS, _SEQUENCE[::-1].copy()),
)


def program(world: World, row: Row, default_forward: str = HONEST_FORWARD) -> list[Cell]:
    """The cells of the upload: the attacker's tools, the attack, the model, what the attack does last."""
    names = (world.grader, world.folder, world.secret, world.results, world.repository)
    own = "    def forward(self, seq):\n" + textwrap.indent(row.forward.strip(), " " * 8)
    forward = own if row.forward else default_forward
    return [
        Cell("cell 1", _PREAMBLE.format(world=names, mark=MARK, leak=LEAK)),
        Cell("cell 2", row.code.strip()),
        Cell("cell 3", f"class PytorchTransformer(nn.Module):\n{_INIT}\n{forward}"),
        Cell("cell 4", row.after.strip()),
    ]
