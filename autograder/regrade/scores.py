"""Turns a results.json, Gradescope's or ours, into the few plain values that the tables show."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from autograder.regrade.types import Score, TestScore
from autograder.text import text_of_html

MESSAGE_CHARS: Final = 2000
"""Of one test's message in the report; OUT/results has the whole of it."""
_MAX_TESTS: Final = 500
_DATA_URI: Final = re.compile(r"data:[\w/+.;=-]*,[\w+/=%-]{80,}")
_MARKUP: Final = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6]|/pre|/figcaption)\b[^<>]*>", re.IGNORECASE)
_MAX_READ: Final = 256 * 1024
"""Characters of one output that are looked at, before anything is made of them."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def score_of_results(results: Mapping[str, Any]) -> Score:
    """The total (the results' own, else the sum over the tests) and the tests; anything odd is left out."""
    tests = results.get("tests")
    scores = tuple(
        _test(test)
        for test in (tests if isinstance(tests, list) else [])[:_MAX_TESTS]
        if isinstance(test, Mapping)
    )
    total = number(results.get("score"))
    if total is None and scores:
        total = round(sum(test.score for test in scores), 6)
    return Score(total, scores, _message(results))


def _test(test: Mapping[str, Any]) -> TestScore:
    return TestScore(
        number=_interned(test.get("number"), 20),
        name=_interned(test.get("name"), 200),
        score=number(test.get("score")) or 0.0,
        max_score=number(test.get("max_score")) or 0.0,
        message=_message(test),
        status=_interned(test.get("status"), 20),
    )


def _message(result: Mapping[str, Any]) -> str:
    # Only what is text: writing out a value of another sort may take forever, if it refers to itself a lot.
    return sys.intern(plain_text(_str(result.get("output")), _str(result.get("output_format"))))


def _interned(value: Any, size: int) -> str:
    """A short text, kept once however many submissions have it."""
    return sys.intern(bounded(_str(value), size))


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A finite number, from a number or its text; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def plain_text(output: str, output_format: str) -> str:
    """A test's output as text that may be shown anywhere once escaped: no markup, no figures, bounded."""
    text = _DATA_URI.sub("", output[:_MAX_READ])
    if output_format in ("html", "simple_format") or _MARKUP.search(text):
        text = text_of_html(text)
    lines = (line.rstrip() for line in _CONTROL.sub("", text).strip().splitlines())
    return bounded(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)), MESSAGE_CHARS)


def bounded(text: str, size: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= size else f"{text[: size - 1]}…"
