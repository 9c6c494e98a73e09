from __future__ import annotations

import ast
import json
import sys

import nbformat
import pytest

from autograder.submission.notebook import read_notebook
from autograder.submission.types import CodeFile, NoteLevel, Origin

from .samples import CLASS, IMPORTS, notebook_bytes

NAME = "homework.ipynb"


def cells(reading: CodeFile) -> list[tuple[str, str]]:
    assert reading.program is not None, reading.notices
    return [(cell.label.partition(" (")[0], cell.source) for cell in reading.program.cells]


def refusal(data: bytes) -> str:
    reading = read_notebook(NAME, data)
    assert reading.program is None
    (notice,) = reading.notices
    assert notice.tone is NoteLevel.WARNING
    return notice.text


def test_code_cells_are_counted_from_one_and_text_cells_are_not() -> None:
    reading = read_notebook(NAME, notebook_bytes(IMPORTS, "", CLASS))
    assert cells(reading) == [("code cell 1", IMPORTS), ("code cell 3", CLASS)]
    assert reading.program is not None
    assert (reading.program.origin, reading.program.name) == (Origin.NOTEBOOK, NAME)


def test_a_cell_is_called_by_its_execution_count_or_else_by_its_first_words() -> None:
    value = json.loads(notebook_bytes("x = 1", "y = 2", "\n\n# Step 1: import\nz = 3", CLASS, "\n-+\n"))
    for cell, count in zip(value["cells"][1::2], (7, 7, None, None, 10**9), strict=True):
        cell["execution_count"] = count
    program = read_notebook(NAME, json.dumps(value).encode()).program
    assert program is not None
    assert [cell.label for cell in program.cells] == [
        "cell [7]",
        "code cell 2 (y = 2)",
        "code cell 3 (Step 1)",
        "code cell 4 (class PytorchTransformer(nn.Module))",
        "code cell 5",
    ]


def test_a_cell_with_a_syntax_error_stays_and_the_others_too() -> None:
    reading = read_notebook(NAME, notebook_bytes("x = = 1", "y = 2"))
    assert cells(reading) == [("code cell 1", "x = = 1"), ("code cell 2", "y = 2")]


def test_cells_for_other_programs_are_left_out_and_told() -> None:
    reading = read_notebook(NAME, notebook_bytes("%%bash\nls", "x = 1"))
    assert cells(reading) == [("code cell 2", "x = 1")]
    assert [notice.tone for notice in reading.notices] == [NoteLevel.IGNORED]
    assert "code cell 1" in reading.notices[0].text


def test_cells_that_save_a_module_are_a_file_beside_the_notebook() -> None:
    first, more = "%%writefile lib/model.py\nx = 1", "%%writefile -a lib/model.py\ny = 2"
    reading = read_notebook(NAME, notebook_bytes("from lib.model import x", first, more))
    assert reading.program is not None
    assert [(cell.label.partition(" (")[0], cell.source, cell.file) for cell in reading.program.cells] == [
        ("code cell 2", "# writefile lib/model.py\nx = 1", "lib/model.py"),
        ("code cell 3", "# writefile -a lib/model.py\ny = 2", "lib/model.py"),
        ("code cell 1", "from lib.model import x", ""),
    ]
    assert reading.notices == ()


@pytest.mark.parametrize(
    "cell",
    [
        *(None, 5, {}, {"cell_type": "code"}, {"cell_type": "code", "source": None}),
        *({"cell_type": "graph", "source": "x"}, {"cell_type": None, "source": "x"}),
        {"cell_type": "code", "source": ["a", 1]},
    ],
)
def test_an_odd_cell_costs_itself_alone_and_is_told(cell: object) -> None:
    value = json.loads(notebook_bytes("x = 1", "y = 2"))
    value["cells"].insert(2, cell)
    reading = read_notebook(NAME, json.dumps(value).encode())
    assert [source for _, source in cells(reading)] == ["x = 1", "y = 2"]
    (notice,) = reading.notices
    assert "cell 3 could not be read" in notice.text


def test_only_what_was_executed_is_said_to_be_if_anything_was() -> None:
    value = json.loads(notebook_bytes("x = 1", "y = 2"))
    for counts, executed in (((None, None), [True, True]), ((3, None), [True, False])):
        for cell, count in zip(value["cells"][1::2], counts, strict=True):
            cell["execution_count"] = count
        program = read_notebook(NAME, json.dumps(value).encode()).program
        assert program is not None
        assert [cell.executed for cell in program.cells] == executed
        assert program.executed == (counts[0] is not None)


def test_a_long_text_in_a_cell_costs_that_text_and_data_as_code_its_cell() -> None:
    picture = f"picture = '{'A' * 300_000}'\nx = 1"
    reading = read_notebook(NAME, notebook_bytes(picture, "y = 2", "z = [" + "1, " * 100_000 + "]"))
    assert [source for _, source in cells(reading)] == ["picture = ''\nx = 1", "y = 2"]
    told = reading.notices[0].text
    assert "code cell 1 (picture = 'AAA" in told
    assert "code cell 3 (z = [1" in told
    assert "left out in part" in told


