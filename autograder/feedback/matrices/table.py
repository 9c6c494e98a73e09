"""The attention and the output of one sequence as a table of plain text: what a picture shows, in words."""

from __future__ import annotations

import numpy as np

from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import FloatArray, NumpyTransformer

CLS = "CLS"


def token_names(task: SequenceTask, batch: Batch, index: int) -> list[str]:
    """The tokens of a sequence as they enter the transformer, CLS in front where there is one."""
    return ([CLS] if task.has_cls else []) + [TOKEN_NAMES[token] for token in batch.tokens[index]]


def plain_attention(transformer: NumpyTransformer, seq: FloatArray) -> FloatArray:
    """(seq_len, seq_len): attention weights as the notebook computes them, NaN where its exp breaks."""
    with np.errstate(all="ignore"):
        exps = np.exp(transformer.forward(seq).scores)
        return np.asarray(exps / exps.sum(axis=-1, keepdims=True))


def attention_table(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """One line per token: its attention to each token, its output, the expected output."""
    names = token_names(task, batch, index)
    weights = plain_attention(transformer, batch.inputs[index])
    output = transformer.plain_output(batch.inputs[index])
    skipped = 1 if task.has_cls else 0
    header = ["", "", *names, "output", "expected"]
    rows = [header]
    for i in range(skipped, len(names)):
        attention = [number(weight) for weight in weights[i]]
        expected = numbers(batch.expected[index, i - skipped])
        rows.append(
            [names[i], "attends to" if i == skipped else "", *attention, numbers(output[i]), expected]
        )
    if task.only_sign:
        for row in rows[1:]:
            row[-1] = {"1": "positive", "-1": "negative"}[row[-1]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def number(value: float) -> str:
    """A number as short as it can be told apart from a right one: 1, 0.99995, 4.54e-05, NaN."""
    if np.isnan(value):
        return "NaN"
    if abs(value) >= 0.001 or value == 0:
        return f"{value + 0.0:.5g}"
    return f"{value:.3g}"


def numbers(row: FloatArray) -> str:
    """The numbers of a row, with blanks between them."""
    return " ".join(number(value) for value in row)
