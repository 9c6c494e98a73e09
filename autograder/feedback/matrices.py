"""Explains why hand-designed matrices fail their task, by the shortest sequence that fails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograder.feedback.message import Explained, Message
from reference.tasks import Batch, Task
from reference.transformer import BoolArray, ExpBreak, NumpyTransformer


def explain(task: Task, transformer: NumpyTransformer, right: Sequence[BoolArray]) -> Explained:
    """Say what is wrong. right: per batch of task.all_sequences(), which sequences pass; not all do."""
    batches = task.all_sequences()
    total, passed = sum(len(r) for r in right), int(sum(r.sum() for r in right))
    batch, index = _shortest_failure(batches, right)
    lines = [f"{passed} of {total} sequences are right."]
    lines.append(_overflow(transformer, batch, index) or _output(task, transformer, batch, index))
    return Explained(Message("\n".join(lines)))


def _shortest_failure(batches: Sequence[Batch], right: Sequence[BoolArray]) -> tuple[Batch, int]:
    for batch, passes in zip(batches, right, strict=True):
        if not passes.all():
            return batch, int(np.argmin(passes))
    raise ValueError("every sequence passes: there is nothing to explain")


def _overflow(transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    broken = transformer.overflow(batch.inputs[index]).worst()
    if broken is None:
        return ""
    if broken.reason is ExpBreak.OVERFLOW:
        return (
            f"On {batch.spell(index)} a score is {broken.score:.4g}: exp() of more than about 709 is "
            "infinite, and the softmax then divides infinity by infinity, which gives NaN. Make Km or Qm "
            "smaller."
        )
    return (
        f"On {batch.spell(index)} every score of a query is {broken.score:.4g} or less: exp() of less than "
        "about -745 is zero, and the softmax then divides zero by zero, which gives NaN. Make Km or Qm "
        "smaller."
    )


def _output(task: Task, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    output = transformer.forward(batch.inputs[index]).output[1 if task.has_cls else 0 :]
    return (
        f"The shortest that fails is {batch.spell(index)}: the output is\n{_rows(output)}\n"
        f"expected{' (the sign counts)' if task.only_sign else ''}\n{_rows(batch.expected[index])}"
    )


def _rows(array: np.ndarray) -> str:
    return "\n".join("  [" + ", ".join(f"{value:.6g}" for value in row) + "]" for row in array)
