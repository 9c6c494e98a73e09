"""By which round number Km has to be scaled so that every sequence passes; verified by running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np

from autograder.feedback.numbers import passes
from reference.tasks import Batch, SequenceTask
from reference.transformer import BoolArray, FloatArray, NumpyTransformer

_STEPS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
ROUND_NUMBERS: Final = tuple(
    float(f"{step:g}e{power}") for power, step in product(range(6), _STEPS) if (power, step) != (0, 1.0)
)
"""1.5, 2, 2.5, ... 800000: what a student types rather than what a search ends at."""
SHORT: Final = 3
"""Length of the sequences on which all factors are tried at once, before the few that pass are verified."""


def sharpening(task: SequenceTask, transformer: NumpyTransformer) -> float | None:
    """The smallest round number that, multiplied into Km, makes every sequence pass; None if none does."""
    return _first(task, transformer, ROUND_NUMBERS)


def shrinking(task: SequenceTask, transformer: NumpyTransformer) -> float | None:
    """The smallest round number by which Km can be divided to make every sequence pass, or None."""
    factor = _first(task, transformer, tuple(1 / number for number in ROUND_NUMBERS))
    return None if factor is None else float(f"{1 / factor:.3g}")


def scaled(transformer: NumpyTransformer, factor: float) -> NumpyTransformer:
    """The same transformer with factor * Km."""
    return replace(transformer, Km=factor * transformer.Km)


def solves(task: SequenceTask, transformer: NumpyTransformer, batches: Sequence[Batch] | None = None) -> bool:
    """Whether the notebook's own test passes on every sequence."""
    return all(
        passes(task, transformer.plain_output(batch.inputs), batch.expected).all()
        for batch in batches or task.all_sequences()
    )


def _first(task: SequenceTask, transformer: NumpyTransformer, factors: tuple[float, ...]) -> float | None:
    could = _pass_short(task, transformer, np.array(factors))
    for factor, worth_trying in zip(factors, could, strict=True):
        if worth_trying and solves(task, scaled(transformer, factor)):
            return factor
    return None


def _pass_short(task: SequenceTask, transformer: NumpyTransformer, factors: FloatArray) -> BoolArray:
    """(len(factors),): which of them pass every sequence of a few tokens."""
    ok = np.ones(len(factors), dtype=bool)
    for batch in task.all_sequences()[:SHORT]:
        attention = transformer.forward(batch.inputs)
        with np.errstate(all="ignore"):
            exps = np.exp(factors[:, None, None, None] * attention.scores)  # (factors, n, L, L)
            outputs = (exps / exps.sum(axis=-1, keepdims=True)) @ attention.values  # (factors, n, L, v_dim)
        expected = np.broadcast_to(batch.expected, (len(factors), *batch.expected.shape))
        flat = passes(task, _joined(outputs), _joined(expected))  # (factors * n,)
        ok &= flat.reshape(len(factors), -1).all(axis=1)
    return ok


def _joined(arrays: FloatArray) -> FloatArray:
    """(factors, n, L, columns) as (factors * n, L, columns)."""
    return arrays.reshape(-1, *arrays.shape[2:])
