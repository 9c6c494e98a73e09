"""Whether an answer has the form that its call promises: the right names, dtypes and dimensions.

The student's code shares a process with the code that sends answers, so an answer of another form is
no fault of the grader's: it is garbage in the channel, and the checks need not look for it again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autograder.assignment import LAYERS, MATRICES
from autograder.sandbox.types import (
    Answer,
    Call,
    CountOperations,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    TaskMatrices,
    Train,
)

WEIGHTS = frozenset(MATRICES)
ENTRY_KINDS = ("trainable ", "frozen ", "buffer ")


def has_form(call: Call, answer: Answer) -> bool:
    """Whether the answer is one to this call."""
    arrays = answer.arrays
    if isinstance(call, Describe):
        return all(name.startswith(ENTRY_KINDS) and _integers(a) for name, a in arrays.items())
    if isinstance(call, Forward):
        return set(arrays) == {"output"} and _floats(arrays["output"])
    if isinstance(call, Gradients):
        return set(arrays) <= WEIGHTS and all(map(_floats, arrays.values()))
    if isinstance(call, CountOperations):
        return set(arrays) == {"counts"} and _integers(arrays["counts"], len(call.seq_lens))
    if isinstance(call, RecordedOutput):
        return set(arrays) == {"shape", "output"} and _integers(arrays["shape"]) and _floats(arrays["output"])
    if isinstance(call, TaskMatrices):
        return set(LAYERS) <= set(arrays) <= WEIGHTS and all(map(_floats, arrays.values()))
    if isinstance(call, Train):
        losses = arrays.get("losses")
        right_length = losses is not None and losses.shape == (len(call.lengths),)
        return right_length and set(arrays) <= WEIGHTS | {"losses"} and all(map(_floats, arrays.values()))
    return True


def _integers(array: npt.NDArray[Any], length: int | None = None) -> bool:
    right_length = array.ndim == 1 and length in (None, len(array))
    return array.dtype == np.int64 and right_length and bool((array >= 0).all())


def _floats(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind == "f"
