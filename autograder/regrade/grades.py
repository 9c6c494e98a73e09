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

from autograder.regrade.output_folder import replace
from autograder.regrade.scores import checks_of, maximum_of
from autograder.regrade.types import Row, Submitter
from autograder.text import clean

_PERSONAL: Final = ("name", "sid", "email")
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
    columns = _columns(rows)
    personal = () if anonymous else _PERSONAL
    heads = (
        *personal,
        "id",
        "folder",
        "handed in",
        "score before",
        "score now",
        "change",
        *columns,
        "status",
    )
    total = maximum_of(rows)
    maxima = (
        "maximum",
        *[""] * (2 + len(personal)),
        _points(total),
        _points(total),
        "",
        *columns.values(),
        "",
    )
    # With a byte order mark: Excel takes UTF-8 for something else without it.
    _write(
        path,
        (heads, maxima, *_lines(rows, columns, anonymous)),
        "utf-8-sig",
    )


def _columns(rows: Iterable[Row]) -> dict[str, str]:
    """The points of each test that any result has now, by its number, or by its title."""
    tests = checks_of(rows)
    numbers = [test.number for test in tests]
    short = {test.title: test.number if numbers.count(test.number) == 1 else test.title for test in tests}
    return {short[test.title] or test.title: _points(test.max_score) for test in tests}


def _lines(rows: Sequence[Row], columns: Iterable[str], anonymous: bool) -> Iterator[tuple[str, ...]]:
    for row in rows:
        before = row.entry.before.total if row.entry.before else None
        now = row.now.total if row.now else None
        fixed = (
            *(row.entry.id, "" if anonymous else row.entry.folder, row.entry.created_at),
            *(_points(before), _points(now), _points(row.change), *_scores(row, columns)),
            "; ".join((row.status.value, *row.reasons)),
        )
        for person in (None,) if anonymous else row.entry.submitters or (_NOBODY,):
            yield (*(() if person is None else (person.name, person.sid, person.email)), *fixed)


def _scores(row: Row, columns: Iterable[str]) -> list[str]:
    tests = row.now.tests if row.now else ()
    scores = {test.title: test.score for test in tests} | {test.number: test.score for test in tests}
    return [_points(scores.get(name)) for name in columns]


def write_canvas(rows: Sequence[Row], path: Path, assignment: str) -> None:
    """A file for Canvas' “Import Grades”: the assignment's total, and who has it by SIS ID or login."""
    lines = (
        (person.name, "", person.sid, person.email.partition("@")[0], "", _points(row.now.total))
        for row in rows
        for person in row.entry.submitters
        if row.now is not None
    )
    possible = ("    Points Possible", "", "", "", "", _points(maximum_of(rows)))
    _write(path, ((*CANVAS, assignment), possible, *lines), "utf-8")


def write_gradescope(rows: Sequence[Row], path: Path) -> None:
    """The columns of Gradescope's own “Download Grades”, with a column per check."""
    titles = {
        f"{test.title} ({_points(test.max_score)} pts)": test.number or test.title for test in checks_of(rows)
    }
    total = _points(maximum_of(rows))
    lines = (
        (
            *(first, last, person.sid, person.email, "", _points(row.now.total if row.now else None), total),
            *("Graded" if row.now else "Ungraded", row.entry.id, row.entry.created_at, "", ""),
            *(str(row.entry.attempts + 1), *_scores(row, titles.values())),
        )
        for row in rows
        for person in row.entry.submitters or (_NOBODY,)
        for first, _, last in (person.name.rpartition(" "),)
    )
    _write(path, ((*GRADESCOPE, *titles), *lines), "utf-8")


def _write(path: Path, lines: Iterable[Sequence[str]], encoding: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([_cell(field) for field in line] for line in lines)
    replace(path, text.getvalue().encode(encoding, "replace"), durable=True)


def _points(value: float | None) -> str:
    """At most two decimals, as Gradescope shows them; nothing for nothing."""
    return "" if value is None else f"{round(value, 2) + 0.0:.10g}"


def _cell(text: str) -> str:
    """A text that a spreadsheet shows and does not run: a formula gets an apostrophe."""
    shown = clean(text, _MAX_CHARS, joiners=True)
    start = unicodedata.normalize("NFKC", shown[:8]).lstrip(" \u200c\u200d")
    return f"'{shown}" if start.startswith(_FORMULA) and not _is_number(shown) else shown


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit() and text.isascii()


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
                "diagnoses": list(row.record.diagnoses),
            }
            for row in rows
        ],
        "notes": list(notes),
    }
