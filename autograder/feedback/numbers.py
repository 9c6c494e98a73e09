"""Says how two arrays differ: the share of numbers, the worst place, the tolerance.

The form is that of torch.testing: a student sees at once whether one number or all of them are off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autograder import settings
from reference.tasks import SequenceTask
from reference.transformer import BoolArray

Array = npt.NDArray[Any]


def agree(got: Array, expected: Array, *, rtol: float, atol: float) -> bool:
    """Whether every number of got is finite and within atol + rtol * |got| of expected.

    Shapes must be the same: nothing is broadcast. The tolerance is relative to got because the
    notebook calls np.allclose(reference, student), whose second argument sets the scale.
    """
    if got.shape != expected.shape or not np.isfinite(got).all():
        return False
    return bool(np.all(_excess(got, expected, rtol, atol) <= 0))


def passes(task: SequenceTask, output: npt.ArrayLike, expected: npt.ArrayLike) -> BoolArray:
    """(n,): which sequences of a hand-designed task pass the notebook's own test (`SequenceTask.judge`)."""
    return task.judge(output, expected, rtol=settings.RTOL, atol=settings.TASK_ATOL)


def difference(got: Array, expected: Array, *, rtol: float, atol: float, show: bool = True) -> str:
    """How got differs from expected, in one or two lines; for arrays that do not `agree`.

    show: whether the worst place's numbers may be told (False for cases that stay hidden).
    """
    if got.shape != expected.shape:
        return f"The shape is {shape_text(got.shape)}, expected {shape_text(expected.shape)}."
    finite = np.isfinite(got)
    if not finite.all():
        place = _place(~finite)
        return (
            f"{_count(int((~finite).sum()), got.size)} NaN or infinite, the first at {list(place)}: "
            "look for a division by zero, or an exp of a very large score."
        )
    excess = _excess(got, expected, rtol, atol)
    worst = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    line = f"{_count(int((excess > 0).sum()), got.size)} off"
    if show:
        line += f"; worst at {list(worst)}: got {got[worst]:.6g}, expected {expected[worst]:.6g}"
    return f"{line} (allowed: {rtol:g} relative plus {atol:g})."


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as students write it: (3, 4), (3,), or "a single number" for ()."""
    return str(tuple(int(size) for size in shape)) if shape else "a single number"


def _excess(got: Array, expected: Array, rtol: float, atol: float) -> Array:
    got64 = got.astype(np.float64)
    excess: Array = np.abs(got64 - expected) - (atol + rtol * np.abs(got64))
    return excess


def _place(mask: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _count(wrong: int, size: int) -> str:
    if wrong == size:
        return "All numbers are" if size > 1 else "The number is"
    return f"{wrong} of {size} numbers {'is' if wrong == 1 else 'are'}"
