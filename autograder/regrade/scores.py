"""Turns a results.json, Gradescope's or ours, into the few plain values that tables show."""

from __future__ import annotations

import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from autograder.regrade.output_folder import Out
from autograder.regrade.types import Entry, Record, Row, Score, Status, TestScore
from autograder.text import clean, text_of_html

MESSAGE_CHARS: Final = 2000
"""Of one test's message in the report; OUT/results has the whole of it."""
_MAX_TESTS: Final = 500
_DATA_URI: Final = re.compile(r"data:[\w/+.;=-]*,[\w+/=%-]{80,}")
_MARKUP: Final = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6]|/pre|/figcaption)\b[^<>]*>", re.IGNORECASE)
_MAX_READ: Final = 256 * 1024
"""Characters of one output that are looked at, before anything is made of them."""
_NUMBER_IN_NAME: Final = re.compile(r"([\d.]+)\s*[):.-]?\s+")
"""At a name's beginning: "1.1) the log is there"."""


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
    return sys.intern(clean(_str(value), size, joiners=True))


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
    lines = (line.rstrip() for line in text.strip().splitlines())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    return clean(text, MESSAGE_CHARS, lines=True, joiners=True)


# --- Rows. ---


def row_of(entry: Entry, out: Out) -> Row:
    """The row of a submission that has been dealt with."""
    if entry.damage:
        return Row(entry, Status.SKIPPED, (entry.damage,), None, Record())
    record = out.record(entry.id)
    if record is None:
        return Row(entry, Status.FAULT, ("its result is not whole: run again",), None, Record())
    status = Status.TIMED_OUT if record.timed_out else Status.GRADED
    return Row(
        entry=entry,
        status=Status.FAULT if record.faults else status,
        reasons=record.faults or (("its code met a time limit",) if record.timed_out else ()),
        now=None if record.results is None else score_of_results(json.loads(record.results)),
        record=replace(record, results=None, files=()),  # of 2,000 submissions they are large
    )


def checks_of(rows: Iterable[Row]) -> list[TestScore]:
    """One of every test that any result has now, ordered by number: 2.9 before 2.10."""
    found: dict[str, TestScore] = {}
    for row in rows:
        for test in row.now.tests if row.now else ():
            found.setdefault(test.title, test)
    return sorted(found.values(), key=lambda test: (_parts(test.number), test.title))


def maximum_of(rows: Iterable[Row]) -> float:
    """The points that there are in total; 0 if nothing is graded."""
    return max((sum(test.max_score for test in row.now.tests) for row in rows if row.now), default=0.0)


def folded(text: str) -> str:
    """The text as it is searched for: without accents and capitals."""
    marks = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in marks if not unicodedata.combining(char))


def _parts(number: str) -> Sequence[tuple[int, str]]:
    """For ordering; a test without a number comes last."""
    if not number:
        return [(10**9, "")]
    return [(int(part), "") if part.isdecimal() else (10**8, part) for part in re.split(r"[.\s]+", number)]


def before_of(row: Row, test: TestScore) -> TestScore | None:
    """The old score of a test: the one of the same number, else of the same name."""
    tests = row.entry.before.tests if row.entry.before else ()
    number = _number(test)
    return next(
        (old for old in tests if number and _number(old) == number),
        next((old for old in tests if _bare(old) == _bare(test)), None),
    )


def _number(test: TestScore) -> str:
    """The number, be it written into the name, as exports do that have no field for it."""
    found = _NUMBER_IN_NAME.match(test.name)
    return test.number or (found[1].rstrip(".") if found else "")


def _bare(test: TestScore) -> str:
    """The name without the number."""
    return _NUMBER_IN_NAME.sub("", test.name).strip().casefold()
