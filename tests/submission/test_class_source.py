from __future__ import annotations

import numpy as np
import pytest

from autograder.sandbox.calls import Cell
from autograder.submission.source import Definition, class_source, same_code
from autograder.submission.types import ModelRecord, Origin, Program

from .samples import CLASS, FORWARD, INIT

RECORD = ModelRecord((8, 3), np.zeros(5), INIT, FORWARD)


def program(*sources: str) -> Program:
    return Program(
        Origin.NOTEBOOK, "n.ipynb", tuple(Cell(f"cell {n}", text) for n, text in enumerate(sources))
    )


def read(*sources: str) -> dict[str, Definition]:
    source = class_source(program(*sources))
    assert source is not None
    return source


def test_methods_are_found_with_their_cells() -> None:
    methods = read("def helper(x): return x", "x = = 1", f"if True:\n    pass\n{CLASS}")
    assert {name: found.cell.label for name, found in methods.items()} == {
        "__init__": "cell 2",
        "forward": "cell 2",
    }


def test_of_a_class_defined_twice_the_last_counts() -> None:
    methods = read(CLASS, "class PytorchTransformer(nn.Module):\n    def forward(self, x): return x")
    assert list(methods) == ["forward"]


@pytest.mark.parametrize(
    "sources",
    [
        (
            "class Base(nn.Module):\n    def forward(self, x): return x",
            "class PytorchTransformer(Base): pass",
        ),
        ("class Mine:\n    def forward(self, x): return x", "PytorchTransformer = Mine"),
        ("def f(self, x): return x", "class PytorchTransformer: pass", "PytorchTransformer.forward = f"),
        ("class PytorchTransformer:\n    def f(self, x): return x\n    forward = f",),
        ("try:\n    class PytorchTransformer:\n        def forward(self, x): return x\nfinally:\n    pass",),
    ],
)
def test_forward_is_found_wherever_it_comes_from(sources: tuple[str, ...]) -> None:
    assert "forward" in read(*sources)


def test_a_program_without_the_class_has_none() -> None:
    assert class_source(program("x = 1", "x = = 1")) is None


def test_comments_layout_annotations_and_docstrings_make_no_difference() -> None:
    changed = CLASS.replace("seq):", "seq: 'torch.Tensor') -> 'x':\n        '''Doc.'''\n        # comment")
    changed = changed.replace("input_dim,", "input_dim: int,\n        ")
    assert same_code(program(changed), RECORD) is True


def test_other_code_is_told_apart() -> None:
    assert same_code(program(CLASS.replace("**0.5", "")), RECORD) is False


@pytest.mark.parametrize(
    "record",
    [
        ModelRecord((8, 3), np.zeros(5), "not code (", FORWARD),
        ModelRecord((8, 3), np.zeros(5), INIT, "x = 1"),
        ModelRecord((8, 3), np.zeros(5), INIT, "def forward(self, seq):\n    return " + "-" * 3000 + "1"),
    ],
)
def test_a_record_that_cannot_be_read_gives_no_verdict(record: ModelRecord) -> None:
    assert same_code(program(CLASS), record) is not True


def test_without_the_class_there_is_no_verdict() -> None:
    assert same_code(program("x = 1"), RECORD) is None
