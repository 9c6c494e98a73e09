"""What a program imports from its own upload stands in front of it."""

from __future__ import annotations

import pytest

from autograder.sandbox.calls import Cell
from autograder.submission.modules import with_modules, written_module


def placed(source: str, **modules: str) -> list[tuple[str, str]]:
    parts = {name: [Cell(f"{name}.py", text)] for name, text in modules.items()}
    return [(cell.label, cell.source) for cell in with_modules([Cell("cell 1", source)], parts)]


@pytest.mark.parametrize(
    ("source", "after"),
    [
        ("from model import A, B as C", "from __main__ import A, B as C"),
        ("from model import (\n    A,\n)", "from __main__ import (\n    A,\n)"),
        ("from .model import *", "from __main__ import *"),
        ("def f():\n    from model import A", "def f():\n    from __main__ import A"),
        ("import model", "import __main__ as model"),
        ("import model  # mine", "import __main__ as model  # mine"),
        ("import model as M; M.x", "import __main__ as M; M.x"),
    ],
)
def test_a_program_imports_from_itself_what_a_module_of_its_own_holds(source: str, after: str) -> None:
    assert placed(source, model="x = 1") == [("model.py", "x = 1"), ("cell 1", after)]


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "from other import A",
        "from model.x import A",
        "import model.part",
        "# from model import A",
    ],
)
def test_a_module_that_is_not_imported_stays_out(source: str) -> None:
    assert placed(source, model="x = 1") == [("cell 1", source)]


@pytest.mark.parametrize("name", ["numpy", "torch", "random", "math"])
def test_no_file_is_taken_for_a_package_that_is_there(name: str) -> None:
    source = f"import {name}\nfrom {name} import *"
    assert placed(source, **{name: "1 / 0"}) == [("cell 1", source)]


def test_what_a_module_does_when_run_by_itself_is_left_out() -> None:
    main = "if __name__ == '__main__':\n    train()"
    assert placed(f"from model import A\n{main}", model=main) == [
        ("model.py", "if __name__ == 'model':\n    train()"),
        ("cell 1", f"from __main__ import A\n{main}"),
    ]


def test_modules_that_import_modules_stand_in_the_order_in_which_they_are_needed() -> None:
    order = placed("from a import *\nfrom c import *", a="from b import *", b="from c import *", c="x = 1")
    assert [label for label, _ in order] == ["c.py", "b.py", "a.py", "cell 1"]


def test_modules_that_import_each_other_all_stand_there() -> None:
    order = placed("from a import *", a="from b import *", b="from a import *")
    assert sorted(label for label, _ in order) == ["a.py", "b.py", "cell 1"]
    assert order[-1][0] == "cell 1"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("%%writefile model.py\nx = 1", "model"),
        ("\n%%writefile /content/my_model.py\nx = 1", "my_model"),
        ("%%file model.py\n", "model"),
        ("%%writefile notes.txt\nx", None),
        ("%%writefile -a model.py\nx", None),
        ("%%time\nx = 1", None),
        ("x = '%%writefile model.py'\n", None),
    ],
)
def test_a_cell_that_saves_a_module_is_known_by_its_first_line(source: str, name: str | None) -> None:
    assert written_module(source) == name
