"""What a picture of one sequence shows, as data: matrices with a title, labels and a scale of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from autograder.feedback.matrices.table import plain_attention, token_names
from reference.tasks import Batch, SequenceTask
from reference.transformer import FloatArray, NumpyTransformer

MAX_COLUMNS: Final = 96
MAX_ROWS: Final = 40
"""What is beyond is left out of the picture, and said in the title."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One matrix. values: (rows, columns), NaN allowed. low, high: the values drawn lightest and darkest.

    rows, columns: labels; columns may be empty.
    """

    title: str
    values: FloatArray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    low: float
    high: float


Rows = tuple[tuple[Panel, ...], ...]


def panels(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> Rows:
    """The panels of one sequence: matrices above, what they make of the sequence below them."""
    names = token_names(task, batch, index)
    seq = batch.inputs[index]
    inner = attention_panels(transformer, seq, names, _input_names(task))
    output, expected = _outputs(task, transformer, batch, index, names)
    positions = () if transformer.pos is None else (_positions(transformer.pos),)
    Km, Qm, Vm, keys, queries, values, scores, weights = inner
    return ((Km, Qm, Vm, *positions), (keys, queries, values), (scores, weights, output, expected))


def attention_panels(
    transformer: NumpyTransformer, seq: FloatArray, names: list[str], inputs: list[str]
) -> tuple[Panel, ...]:
    """Km, Qm, Vm, keys, queries, values, scores, attention weights of one sequence, (seq_len, input_dim).

    names: of its tokens. inputs: of the columns of a token.
    """
    attention = transformer.forward(seq)
    into = [*inputs, *(f"d{i}" for i in range(transformer.pos_dim))]
    places = names if transformer.pos is None else [f"{name} p{i}" for i, name in enumerate(names)]
    return (
        panel("Km", transformer.Km, into),
        panel("Qm", transformer.Qm, into),
        panel("Vm", transformer.Vm, into),
        panel("keys", attention.keys, places),
        panel("queries", attention.queries, places),
        panel("values", attention.values, places),
        panel("scores", attention.scores, places, names),
        panel("attention weights", plain_attention(transformer, seq), places, names, (0.0, 1.0)),
    )


def run_panels(
    task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int
) -> tuple[Panel, ...]:
    """The panels of one sequence in one row, as the notebook's own figure has them."""
    names = token_names(task, batch, index)
    inner = attention_panels(transformer, batch.inputs[index], names, _input_names(task))
    output, _ = _outputs(task, transformer, batch, index, names)
    Km, Qm, Vm, keys, queries, values, _, weights = inner
    positions = () if transformer.pos is None else (_positions(transformer.pos),)
    return (Km, Qm, Vm, *positions, keys, queries, values, weights, output)


def panel(
    title: str,
    values: FloatArray,
    rows: list[str],
    columns: list[str] | None = None,
    limits: tuple[float, float] | None = None,
) -> Panel:
    """A panel of these values, cut to what a picture can hold. limits: if not the values' own."""
    finite = values[np.isfinite(values)]
    low, high = limits or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    cut = values[:MAX_ROWS, :MAX_COLUMNS]
    if cut.shape != values.shape:
        title += f" (the first {cut.shape[0]} x {cut.shape[1]} of {values.shape[0]} x {values.shape[1]})"
    return Panel(title, cut, tuple(rows[:MAX_ROWS]), tuple(columns or ())[:MAX_COLUMNS], low, high)


def _input_names(task: SequenceTask) -> list[str]:
    return ["A", "B", "C", "CLS"][: task.input_dim]


def _positions(pos: FloatArray) -> Panel:
    names = [f"d{i}" for i in range(pos.shape[1])]
    return panel("pos", pos, [f"p{i}" for i in range(len(pos))], names)


def _outputs(
    task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int, names: list[str]
) -> tuple[Panel, Panel]:
    """The output and the expected output, on one scale; without the row of CLS, which nobody looks at."""
    skipped = 1 if task.has_cls else 0
    output = transformer.plain_output(batch.inputs[index])[skipped:]
    expected = batch.expected[index]
    both = np.concatenate([output.reshape(-1), expected.reshape(-1)])
    both = both[np.isfinite(both)]
    limits = float(both.min()), float(both.max())
    rows = names[skipped:]
    title = "expected sign" if task.only_sign else "expected output"
    return panel("output", output, rows, None, limits), panel(title, expected, rows, None, limits)
