"""The three hand-designed tasks: every sequence, the sequence the notebook draws, what is right.

Sequences are spelt in tokens, 0, 1, 2 for A, B, C, which enter the transformer as one-hot rows.
Arrays of the cached batches are read-only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from reference.transformer import BoolArray, FloatArray

IntArray = npt.NDArray[np.int64]

TOKEN_NAMES = ("A", "B", "C")


@dataclass(frozen=True, eq=False)
class Batch:
    """n sequences of one length L (without CLS).

    tokens: (n, L) indices into TOKEN_NAMES. inputs: (n, L, input_dim), or (n, L + 1, input_dim) with a
    CLS row in front. expected: (n, L, v_dim).
    """

    tokens: IntArray
    inputs: FloatArray
    expected: FloatArray

    def spell(self, index: int) -> str:
        """A sequence as a student writes it: "A B C C"."""
        return " ".join(TOKEN_NAMES[token] for token in self.tokens[index])


@dataclass(frozen=True)
class SequenceTask:
    """A task of the assignment.

    name: the tag of its rubric section. max_len: of a sequence, CLS not counted. target: tokens (n, L) to
    expected (n, L, v_dim). pos_rows: the rows that pos needs, None if the task has no positions.
    has_cls: the 4th one-hot stands in front, and its output is ignored. only_sign: the sign of an output
    counts, not its size.
    """

    name: str
    input_dim: int
    v_dim: int
    max_len: int
    target: Callable[[IntArray], FloatArray]
    pos_rows: int | None = None
    has_cls: bool = False
    only_sign: bool = False

    def batch(self, tokens: npt.ArrayLike) -> Batch:
        """The batch of these sequences; tokens: (n, L)."""
        rows = np.asarray(tokens, dtype=np.int64)
        one_hots = np.eye(self.input_dim)
        inputs = one_hots[rows]
        if self.has_cls:
            cls = np.broadcast_to(one_hots[-1], (len(rows), 1, self.input_dim))
            inputs = np.concatenate([cls, inputs], axis=1)
        return Batch(_read_only(rows), _read_only(inputs), _read_only(self.target(rows)))

    @cache  # noqa: B019 (tasks are constants)
    def all_sequences(self) -> tuple[Batch, ...]:
        """Every sequence, one batch per length from 1 to max_len, in lexical order. Cached."""
        kinds = len(TOKEN_NAMES)
        lengths = range(1, self.max_len + 1)
        return tuple(self.batch(np.indices((kinds,) * n).reshape(n, -1).T) for n in lengths)

    def judge(self, output: npt.ArrayLike, expected: npt.ArrayLike, *, rtol: float, atol: float) -> BoolArray:
        """(n,): which sequences the notebook's own test passes.

        output: (n, L or L + 1, columns) from the transformer, the CLS row included; expected:
        (n, L, v_dim). A sequence passes if |output - expected| <= atol + rtol * |expected| everywhere;
        NaN never passes. Where only the sign counts, every column of the output must have it.
        """
        got = np.asarray(output, dtype=np.float64)
        if self.has_cls:
            got = got[:, 1:]
        if self.only_sign:
            got = np.sign(got)
        return np.asarray(np.isclose(got, np.asarray(expected), rtol=rtol, atol=atol).all(axis=(-2, -1)))


def drawn_sequences(task: SequenceTask, seed: int) -> Iterator[Batch]:
    """What the notebook draws for the task after seeding with seed: batches of one sequence, without end.

    The notebook seeds the global generators of random and numpy; here, generators of the same kind
    give the same draws and leave the global ones alone.
    """
    lengths, tokens = np.random.RandomState(seed), random.Random(seed)  # noqa: S311 - the notebook's
    while True:
        seq_len = int(lengths.randint(1, task.max_len + 1))
        yield task.batch([tokens.choices(range(len(TOKEN_NAMES)), k=seq_len)])


def _sign_of_uniqueness(tokens: IntArray) -> FloatArray:
    """+1 for a token that occurs once in its sequence, -1 for one that repeats."""
    counts = (tokens[:, :, None] == tokens[:, None, :]).sum(axis=-1)  # (n, L)
    return np.where(counts == 1, 1.0, -1.0)[:, :, None]


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.setflags(write=False)
    return array


IDENTITY = SequenceTask(
    "attention_by_content", input_dim=3, v_dim=3, max_len=6, target=lambda tokens: np.eye(3)[tokens]
)
COPY_FIRST = SequenceTask(
    "attention_by_position",
    input_dim=3,
    v_dim=3,
    max_len=4,
    pos_rows=4,
    target=lambda tokens: np.eye(3)[np.broadcast_to(tokens[:, :1], tokens.shape)],
)
UNIQUE = SequenceTask(
    "unique_tokens",
    input_dim=4,
    v_dim=1,
    max_len=4,
    pos_rows=5,
    target=_sign_of_uniqueness,
    has_cls=True,
    only_sign=True,
)
TASKS: Mapping[str, SequenceTask] = MappingProxyType(
    {task.name: task for task in (IDENTITY, COPY_FIRST, UNIQUE)}
)
"""The tasks by name, in the order of the assignment."""
