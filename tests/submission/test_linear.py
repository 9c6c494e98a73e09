"""Every reader takes time in proportion to its input: twice as much of what is slow costs twice the time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from autograder.submission.log import read_log
from autograder.submission.notebook import read_notebook, read_script
from autograder.submission.older_python import readable
from autograder.submission.source import class_source, rebuild, same_code

from .samples import CLASS, FORWARD, IMPORTS, INIT, log_bytes, notebook_bytes

SIZE = 240_000
"""Characters of the longer input; code may have 256 KiB."""
MOST = 10.0
"""Seconds that the longer one may take on a slow, busy machine; what is quadratic takes minutes."""


def from_log(text: str) -> None:
    log = read_log("submission_log.json", log_bytes(torch_transformer_init=INIT + text))
    assert log.model is not None
    program = rebuild(log.name, log.model).program
    if program is not None:
        same_code(program, log.model)


def from_script(text: str) -> None:
    program = read_script("homework.py", text.encode()).program
    if program is not None:
        class_source(program)


def from_notebook(text: str) -> None:
    read_notebook("homework.ipynb", notebook_bytes(text, IMPORTS + CLASS))


def classes(size: int) -> str:
    names = range(size // 40)
    return "class A0: pass\n" + "".join(f"class A{i + 1}(A{i}):\n    def m{i}(s): 0\n" for i in names)


CASES: dict[str, tuple[Callable[[str], None], Callable[[int], str]]] = {
    "blank lines in a script": (from_script, lambda size: "\n" * size + IMPORTS + CLASS + "\nx = ="),
    "blank lines in the log": (from_log, lambda size: "\n" + " \n" * (size // 2)),
    "a question after a long word": (from_notebook, lambda size: "a" * size + " ?\nx = ="),
    "questions after words": (from_notebook, lambda size: ("a" * 290 + "?\n") * (size // 300)),
    "magics in every line": (from_notebook, lambda size: "%cd a\n" * (size // 6)),
    "an encoding that is slow": (from_script, lambda size: "# coding: punycode\n" + "a" * size),
    "braces within braces": (readable, lambda size: 'f"' + "{a:" * (size // 3)),  # type: ignore[dict-item]
    "strings that never end": (readable, lambda size: "f'{x" * (size // 4)),  # type: ignore[dict-item]
    "type statements": (readable, lambda size: "type x[" + "]" * size),  # type: ignore[dict-item]
    "exceptions without an end": (readable, lambda size: "except " + "a," * (size // 2)),  # type: ignore[dict-item]
    "classes that inherit in a row": (from_script, classes),
    "cells that save files": (from_notebook, lambda size: "%%writefile " + "a/" * (size // 2) + ".py\nx"),
    "a text of many lines": (from_log, lambda size: '        x = f"""' + "{a}\n" * (size // 8) + '"""\n'),
}


@pytest.mark.parametrize("name", CASES)
def test_twice_as_much_costs_no_more_than_some_times_as_much(name: str) -> None:
    read, made = CASES[name]

    def seconds(size: int) -> float:
        text = made(size)
        before = time.process_time()
        read(text)
        return time.process_time() - before

    for _ in range(3):  # of measurements on a busy machine, one may be far off
        short, long = seconds(SIZE // 2), seconds(SIZE)
        assert long < MOST
        if long < 3.2 * short + 0.5:
            break
    assert long < 3.2 * short + 0.5


def test_a_log_full_of_what_is_no_number_is_told_in_no_time() -> None:
    values = {key: [[]] * 90_000 for key in json.loads(log_bytes()) if key.startswith("attention")}
    before = time.process_time()
    log = read_log("submission_log.json", log_bytes(**values))
    assert time.process_time() - before < MOST
    assert log.content is None
    assert log.position is None
    assert all("89,999 more items" in problem.message for problem in log.problems[:3])


def test_a_string_that_only_looks_odd_in_braces_costs_nothing() -> None:
    odd = FORWARD.replace("scores = ", "x = f\"{'\u200b'}\"\n        scores = ")
    log = read_log("submission_log.json", log_bytes(torch_transformer_forward=odd))
    assert log.model is not None
    program = read_script("homework.py", (IMPORTS + CLASS).encode()).program
    assert program is not None
    assert same_code(program, log.model) is False
