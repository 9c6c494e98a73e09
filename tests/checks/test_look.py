"""What staff are told to look at, and that nothing of an honest answer is among it."""

from __future__ import annotations

import pytest

from autograder.checks.look import MAX_TOLD, suspicious
from autograder.sandbox.calls import Cell
from tests.answers.every import RIGHT
from tests.answers.upload import script_text

FORWARD = "class PytorchTransformer(nn.Module):\n    def forward(self, seq):\n        return "


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import sys\nsys._getframe(3).f_locals", "cell 1, line 2: looks into the frames"),
        ("import ctypes as c", "cell 1, line 1: reaches past Python with ctypes"),
        ("from ctypes.util import find_library", "with ctypes"),
        ("os.write(4, b'x')", "writes to a file descriptor"),
        ("class F(torch.autograd.Function):\n    pass", "an autograd.Function of its own (F)"),
        (FORWARD + "NumpyTransformer(1, 2, 3).forward(seq)", "forward uses the given NumpyTransformer"),
    ],
)
def test_a_construct_that_can_cheat_is_told_with_its_line(source: str, says: str) -> None:
    (told,) = suspicious([Cell("cell 1", source)])
    assert says in told


@pytest.mark.parametrize("answer", RIGHT, ids=lambda answer: answer.name)
def test_nothing_of_a_right_answer_is_told(answer: object) -> None:
    assert suspicious([Cell("answer.py", script_text(answer))]) == []  # type: ignore[arg-type]  # parametrised


def test_what_is_told_is_bounded_and_damaged_source_costs_itself() -> None:
    assert suspicious([Cell("cell 1", "import ctypes (")]) == []
    assert len(suspicious([Cell("cell 1", "import ctypes\n" * 1000)])) == MAX_TOLD
