"""report.html, which shows whose grade moves and why, and pages/<id>.html for each submission.

The summary is a template; the table of submissions is drawn by the page's own script from data embedded as
JSON, with short references to titles, mistakes and messages: a class of 2,000 has some 28,000 test results
and few different messages, so each stands there once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, Final

from autograder.pages import markup, render, submission_page
from autograder.regrade.output_folder import Out
from autograder.regrade.scores import checks_of, groups, maximum_of, mistakes, moved, paired
from autograder.regrade.types import Row, Score, Status, TestScore
from autograder.results.schema import replace
from autograder.text import clean, points

_KINDS: Final = {"full": "passed", "part": "in part", "none": "failed", "idle": "not graded or optional"}
_BINS: Final = 10
_LISTED: Final = 3
"""Mistakes named beside a check."""
_MAX_CHARS: Final = 4000


def write_report(rows: Sequence[Row], notes: Sequence[str], path: Path, *, anonymous: bool) -> None:
    """Put report.html in its place. anonymous: no names, student numbers or emails in it."""
    data = page_data(rows, anonymous=anonymous)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # So that it cannot end the script element it stands in.
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    old = [row.entry.before.total for row in rows if row.entry.before.total is not None]
    new = [row.now.total for row in rows if row.now.total is not None]
    full = maximum_of(rows) or max([*old, *new, 1])
    page = render(
        "regrade.html",
        f"Regrade of {len(rows)} submissions",
        size=len(rows),
        moved=moved(rows),
        means=[f"{mean(one):.1f}" for one in (old, new) if one],
        compared=bool(old),
        worth=point_changes(rows),
        odd=[row for status in Status for row in rows if row.status is status is not Status.GRADED],
        looked=[row for row in rows if row.look_at],
        notes=notes,
        anonymous=anonymous,
        statuses=list(Status),
        kinds=_KINDS,
        checks=list(_checks(data)),
        full=full,
        scores={name: _binned(one, full) for name, one in (("before", old), ("now", new)) if one},
        mistakes=mistakes(rows),
        groups=groups(rows),
        data=markup(text),
        script="regrade.js",
    )
    replace(path, page.encode("utf-8", "replace"), durable=True)


def write_pages(rows: Sequence[Row], out: Out, report: str, *, anonymous: bool) -> None:
    """Put a page for each submission in its place. report: the file's name, to which they link back."""
    for row in rows:
        record = out.record(row.entry.id)
        if record is None or record.results is None:
            continue
        entry, before = row.entry, row.entry.before
        change = "" if row.change is None else f"{points(before.total)} → {points(row.now.total)}"
        handed_in = entry.created_at and f"handed in {entry.created_at}"
        page = submission_page(
            json.loads(record.results),
            f"Submission {entry.id}",
            id=entry.id,
            report=report,
            people=[] if anonymous else [" · ".join(filter(None, one)) for one in entry.submitters],
            facts=", ".join(filter(None, ("" if anonymous else entry.folder, handed_in, change))),
            reasons=(*row.reasons, *(f"Look at {line}" for line in row.look_at)),
            before=None if before == Score() else before,
            before_of={now.title: old for now, old in paired(row) if now and old},
            files=record.files,
        )
        replace(out.pages / f"{entry.id}.html", page.encode("utf-8", "replace"))


def point_changes(rows: Sequence[Row]) -> list[str]:
    """What is worth other points than before, as sentences."""
    worth = Counter(
        (test.number or test.title, test.max_score, old.max_score)
        for row in rows
        for test, old in paired(row)
        if test is not None and old is not None and test.max_score != old.max_score
    )
    return [
        f"{name} is worth {points(now)}, was {points(old)} ({count} submission{'s' if count > 1 else ''})"
        for (name, now, old), count in sorted(worth.items())
    ]


def _binned(values: Sequence[float], full: float) -> list[int]:
    """How many values are in each tenth of 0 to full."""
    bins = Counter(min(_BINS - 1, max(0, int(value / full * _BINS + 1e-9))) for value in values)
    return [bins[index] for index in range(_BINS)]


def _checks(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each check over the class: how many are of which kind, a histogram, the commonest mistakes."""
    for index, title in enumerate(data["tests"]):
        tests = [
            (test, row["diagnoses"]) for row in data["rows"] for test in row["tests"] if test["test"] == index
        ]
        kinds = Counter(test["kind"] for test, _ in tests)
        old = [test["passedBefore"] for test, _ in tests if test["before"] is not None]
        losing = (diagnoses for test, diagnoses in tests if test["kind"] in ("part", "none"))
        common = Counter(mistake for diagnoses in losing for mistake in diagnoses).most_common(_LISTED)
        yield {
            "title": title,
            "before": sum(old) if old else "–",
            "kinds": {kind: kinds[kind] for kind in _KINDS if kinds[kind]},
            "bins": _binned([test["now"] / test["max"] for test, _ in tests if test["max"]], 1.0),
            "mistakes": [(mistake, data["mistakes"][mistake], count) for mistake, count in common],
        }


def page_data(rows: Sequence[Row], *, anonymous: bool) -> dict[str, Any]:
    """Plain data for JSON; the script says what each field is for."""
    titles = {test.title: index for index, test in enumerate(checks_of(rows))}
    found = {name: index for index, (name, _) in enumerate(mistakes(rows))}
    severities = list(Status)
    texts: dict[str, int] = {}

    def text(message: str) -> int:
        """Where the message stands among all, each of which is there once; -1 for none."""
        return texts.setdefault(message, len(texts)) if message else -1

    def test_data(now: TestScore | None, old: TestScore | None) -> dict[str, Any]:
        same = now and (old is None or (old.score, old.message) == (now.score, now.message))
        silent = same and now and now.passed
        return {
            "test": titles[now.title] if now else -1,
            "title": _clean(old.title) if old and not now else "",
            "now": now.score if now else None,
            "max": next(one.max_score for one in (now, old) if one),
            "kind": _kind(now) if now else "idle",
            "before": old.score if old else None,
            "passedBefore": old.passed if old else None,
            "newText": text(now.message) if now and not silent else -1,
            "oldText": text(old.message) if old and not silent else -1,
        }

    return {
        "anonymous": anonymous,
        "tests": list(map(_clean, titles)),
        "mistakes": list(map(_clean, found)),
        "groups": [{"signals": " and ".join(names), "ids": ids} for names, ids in groups(rows)],
        "rows": [
            {
                "id": row.entry.id,
                "order": order,
                "folder": "" if anonymous else row.entry.folder,
                "people": [] if anonymous else [list(map(_clean, one)) for one in row.entry.submitters],
                "created": _clean(row.entry.created_at),
                "attempts": row.entry.attempts,
                "before": row.entry.before.total,
                "now": row.now.total,
                "change": row.change,
                "status": row.status.value,
                "severity": severities.index(row.status),
                "reasons": list(map(_clean, row.reasons)),
                "newText": text(row.now.message),
                "oldText": text(row.entry.before.message),
                "diagnoses": [found[name] for name in dict.fromkeys(row.record.diagnoses)],
                "tests": [test_data(now, old) for now, old in paired(row)],
            }
            for order, row in enumerate(rows)
        ],
        # Last: the rows have filled it.
        "texts": [clean(message, _MAX_CHARS, lines=True, joiners=True) for message in texts],
    }


def _clean(text: str) -> str:
    return clean(text, _MAX_CHARS, joiners=True)


def _kind(test: TestScore) -> str:
    """How it is coloured; a test without points is not red when it was left alone."""
    if test.passed:
        return "full"
    if test.score > 0:
        return "part"
    return "none" if test.max_score > 0 else "idle"
