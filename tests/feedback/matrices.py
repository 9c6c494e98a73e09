"""Hand-designed matrices with one planted fault each, made of the reference's own solutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, UNIQUE, SequenceTask
from reference.transformer import NumpyTransformer
from tests.answers.right_matrices import DESIGNS

CONTENT = SOLUTIONS[IDENTITY.name]
POSITION = SOLUTIONS[COPY_FIRST.name]
RAMP = DESIGNS[COPY_FIRST.name]["a ramp of integers"]
SIGNS = SOLUTIONS[UNIQUE.name]
I3 = np.eye(3)


def _own_place() -> NumpyTransformer:
    places = np.concatenate([np.zeros((3, 4)), np.eye(4)])
    return NumpyTransformer(60 * places, places, POSITION.Vm, np.eye(4))


def _keys_vary() -> NumpyTransformer:
    return replace(POSITION, Km=POSITION.Km + np.array([[30, 0, 0, 0, 0, 0, 0]]).T)


def _queries_vary() -> NumpyTransformer:
    return replace(POSITION, Qm=POSITION.Qm * np.array([[1, 1, -1, 1, 1, 1, 1]]).T)


def _without(matrix: np.ndarray, *rows: int) -> np.ndarray:
    changed = matrix.copy()
    changed[list(rows)] = 0
    return changed


def _last_row_flat() -> NumpyTransformer:
    """The fourth place has the first one's key, and only sequences of length 4 have a fourth place."""
    return replace(POSITION, pos=np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1.0, 0, 0, 1]]))


def _deaf_to_copies_of_c() -> NumpyTransformer:
    """C matches no C, so a C that repeats looks unique."""
    return replace(SIGNS, Km=_without(SIGNS.Km, 2))


PLANTED: tuple[tuple[str, SequenceTask, NumpyTransformer], ...] = (
    ("not finite", IDENTITY, replace(CONTENT, Km=np.where(I3 > 0, np.nan, 0))),
    ("overflow", IDENTITY, replace(CONTENT, Km=100 * CONTENT.Km)),
    ("overflow", COPY_FIRST, replace(POSITION, Qm=100 * POSITION.Qm)),
    ("overflow", UNIQUE, replace(SIGNS, Km=100 * SIGNS.Km)),
    ("underflow", IDENTITY, replace(CONTENT, Km=60 * (I3 - 25))),
    ("not sharp enough", IDENTITY, replace(CONTENT, Km=CONTENT.Km / 10)),
    ("not sharp enough", COPY_FIRST, replace(POSITION, Km=POSITION.Km / 10)),
    ("not sharp enough", UNIQUE, replace(SIGNS, Km=SIGNS.Km / 60)),
    ("scores too close", IDENTITY, replace(CONTENT, Km=900 + I3, Qm=I3)),
    ("wrong sign of the scores", IDENTITY, replace(CONTENT, Km=-CONTENT.Km)),
    ("Km and Qm exchanged", COPY_FIRST, replace(POSITION, Km=POSITION.Qm, Qm=POSITION.Km)),
    ("uniform attention", IDENTITY, replace(CONTENT, Km=0 * CONTENT.Km)),
    ("uniform attention", COPY_FIRST, replace(POSITION, Qm=0 * POSITION.Qm)),
    ("tokens not told apart", IDENTITY, replace(CONTENT, Km=_without(CONTENT.Km, 2))),
    ("attends to the wrong tokens", IDENTITY, replace(CONTENT, Km=CONTENT.Km[[1, 2, 0]])),
    ("queries depend on the token", COPY_FIRST, _queries_vary()),
    ("keys depend on the token", COPY_FIRST, _keys_vary()),
    ("equal rows of pos", COPY_FIRST, replace(POSITION, pos=POSITION.pos[[0, 1, 0, 2]])),
    ("equal rows of pos", UNIQUE, replace(SIGNS, pos=SIGNS.pos[[0, 1, 2, 3, 3]])),
    ("attends to the wrong position", COPY_FIRST, replace(POSITION, pos=POSITION.pos[[1, 0, 2, 3]])),
    ("attends to the last token", COPY_FIRST, replace(RAMP, Km=-RAMP.Km)),
    ("attends to itself", COPY_FIRST, _own_place()),
    ("attends to itself", UNIQUE, replace(SIGNS, pos=0 * SIGNS.pos)),
    ("Vm scaled", IDENTITY, replace(CONTENT, Vm=2 * CONTENT.Vm)),
    ("Vm scaled", COPY_FIRST, replace(POSITION, Vm=POSITION.Vm * [1, 1, 0.5])),
    ("Vm permuted", IDENTITY, replace(CONTENT, Vm=CONTENT.Vm[[1, 2, 0]])),
    ("Vm lets positions through", COPY_FIRST, replace(POSITION, Vm=np.concatenate([I3, np.ones((4, 3))]))),
    ("Vm mixes tokens", IDENTITY, replace(CONTENT, Vm=np.ones((3, 3)))),
    ("wrong sign of Vm", UNIQUE, replace(SIGNS, Vm=-SIGNS.Vm)),
    ("the same sign everywhere", UNIQUE, replace(SIGNS, Vm=abs(SIGNS.Vm))),
    ("fails at one length", COPY_FIRST, _last_row_flat()),
    ("fails on repeats", UNIQUE, _deaf_to_copies_of_c()),
)
"""Name of the fault, task, matrices that make it."""
