"""The table of a dry run."""

from __future__ import annotations

from typing import Any

from autograder.table import table

RESULTS: dict[str, Any] = {
    "score": 5.333333,
    "output": "Found: Log: submission_log.json.",
    "tests": [
        {"name": "Is built", "number": "2.1", "score": 5.0, "max_score": 5, "status": "passed"},
        {
            "name": "Equals the reference at a great many sizes and lengths of sequences",
            "number": "2.2",
            "score": 0.333333,
            "max_score": 10,
            "status": "failed",
            "output": "It does not.\n  - here\n" + "long " * 40,
        },
        {"name": "Optional", "number": "5.1", "score": 0.0, "max_score": 0},
    ],
}


def test_every_test_has_a_line_with_its_score() -> None:
    lines = table(RESULTS, width=60).splitlines()
    assert "ok  2.1       5/5  Is built" in lines
    assert any(line.startswith("--  2.2   0.33/10  Equals the reference") for line in lines)
    assert "    5.1       0/0  Optional" in lines
    assert lines[-1] == "Score: 5.33 of 15"


def test_messages_stand_under_their_test_and_keep_their_lines() -> None:
    lines = table(RESULTS, width=60).splitlines()
    assert lines.index("        It does not.") > next(i for i, line in enumerate(lines) if " 2.2 " in line)
    assert "          - here" in lines


def test_no_line_is_wider_than_the_terminal() -> None:
    assert max(map(len, table(RESULTS, width=60).splitlines())) <= 60


def test_html_is_shown_as_its_words() -> None:
    test = {
        "name": "A",
        "number": "1",
        "score": 0,
        "max_score": 1,
        "output": '<p style="margin:0">x &lt; y</p><img alt="a picture" src="data:image/png;base64,AAAA">',
        "output_format": "html",
    }
    text = table({"score": 0, "tests": [test]}, width=60)
    assert "        x < y" in text
    assert "base64" not in text
