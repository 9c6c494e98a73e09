from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.submission.magics import without_magics


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("x = 1\n", "x = 1\n"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install a \\\n   b\nx = 1", "pass\n\nx = 1"),
        ("if here:\n    !pip install a\n    files = !ls\n", "if here:\n    pass\n    files = None\n"),
        ("where = %pwd\n", "where = None\n"),
        ("torch.zeros?\n?torch\nx = 1", "pass\npass\nx = 1"),
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


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("get_ipython().system('pip install a')\nx = 1", "pass\nx = 1"),
        ("if x:\n    get_ipython().run_line_magic('cd',\n        'a')\ny = 1", "if x:\n    pass\n\ny = 1"),
        ("s = 'é'; get_ipython().magic('x'); y = 1", "s = 'é'; pass; y = 1"),
        ("IN_COLAB = 'google.colab' in str(get_ipython())", "IN_COLAB = 'google.colab' in str(None)"),
        ("if get_ipython().kernel:\n    pass", "if None:\n    pass"),
        ("shell = get_ipython", "shell = get_ipython"),
    ],
)
def test_calls_of_the_notebooks_shell_do_not_survive(source: str, plain: str) -> None:
    assert without_magics(source) == plain


def test_what_is_not_python_comes_back_for_whoever_runs_it() -> None:
    source = "def forward(self, seq:\n    return 1\n"
    assert without_magics(source) == source


def test_a_cell_full_of_magics_is_translated_in_one_go() -> None:
    assert without_magics("%cd a\nx?\n" * 2000) == "pass\npass\n" * 2000


@pytest.mark.parametrize("error", ["x = = 1", "if x:\n    y\n  z", "  x\n\0"])
def test_magics_beside_a_syntax_error_are_still_taken_out(error: str) -> None:
    assert without_magics(f"%matplotlib inline\n{error}\n") == f"pass\n{error}\n"


def test_cells_that_are_python_do_not_load_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "IPython"]:
        monkeypatch.delitem(sys.modules, name)
    without_magics("x = 1\nget_ipython().system('ls')")
    assert "IPython" not in sys.modules


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.text(st.sampled_from("%!?x=1 \n\\'\"()[]{}:;#é\t\f."), max_size=60))
def test_any_cell_keeps_its_lines(source: str) -> None:
    plain = without_magics(source)
    assert plain is None or plain.count("\n") == source.count("\n")
