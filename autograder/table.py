"""results.json as a table for a terminal: score per test, messages under the tests that lost points."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from autograder.text import points, text_of_html

MIN_WIDTH, MAX_WIDTH = 60, 110


def table(results: dict[str, Any], width: int | None = None) -> str:
    """The table as lines of at most width characters (default: the terminal's, within bounds)."""
    if width is None:
        width = min(MAX_WIDTH, max(MIN_WIDTH, shutil.get_terminal_size().columns))
    lines = _told(results, width, "")
    lines += [""] if lines else []
    for test in results.get("tests", ()):
        lines += _test(test, width)
    total = sum(test.get("max_score", 0) for test in results.get("tests", ()))
    lines += ["", f"Score: {points(results['score'])} of {points(total)}"]
    return "\n".join(lines)


def _test(test: dict[str, Any], width: int) -> list[str]:
    score = f"{points(test.get('score', 0))}/{points(test.get('max_score', 0))}"
    mark = {"passed": "ok", "failed": "--"}.get(test.get("status", ""), "  ")
    head = f"{mark} {test.get('number', ''):>4} {score:>9}  "
    name = textwrap.wrap(test["name"], width - len(head)) or [""]
    lines = [head + name[0], *(" " * len(head) + more for more in name[1:])]
    return lines + _told(test, width, " " * 8)


def _told(result: dict[str, Any], width: int, indent: str) -> list[str]:
    text = result.get("output", "")
    if result.get("output_format") == "html":
        text = text_of_html(text)
    lines: list[str] = []
    for line in text.splitlines():
        lead = indent + line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(line, width, initial_indent=indent, subsequent_indent=lead) or [""]
    return lines
