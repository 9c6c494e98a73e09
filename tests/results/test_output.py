"""The output of a check: its format, its length, what it hides."""

from __future__ import annotations

import json
import sys
import unittest
from typing import Any

import pytest
from gradescope_utils.autograder_utils.decorators import (
    hide_errors,
    weight,
)

from tests.results.grading import entry_of


def test_the_output_format_of_a_check_is_passed_on() -> None:
    class Case(unittest.TestCase):
        output_format = "html"

        @weight(5)
        def test_it(self) -> None:
            print("1 < 2")
            self.fail("<b>wrong</b>")

    entry = entry_of(Case)
    assert entry["output_format"] == "html"
    assert entry["output"] == "<pre>1 &lt; 2\n</pre>\n\n<b>wrong</b>"


def test_an_output_format_that_gradescope_does_not_know_becomes_text() -> None:
    class Case(unittest.TestCase):
        output_format = "pdf"

        @weight(5)
        def test_it(self) -> None:
            self.fail("wrong")

    assert entry_of(Case)["output_format"] == "text"


def test_what_a_check_prints_stands_before_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            print("trying 3 sequences")
            self.fail("wrong")

    assert entry_of(Case)["output"] == "trying 3 sequences\n\nwrong"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [None, AssertionError("secret"), ValueError("secret")])
def test_prints_do_not_leak_past_hide_errors(error: Exception | None, capsys: Any) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @hide_errors("An input that is not shown gives a wrong output.")
        def test_it(self) -> None:
            print("secret")
            print("secret", file=sys.stderr)
            if error:
                raise error

    entry = entry_of(Case)
    assert "secret" not in json.dumps(entry)
    assert ("is not shown" in entry.get("output", "")) == isinstance(error, AssertionError)
    assert capsys.readouterr() == ("", "")


def test_a_long_text_is_cut_and_says_so() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("é\n" * 10**6)

    output = entry_of(Case)["output"]
    assert len(json.dumps(output, ensure_ascii=False).encode()) <= 64 * 1024
    assert output.endswith("it was too long to show)")


def test_long_html_is_replaced_rather_than_cut() -> None:
    class Case(unittest.TestCase):
        output_format = "html"

        @weight(5)
        def test_it(self) -> None:
            self.fail("<p>" * 10**6)

    entry = entry_of(Case)
    assert entry["output_format"] == "text"
    assert "too long" in entry["output"]


def test_bytes_that_a_database_refuses_are_escaped() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("a\0b\ud800c\x1b[31m\r\n\td")

    assert entry_of(Case)["output"] == "a\\x00b\\ud800c\\x1b[31m\n\td"