def test_a_notebook_of_format_3_is_read() -> None:
    sheet = {
        "cells": [
            {"cell_type": "heading", "level": 1, "metadata": {}, "source": "Title"},
            {
                "cell_type": "code",
                "collapsed": False,
                "input": ["x = 1\n", "y = 2"],
                "language": "python",
                "metadata": {},
                "outputs": [],
                "prompt_number": 3,
            },
        ],
        "metadata": {},
    }
    data = json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [sheet]}
    ).encode()
    assert cells(read_notebook(NAME, data)) == [("cell [3]", "x = 1\ny = 2")]


def test_outputs_cost_nothing_whatever_they_hold() -> None:
    value = json.loads(notebook_bytes("x = 1"))
    value["cells"][1]["outputs"] = [
        {"output_type": "display_data", "data": {"image/png": "A" * 5_000_000}},
        7,
    ]
    assert cells(read_notebook(NAME, json.dumps(value).encode())) == [("code cell 1", "x = 1")]


def test_line_ends_and_lone_surrogates_are_made_plain() -> None:
    reading = read_notebook(NAME, notebook_bytes("x = 1\r\ny = '\ud800'\r\n"))
    assert cells(reading) == [("code cell 1", "x = 1\ny = '?'\n")]


def test_a_notebook_that_lost_its_format_number_is_read() -> None:
    value = json.loads(notebook_bytes("x = 1"))
    del value["nbformat"]
    assert cells(read_notebook(NAME, json.dumps(value).encode())) == [("code cell 1", "x = 1")]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (notebook_bytes("x = 1")[:80], "stops in the middle"),
        (b"[]", "is not a notebook"),
        (b'{"nbformat": 4, "metadata": {}}', "is not a notebook"),
        (b'{"nbformat": 4, "cells": 5}', "is a damaged notebook"),
        (b'{"nbformat": 4, "cells": [5]}', "is a damaged notebook"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "is a damaged notebook"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}', "is a damaged notebook"),
        (b'{"nbformat": 99, "cells": []}', "holds no Python code"),
        (b'{"nbformat": 4, "cells": [' + b"[]," * 4_000_000 + b"[]]}", "holds more values than can be read"),
        (b'{"nbformat": 4, "cells": []}', "holds no Python code"),
        (notebook_bytes("", "%%html\n<b>"), "holds no Python code"),
        (notebook_bytes("x <- 1", language="R"), "is a notebook in R"),
        (notebook_bytes("x = 1\n" * 50_000), "holds more code than can be read"),
        (b'{"nbformat": 4, "cells": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_notebook_that_cannot_be_read_says_why(data: bytes, told: str) -> None:
    text = refusal(data)
    assert text.startswith(NAME)
    assert told in text


def test_a_name_that_acts_is_shown_as_it_is() -> None:
    reading = read_notebook("a\x1b[31m\u202e.ipynb", b"")
    assert reading.notices[0].text.startswith("a\\x1b[31m\\u202e.ipynb is empty")


@pytest.mark.parametrize("source", ["x = 1\ny = 2\n", ["x = 1\n", "y = 2\n"], ["x = 1", "", "\n\ny = 2"]])
def test_a_source_of_format_4_is_what_nbformat_reads(source: str | list[str]) -> None:
    value = json.loads(notebook_bytes("x = 1", nbformat_minor=4))
    value["cells"][1]["source"] = source
    data = json.dumps(value)
    expected = nbformat.reads(data, 4).cells[1].source
    assert cells(read_notebook(NAME, data.encode())) == [("code cell 1", expected)]


def run_with(version: str, *sources: str) -> CodeFile:
    notebook = json.loads(notebook_bytes(*sources))
    notebook["metadata"] = {"language_info": {"name": "python", "version": version}}
    return read_notebook(NAME, json.dumps(notebook).encode())


def test_a_cell_of_a_newer_python_is_written_as_this_one_reads_it() -> None:
    reading = run_with("3.12.4", 'x = {"a": 1}\nprint(f"{x["a"]}")')
    (cell,) = cells(reading)
    ast.parse(cell[1])
    assert reading.notices == ()


def test_a_cell_that_only_a_newer_python_could_read_is_told_with_both_versions() -> None:
    reading = run_with("3.99.1", "x = 1", "def f(:")
    (notice,) = reading.notices
    own = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    assert notice.tone is NoteLevel.WARNING
    assert all(word in notice.text for word in ("Python 3.99", own, "code cell 2"))


@pytest.mark.parametrize("version", ["3.6.1", "", "new", "3.99"])
def test_an_older_python_or_cells_that_can_be_read_are_not_worth_a_word(version: str) -> None:
    assert run_with(version, "x = 1", "y = 2" if version == "3.99" else "def f(:").notices == ()
