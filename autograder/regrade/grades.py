"""grades.csv: one row per submitter; the same in Canvas' and in Gradescope's own columns; and as JSON.

Every field is quoted, and no text in it can be a formula of a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from autograder.regrade.scores import checks_of, maximum_of
from autograder.regrade.types import Row, Submitter, TestScore
from autograder.results.schema import replace
from autograder.text import clean, points

_MAX_CHARS: Final = 2000
_NOBODY: Final = Submitter("", "", "")
_FORMULA: Final = tuple("=+-@")
CANVAS: Final = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
"""What Canvas' gradebook reads beside a column per assignment; its second row holds the possible points."""
GRADESCOPE: Final = (
    *("First Name", "Last Name", "SID", "Email", "Sections", "Total Score", "Max Points", "Status"),
    *("Submission ID", "Submission Time", "Lateness (H:M:S)", "View Count", "Submission Count"),
)
"""As in Gradescope's “Download Grades”, before a column per question."""


def write_grades(rows: Sequence[Row], path: Path, *, anonymous: bool) -> None:
    """Put grades.csv in its place. anonymous: no columns for people, and one row per submission."""
    tests = checks_of(rows)
    numbers = [test.number for test in tests]
    # The number is a column's name where it is one test's alone.
    names = [test.number if numbers.count(test.number) == 1 and test.number else test.title for test in tests]
    personal = () if anonymous else Submitter._fields
    heads = ("id", "folder", "handed in", "score before", "score now", "change", *names, "status")
    total = maximum_of(rows)
    blank = [""] * (2 + len(personal))
    maxima = ("maximum", *blank, total, total, "", *(test.max_score for test in tests), "")
    lines = (
        (
            *(person if personal else ()),
            *(row.entry.id, "" if anonymous else row.entry.folder, row.entry.created_at),
            *(row.entry.before.total, row.now.total, row.change),
            *_scores(row, tests),
            "; ".join((row.status.value, *row.reasons)),
        )
        for row in rows
        for person in ((_NOBODY,) if anonymous else row.entry.submitters or (_NOBODY,))
    )
    # With a byte order mark: Excel takes UTF-8 for something else without it.
    _write(path, ((*personal, *heads), maxima, *lines), "utf-8-sig")


def _scores(row: Row, tests: Iterable[TestScore]) -> Iterator[float | None]:
    scores = {test.title: test.score for test in row.now.tests}
    return (scores.get(test.title) for test in tests)


def write_canvas(rows: Sequence[Row], path: Path, assignment: str) -> None:
    """A file for Canvas' “Import Grades”: the assignment's total, and who has it by SIS ID or login."""
    lines = (
        (person.name, "", person.sid, person.email.partition("@")[0], "", row.now.total)
        for row in rows
        for person in row.entry.submitters
        if row.now.total is not None
    )
    possible = ("    Points Possible", "", "", "", "", maximum_of(rows))
    _write(path, ((*CANVAS, assignment), possible, *lines), "utf-8")


def write_gradescope(rows: Sequence[Row], path: Path) -> None:
    """The columns of Gradescope's own “Download Grades”, with a column per check."""
    tests = checks_of(rows)
    titles = (f"{test.title} ({points(test.max_score)} pts)" for test in tests)
    total = maximum_of(rows)
    lines = (
        (
            *(first, last, person.sid, person.email, "", row.now.total, total),
            *("Ungraded" if row.now.total is None else "Graded", row.entry.id, row.entry.created_at, "", ""),
            *(row.entry.attempts + 1, *_scores(row, tests)),
        )
        for row in rows
        for person in row.entry.submitters or (_NOBODY,)
        for first, _, last in (person.name.rpartition(" "),)
    )
    _write(path, ((*GRADESCOPE, *titles), *lines), "utf-8")


def _write(path: Path, lines: Iterable[Iterable[Any]], encoding: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(map(_cell, line) for line in lines)
    replace(path, text.getvalue().encode(encoding, "replace"), durable=True)


def _cell(value: str | float | None) -> str:
    """Points with two decimals, as Gradescope has them; a text that a spreadsheet shows and does not run."""
    if not isinstance(value, str):
        return points(value, "")
    shown = clean(value, _MAX_CHARS, joiners=True)
    start = unicodedata.normalize("NFKC", shown[:8]).lstrip(" \u200c\u200d")
    return f"'{shown}" if start.startswith(_FORMULA) else shown


def as_json(rows: Sequence[Row], notes: Sequence[str]) -> dict[str, Any]:
    """What `--format json` prints: ids, scores and reasons, no names."""
    return {
        "submissions": [
            {
                "id": row.entry.id,
                "status": row.status.value,
                "reasons": list(row.reasons),
                "score_before": row.entry.before.total,
                "score_now": row.now.total,
                "change": row.change,
                "tests": {test.title: test.score for test in row.now.tests},
                "diagnoses": list(row.record.diagnoses),
            }
            for row in rows
        ],
        "notes": list(notes),
    }
