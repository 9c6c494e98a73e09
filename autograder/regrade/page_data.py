"""What the page's script is given: rows with short references to titles, mistakes and messages.

A class of 2,000 has some 28,000 test results and few different messages, so each stands there once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from autograder.regrade.groups import groups, mistakes
from autograder.regrade.rows import before_of, titles_of_tests
from autograder.regrade.types import Row, Status, TestScore

SEVERITY: Final = {status: index for index, status in enumerate(Status)}
"""What a reader should see first: Status stands in that order."""


def page_data(rows: Sequence[Row], *, anonymous: bool) -> dict[str, Any]:
    """Plain data for JSON; the script says what each field is for."""
    titles = titles_of_tests(rows)
    found = mistakes(rows)
    texts = _Texts()
    test_index = {title: index for index, title in enumerate(titles)}
    mistake_index = {name: index for index, (name, _) in enumerate(found)}
    return {
        "anonymous": anonymous,
        "tests": titles,
        "mistakes": [name for name, _ in found],
        "groups": [{"signals": " and ".join(group.signals), "ids": group.ids} for group in groups(rows)],
        "rows": [
            {
                "id": row.entry.id,
                "order": order,
                "people": [] if anonymous else [[p.name, p.sid, p.email] for p in row.entry.submitters],
                "created": row.entry.created_at,
                "attempts": row.entry.attempts,
                "before": row.entry.before.total if row.entry.before else None,
                "now": row.now.total if row.now else None,
                "change": row.change,
                "status": row.status.value,
                "severity": SEVERITY[row.status],
                "reasons": row.reasons,
                "newText": texts.index(row.now.message if row.now else ""),
                "oldText": texts.index(row.entry.before.message if row.entry.before else ""),
                "diagnoses": [mistake_index[name] for name in row.diagnoses],
                "tests": list(_tests(row, test_index, texts)),
            }
            for order, row in enumerate(rows)
        ],
        "texts": texts.all,
    }


class _Texts:
    """Every message once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._index: dict[str, int] = {}

    def index(self, text: str) -> int:
        """Where the text stands; -1 for none."""
        if not text:
            return -1
        if text not in self._index:
            self._index[text] = len(self.all)
            self.all.append(text)
        return self._index[text]


def _tests(row: Row, test_index: dict[str, int], texts: _Texts) -> Iterator[dict[str, Any]]:
    matched: list[TestScore] = []
    for test in row.now.tests if row.now else ():
        old = before_of(row, test)
        if old is not None:
            matched.append(old)
        silent = test.passed and (old is None or old.score == test.score)
        yield {
            "test": test_index[test.title],
            "now": test.score,
            "max": test.max_score,
            "kind": _kind(test),
            "before": old.score if old else None,
            "passedBefore": old.passed if old else None,
            "newText": -1 if silent else texts.index(test.message),
            "oldText": -1 if silent or old is None else texts.index(old.message),
        }
    for old in row.entry.before.tests if row.entry.before else ():
        if old not in matched:
            yield {
                "test": -1,
                "title": old.title,
                "now": None,
                "max": old.max_score,
                "kind": "idle",
                "before": old.score,
                "newText": -1,
                "oldText": texts.index(old.message),
            }


def _kind(test: TestScore) -> str:
    """How it is coloured; a test without points is not red when it was left alone."""
    if test.passed:
        return "full"
    if test.score > 0:
        return "part"
    return "none" if test.max_score > 0 else "idle"
