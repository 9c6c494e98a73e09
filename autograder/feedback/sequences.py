"""Hand-designed matrices on every sequence of a task: which pass, at which scale all do, a table of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from autograder import settings
from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import BoolArray, FloatArray, NumpyTransformer

_STEPS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
ROUND_NUMBERS: Final = tuple(
    float(f"{step:g}e{power}") for power, step in product(range(6), _STEPS) if (power, step) != (0, 1.0)
)
"""1.5, 2, 2.5, ... 800000: what a student types rather than what a search ends at."""
SHORT: Final = 3
"""Length of the sequences on which all factors are tried at once, before the few that pass are verified."""


def passes(task: SequenceTask, output: npt.ArrayLike, expected: npt.ArrayLike) -> BoolArray:
    """(n,): which sequences pass the notebook's own test (`SequenceTask.judge`), by the settings."""
    return task.judge(output, expected, rtol=settings.RTOL, atol=settings.TASK_ATOL)


def passes_everywhere(task: SequenceTask, transformer: NumpyTransformer) -> bool:
    """Whether every sequence is right."""
    return all(
        passes(task, transformer.plain_output(batch.inputs), batch.expected).all()
        for batch in task.all_sequences()
    )


def scaled(transformer: NumpyTransformer, factor: float) -> NumpyTransformer:
    """The same transformer with factor * Km."""
    return replace(transformer, Km=factor * transformer.Km)


def sharpening(task: SequenceTask, transformer: NumpyTransformer) -> float | None:
    """The smallest round number that, multiplied into Km, makes every sequence pass; None if none does."""
    return _first(task, transformer, ROUND_NUMBERS)


def shrinking(task: SequenceTask, transformer: NumpyTransformer) -> float | None:
    """The smallest round number by which Km can be divided to make every sequence pass, or None."""
    factor = _first(task, transformer, tuple(1 / number for number in ROUND_NUMBERS))
    return None if factor is None else float(f"{1 / factor:.3g}")


def _first(task: SequenceTask, transformer: NumpyTransformer, factors: Sequence[float]) -> float | None:
    """The first factor of Km at which every sequence passes; tried on the short ones all at once."""
    could = np.ones(len(factors), dtype=bool)
    for batch in task.all_sequences()[:SHORT]:
        attention = transformer.forward(batch.inputs)
        with np.errstate(all="ignore"):
            exps = np.exp(np.array(factors)[:, None, None, None] * attention.scores)  # (factors, n, L, L)
            outputs = (exps / exps.sum(axis=-1, keepdims=True)) @ attention.values  # (factors, n, L, v_dim)
        could &= [passes(task, output, batch.expected).all() for output in outputs]
    for factor in np.array(factors)[could].tolist():
        if passes_everywhere(task, scaled(transformer, factor)):
            return float(factor)
    return None


# --- One sequence as a table of plain text: what a picture shows, in words. ---


def token_names(task: SequenceTask, batch: Batch, index: int) -> list[str]:
    """The tokens of a sequence as they enter the transformer, CLS in front where there is one."""
    return (["CLS"] if task.has_cls else []) + [TOKEN_NAMES[token] for token in batch.tokens[index]]


def attention_table(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """One line per token: its attention to each token, its output, the expected output."""
    names = token_names(task, batch, index)
    weights = transformer.plain_attention(batch.inputs[index])
    output = transformer.plain_output(batch.inputs[index])
    skipped = 1 if task.has_cls else 0
    rows = [["", "", *names, "output", "expected"]]
    for i in range(skipped, len(names)):
        expected = _numbers(batch.expected[index, i - skipped])
        if task.only_sign:
            expected = {"1": "positive", "-1": "negative"}[expected]
        lead = [names[i], "attends to" if i == skipped else ""]
        rows.append([*lead, *map(_number, weights[i]), _numbers(output[i]), expected])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    """A number as short as it can be told apart from a right one: 1, 0.99995, 4.54e-05, NaN."""
    if np.isnan(value):
        return "NaN"
    if abs(value) >= 0.001 or value == 0:
        return f"{value + 0.0:.5g}"
    return f"{value:.3g}"


def _numbers(row: FloatArray) -> str:
    return " ".join(map(_number, row))
