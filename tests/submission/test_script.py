from __future__ import annotations

import pytest

from autograder.submission.notebook import read_script
from autograder.submission.types import CodeFile, Origin

from .samples import CLASS, IMPORTS


def source(reading: CodeFile) -> str:
    assert reading.program is not None, reading.notices
    (cell,) = reading.program.cells
    assert cell.label == reading.program.name == "homework.py"
    assert reading.program.origin is Origin.SCRIPT
    return cell.source


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((IMPORTS + CLASS).encode(), IMPORTS + CLASS),
        ("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        ("x = 'é'\n".encode("utf-8-sig"), "x = 'é'\n"),
        ("x = 'é'\n".encode("utf-16"), "x = 'é'\n"),
        (b"x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
    ],
)
def test_a_script_is_one_cell_in_the_encoding_it_declares(data: bytes, text: str) -> None:
    assert source(read_script("homework.py", data)) == text


def test_a_colab_export_keeps_its_lines() -> None:
    header = '# -*- coding: utf-8 -*-\n"""Homework\n\n# Title\n"""\n\n'
    export = header + "!pip install einops\n%matplotlib inline\nx = 1\n"
    expected = export.replace("!pip install einops", "pass").replace("%matplotlib inline", "pass")
    assert source(read_script("homework.py", export.encode())) == expected


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"x = '\xe9\0'", "is not a text in UTF-8"),
        (b"\xff\xfex\0y", "is not a text in UTF-8"),
        (b"x = 1\n" * 50_000, "holds more code than can be read"),
        (b"%%bash\nls\n", "holds no Python code"),
    ],
)
def test_a_script_that_cannot_be_read_says_why(data: bytes, told: str) -> None:
    reading = read_script("homework.py", data)
    assert reading.program is None
    assert told in reading.notices[-1].text


@pytest.mark.parametrize("data", [b"x = '\xe9'", b"# -*- coding: klingon -*-\nx = '\xe9'"])
def test_a_script_in_an_encoding_it_does_not_declare_is_still_read_and_told(data: bytes) -> None:
    reading = read_script("homework.py", data)
    assert source(reading).endswith("x = 'é'")
    assert "Save it as UTF-8" in reading.notices[0].text
