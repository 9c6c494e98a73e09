"""An answer of another form than its call promises is no answer."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.assignment import Task
from autograder.sandbox.calls import (
    Answer,
    Call,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Sizes,
    TaskMatrices,
    Train,
    Weights,
    accepts,
)

SIZES = Sizes(2, 3, 4, None, 5)
MATRIX = np.ones((2, 3))
FORWARD = Forward(SIZES, Weights(MATRIX, MATRIX, np.ones((2, 4))), np.ones((2, 2)))
GRADIENTS = Gradients(SIZES, FORWARD.weights, FORWARD.seq, np.ones((2, 4)))
RECORDED = RecordedOutput(1, SIZES, 3)
MATRICES = TaskMatrices(Task.CONTENT)
TRAIN = Train(SIZES, 1, 0.1, 2 * ((np.ones((2, 2)), np.ones((2, 4))),))
LEARNED = {"Km": MATRIX, "Qm": MATRIX, "Vm": MATRIX}
NUMBERS = np.array([1, 2], dtype=np.int64)
COUNTED = {"operations": NUMBERS, "lines": np.zeros((2, 3), dtype=np.int64)}


@pytest.mark.parametrize(
    ("call", "arrays"),
    [
        (Describe(SIZES), {"trainable Km.weight": NUMBERS, "buffer mask": NUMBERS, "frozen x": NUMBERS[:0]}),
        (FORWARD, {"output": MATRIX.astype(np.float32), **COUNTED}),
        (GRADIENTS, {"Km": MATRIX, "Vm": MATRIX}),
        (RECORDED, {"shape": NUMBERS, "output": np.ones(2)}),
        (RECORDED, {"shape": NUMBERS, "output": np.ones(2), "older": np.ones(2)}),
        (MATRICES, {"Km": MATRIX, "Qm": MATRIX, "Vm": MATRIX, "pos": MATRIX}),
        (TRAIN, {"losses": np.ones(2), **LEARNED}),
    ],
)
def test_what_the_worker_sends_has_the_form(call: Call, arrays: dict[str, np.ndarray]) -> None:
    assert accepts(call, Answer(arrays), max_items=6)


@pytest.mark.parametrize(
    ("call", "arrays"),
    [
        pytest.param(Describe(SIZES), {"Km.weight": NUMBERS}, id="an entry of no kind"),
        pytest.param(Describe(SIZES), {"trainable Km.weight": np.ones(2)}, id="a shape of floats"),
        pytest.param(Describe(SIZES), {"trainable Km.weight": -NUMBERS}, id="a negative shape"),
        pytest.param(FORWARD, COUNTED, id="no output"),
        pytest.param(FORWARD, {"output": MATRIX}, id="no count"),
        pytest.param(FORWARD, {"output": NUMBERS, **COUNTED}, id="an output of integers"),
        pytest.param(FORWARD, {"output": MATRIX, **COUNTED, "score": MATRIX}, id="something more"),
        pytest.param(FORWARD, {"output": MATRIX, **COUNTED, "operations": NUMBERS[:1]}, id="one count"),
        pytest.param(FORWARD, {"output": MATRIX, **COUNTED, "lines": -COUNTED["lines"] - 1}, id="no line"),
        pytest.param(FORWARD, {"output": MATRIX, **COUNTED, "lines": NUMBERS}, id="lines that are no table"),
        pytest.param(GRADIENTS, {"bias": MATRIX}, id="a gradient of something else"),
        pytest.param(RECORDED, {"output": np.ones(2)}, id="no shape"),
        pytest.param(MATRICES, {"Km": MATRIX, "Qm": MATRIX}, id="no Vm"),
        pytest.param(MATRICES, {"Km": MATRIX, "Qm": MATRIX, "Vm": NUMBERS > 0}, id="a matrix of bools"),
        pytest.param(MATRICES, {"Km": MATRIX, "Qm": MATRIX, "Vm": np.ones((7, 1))}, id="too large a matrix"),
        pytest.param(TRAIN, {"losses": np.ones(3), **LEARNED}, id="more losses than steps"),
        pytest.param(TRAIN, {"losses": np.ones(2), "Km": MATRIX, "Qm": MATRIX}, id="learned, but no Vm"),
    ],
)
def test_a_forged_answer_has_not(call: Call, arrays: dict[str, np.ndarray]) -> None:
    assert not accepts(call, Answer(arrays), max_items=6)
