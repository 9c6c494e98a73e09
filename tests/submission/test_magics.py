from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.submission.notebook import without_magics, written_file


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("x = 1\n", "x = 1\n"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install a \\\n   b\nx = 1", "pass\n\nx = 1"),
        (
            "if here:\n    !pip install a\n    files = !ls\n",
            "if here:\n    pass\n    files = get_ipython().getoutput('ls')\n",
        ),
        ("where = %pwd\n", "where = None\n"),
        ("%run helpers.py\nx = 1", "get_ipython().run_line_magic('run', 'helpers.py')\nx = 1"),
        ("%%add_to Model\ndef f(self):\n    pass", "\ndef f(self):\n    pass\nModel.f = f"),
        ("torch.zeros?\n?torch\nx = 1", "pass\npass\nx = 1"),
        (
            "if x:\n    y[0] = !ls\n    %%time\n",
            "if x:\n    y[0] = get_ipython().getoutput('ls')\n    pass\n",
        ),
        ("x = 7 \\\n % 2\ntext = '''\n%time\n'''\n%bar", "x = 7 \\\n % 2\ntext = '''\n%time\n'''\npass"),
        ("!echo don't (\nx = (1,\n2)", "pass\nx = (1,\n2)"),
        ("%time x = f(1)\n", "x = f(1)\n"),
        ("%%time\nx = 1", "\nx = 1"),
        ("\n%%capture out\n%time\nx = 1", "\n\npass\nx = 1"),
        ("%%timeit -n 1\nx = 1", "\nx = 1"),
        ("pip install torch", "pass"),
        ("    %cd /content\n    x = 1", "pass\nx = 1"),
        ("print('100%')  # really?", "print('100%')  # really?"),
    ],
)
def test_notebook_syntax_becomes_python_line_by_line(source: str, plain: str) -> None:
    assert without_magics(source) == plain
    ast.parse(plain)


@pytest.mark.parametrize("first", ["%%bash", "%%html", "%%javascript", "%%writefile a.py", "%%script perl"])
def test_a_cell_for_another_program_is_dropped(first: str) -> None:
    assert without_magics(f"\n{first}\nx = 1") is None


def test_what_the_student_asks_of_the_shell_stays_as_it_is() -> None:
    source = "if get_ipython():\n    get_ipython().system('pip install a')\n"
    assert without_magics(source) == source


@pytest.mark.parametrize(
    ("source", "path", "append"),
    [
        ("%%writefile model.py\nx = 1", "model.py", False),
        ("\n%%writefile /content/lib/my_model.py\nx = 1", "lib/my_model.py", False),
        ("%%file ../model.py\n", "model.py", False),
        ("%%writefile -a 'model.py'\nx", "model.py", True),
    ],
)
def test_a_cell_that_saves_a_module_is_known_by_its_first_line(source: str, path: str, append: bool) -> None:
    assert written_file(source) == (path, append)


@pytest.mark.parametrize(
    "source", ["%%writefile notes.txt\nx", "%%time\nx = 1", "x = '%%writefile model.py'\n"]
)
def test_any_other_cell_saves_none(source: str) -> None:
    assert written_file(source) == ("", False)


def test_what_is_not_python_comes_back_for_whoever_runs_it() -> None:
    source = "def forward(self, seq:\n    return 1\n"
    assert without_magics(source) == source


def test_a_cell_full_of_magics_is_translated_in_one_go() -> None:
    assert without_magics("%cd a\nx?\n" * 2000) == "pass\npass\n" * 2000


@pytest.mark.parametrize("error", ["x = = 1", "if x:\n    y\n  z", "  x\n\0"])
def test_magics_beside_a_syntax_error_are_still_taken_out(error: str) -> None:
    assert without_magics(f"%matplotlib inline\n{error}\n") == f"pass\n{error}\n"


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.text(st.sampled_from("%!?x=1 \n\\'\"()[]{}:;#é\t\f."), max_size=60))
def test_any_cell_keeps_its_lines(source: str) -> None:
    plain = without_magics(source)
    assert plain is None or plain.count("\n") == source.count("\n")
