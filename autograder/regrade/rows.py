"""Puts an entry of the export and what came of it together: one `Row`, as the tables need it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from autograder.regrade.scores import score_of_results
from autograder.regrade.state import Out
from autograder.regrade.types import Entry, Fingerprint, Row, Score, Status, TestScore

_NUMBER_IN_NAME: Final = re.compile(r"([\d.]+)\s*[):.-]?\s+")
"""At a name's beginning: "1.1) the log is there"."""


def row_of(entry: Entry, out: Out) -> Row:
    """The row of a submission that has been dealt with."""
    if entry.damage:
        return Row(entry, Status.SKIPPED, (entry.damage,), None, (), Fingerprint())
    record = out.record(entry.id)
    if record is None:
        return Row(entry, Status.FAULT, ("its result is not whole: run again",), None, (), Fingerprint())
    status = Status.TIMED_OUT if record.timed_out else Status.GRADED
    return Row(
        entry=entry,
        status=Status.FAULT if record.faults else status,
        reasons=record.faults or (("its code met a time limit",) if record.timed_out else ()),
        now=_score(out.result(entry.id)),
        diagnoses=record.diagnoses,
        fingerprint=record.fingerprint,
    )


def _score(data: bytes | None) -> Score | None:
    return None if data is None else score_of_results(json.loads(data))


def titles_of_tests(rows: Iterable[Row]) -> list[str]:
    """The title of every test that any result has now, ordered by number: 2.9 before 2.10."""
    found: dict[str, TestScore] = {}
    for row in rows:
        for test in row.now.tests if row.now else ():
            found.setdefault(test.title, test)
    return sorted(found, key=lambda title: (_parts(found[title].number), title))


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
