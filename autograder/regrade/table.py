"""grades.csv: one row per submitter, ready for a gradebook; and the same without names, as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from autograder.regrade.rows import titles_of_tests
from autograder.regrade.state import replace
from autograder.regrade.types import Row, Submitter

_PERSONAL: Final = ("name", "sid", "email")
_FIXED: Final = ("id", "score before", "score now", "change")
_NOBODY: Final = Submitter("", "", "")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_table(rows: Sequence[Row], path: Path, *, anonymous: bool) -> None:
    """Put grades.csv in its place. anonymous: no columns for people, and one row per submission."""
    titles = titles_of_tests(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*(() if anonymous else _PERSONAL), *_FIXED, *map(_cell, titles), "status"))
    for row in rows:
        fixed = tuple(_fixed(row, titles))
        for person in (None,) if anonymous else row.entry.submitters or (_NOBODY,):
            personal = () if person is None else (person.name, person.sid, person.email)
            writer.writerow((*map(_cell, personal), *fixed))
    # No byte order mark: gradebooks would take it for a part of the first column's name.
    replace(path, text.getvalue().encode("utf-8", "replace"), durable=True)


def _fixed(row: Row, titles: Sequence[str]) -> Iterator[str]:
    before = row.entry.before.total if row.entry.before else None
    yield _cell(row.entry.id)
    yield _points(before)
    yield _points(row.now.total if row.now else None)
    yield _points(row.change)
    scores = {test.title: test.score for test in row.now.tests} if row.now else {}
    for title in titles:
        yield _points(scores.get(title))
    yield _cell("; ".join((row.status.value, *row.reasons)))


def _points(value: float | None) -> str:
    """At most two decimals, as Gradescope shows them; nothing for nothing."""
    return "" if value is None else f"{round(value, 2) + 0.0:.10g}"


def _cell(text: str) -> str:
    """A text that a spreadsheet shows and does not run: a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_json(rows: Sequence[Row], notes: Sequence[str]) -> dict[str, Any]:
    """What `--format json` prints: ids, scores and reasons, no names."""
    return {
        "submissions": [
            {
                "id": row.entry.id,
                "status": row.status.value,
                "reasons": list(row.reasons),
                "score_before": row.entry.before.total if row.entry.before else None,
                "score_now": row.now.total if row.now else None,
                "change": row.change,
                "tests": {test.title: test.score for test in row.now.tests} if row.now else {},
                "diagnoses": list(row.diagnoses),
            }
            for row in rows
        ],
        "notes": list(notes),
    }
