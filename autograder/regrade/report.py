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

from autograder.pages import markup, points, render, script, submission_page
from autograder.regrade.output_folder import Out, replace
from autograder.regrade.scores import before_of, checks_of, maximum_of
from autograder.regrade.similarity import groups, mistakes
from autograder.regrade.types import Row, Status, Submitter, TestScore
from autograder.text import clean

_KINDS: Final = {"full": "passed", "part": "in part", "none": "failed", "idle": "not graded or optional"}
_COLUMNS: Final[tuple[tuple[str, str, str], ...]] = (
    ("id", "Submission", ""),
    ("who", "Submitters", ""),
    ("before", "Before", "number"),
    ("now", "Now", "number"),
    ("change", "Change", "number"),
    ("tests", "Checks", ""),
    ("status", "Status", ""),
    ("why", "Recognised mistakes", ""),
)
_SEVERITY: Final = {status: index for index, status in enumerate(Status)}
"""What a reader should see first: Status stands in that order."""
_BINS: Final = 10
_LISTED: Final = 3
"""Mistakes named beside a check."""
_MAX_CHARS: Final = 4000


def write_report(rows: Sequence[Row], notes: Sequence[str], path: Path, *, anonymous: bool) -> None:
    """Put report.html in its place. anonymous: no names, student numbers or emails in it."""
    data = page_data(rows, anonymous=anonymous)
    found = mistakes(rows)
    page = render(
        "regrade.html",
        f"Regrade of {len(rows)} submissions",
        figures=_figures(rows),
        worth=point_changes(rows),
        odd=sorted(
            (row for row in rows if row.status is not Status.GRADED), key=lambda row: _SEVERITY[row.status]
        ),
        notes=notes,
        anonymous=anonymous,
        statuses=[status.value for status in Status],
        columns=[column for column in _COLUMNS if not (anonymous and column[0] == "who")],
        titles=data["tests"],
        kinds=list(_KINDS.items()),
        checks=[_check(index, title, data, rows) for index, title in enumerate(data["tests"])],
        chart=_chart(rows),
        mistakes=found,
        groups=groups(rows),
        data=markup(_embedded(data)),
        script=script("regrade.js"),
    )
    replace(path, page.encode("utf-8", "replace"), durable=True)


def write_pages(rows: Sequence[Row], out: Out, report: str, *, anonymous: bool) -> None:
    """Put a page for each submission in its place. report: the file's name, to which they link back."""
    for row in rows:
        record = out.record(row.entry.id)
        if record is None or record.results is None:
            continue
        before = row.entry.before
        tests = row.now.tests if row.now else ()
        facts = [row.entry.folder] * (not anonymous) + [f"handed in {row.entry.created_at}"] * bool(
            row.entry.created_at
        )
        if row.change is not None:
            facts.append(
                f"{points(before.total if before else None)} → {points(row.now.total if row.now else None)}"
            )
        page = submission_page(
            json.loads(record.results),
            f"Submission {row.entry.id}",
            id=row.entry.id,
            report=report,
            people=[]
            if anonymous
            else [" · ".join(filter(None, _person(one))) for one in row.entry.submitters],
            facts=", ".join(filter(None, facts)),
            reasons=row.reasons,
            before=before,
            before_of={test.title: old for test in tests if (old := before_of(row, test)) is not None},
            files=record.files,
        )
        replace(out.pages / f"{row.entry.id}.html", page.encode("utf-8", "replace"))


def _people(row: Row, anonymous: bool) -> tuple[Submitter, ...]:
    return () if anonymous else row.entry.submitters


def _person(one: Submitter) -> tuple[str, str, str]:
    return one.name, one.sid, one.email


def point_changes(rows: Sequence[Row]) -> list[str]:
    """What is worth other points than before, as sentences."""
    worth: Counter[tuple[str, float, float]] = Counter()
    for row in rows:
        for test in row.now.tests if row.now else ():
            old = before_of(row, test)
            if old is not None and old.max_score != test.max_score:
                worth[test.number or test.title, test.max_score, old.max_score] += 1
    return [
        f"{name} is worth {points(now)}, was {points(old)} ({count} submission{'s' if count > 1 else ''})"
        for (name, now, old), count in sorted(worth.items())
    ]


def _figures(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    changes = [row.change for row in rows if row.change]
    up = sum(change > 0 for change in changes)
    old, new = _totals(rows)
    average = f"{mean(old):.1f} → " if old else ""
    return (
        (str(len(rows)), "submissions"),
        (str(len(changes)), f"scores changed: {up} up, {len(changes) - up} down"),
        (f"{average}{mean(new):.1f}" if new else "–", "mean score" + (" before → now" if old else "")),
        (str(sum(row.status is not Status.GRADED for row in rows)), "to look at first"),
    )


def _totals(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    old = [row.entry.before.total for row in rows if row.entry.before and row.entry.before.total is not None]
    return old, [row.now.total for row in rows if row.now and row.now.total is not None]


def _chart(rows: Sequence[Row]) -> dict[str, Any]:
    """The distribution of totals, before and now side by side, in a picture of 640 by 200."""
    old, new = _totals(rows)
    full = maximum_of(rows) or max([*old, *new, 1])
    counts = {
        kind: _binned([total / full for total in totals]) for kind, totals in (("before", old), ("now", new))
    }
    counts = {kind: bins for kind, bins in counts.items() if any(bins) or kind == "now"}
    top = max(1, *(count for bins in counts.values() for count in bins))
    width = 52 / len(counts)
    bars = [
        {
            "kind": kind,
            "x": round(24 + 60 * index + width * place, 1),
            "width": round(width - 1, 1),
            "height": round(150 * count / top, 1),
            "count": count,
            "title": f"{count} {kind}: {full * index / _BINS:g} to {full * (index + 1) / _BINS:g} points",
        }
        for place, (kind, bins) in enumerate(counts.items())
        for index, count in enumerate(bins)
    ]
    ticks = [f"{full * index / _BINS:g}" for index in range(_BINS + 1)]
    return {"bars": bars, "ticks": ticks, "before": "before" in counts}


def _binned(shares: Sequence[float]) -> list[int]:
    bins = Counter(min(_BINS - 1, max(0, int(share * _BINS + 1e-9))) for share in shares)
    return [bins[index] for index in range(_BINS)]


def _check(index: int, title: str, data: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """One check over the class: shares of full, partial and none, a histogram, the commonest mistakes."""
    found = [test for row in data["rows"] for test in row["tests"] if test["test"] == index]
    kinds = Counter(test["kind"] for test in found)
    shares = [100 * kinds[kind] / max(1, len(found)) for kind in _KINDS]
    bars = [
        (kind, round(sum(shares[:at]), 2), round(shares[at], 2))
        for at, kind in enumerate(_KINDS)
        if shares[at]
    ]
    bins = _binned([test["now"] / test["max"] for test in found if test["max"]])
    old = [test["passedBefore"] for test in found if test["before"] is not None]
    losing = (
        row["diagnoses"]
        for row in data["rows"]
        if any(test["test"] == index and test["kind"] in ("part", "none") for test in row["tests"])
    )
    common = Counter(mistake for diagnoses in losing for mistake in diagnoses).most_common(_LISTED)
    return {
        "index": index,
        "title": title,
        "before": str(sum(old)) if old else "–",
        "full": kinds["full"],
        "told": ", ".join(f"{kinds[kind]} {label}" for kind, label in _KINDS.items() if kinds[kind]),
        "shares": " · ".join(f"{width:.0f}% {_KINDS[kind]}" for kind, _, width in bars),
        "bars": bars,
        "bins": [count / max(1, *bins) for count in bins],
        "mistakes": [(mistake, data["mistakes"][mistake], count) for mistake, count in common],
    }


def page_data(rows: Sequence[Row], *, anonymous: bool) -> dict[str, Any]:
    """Plain data for JSON; the script says what each field is for."""
    titles = [test.title for test in checks_of(rows)]
    found = mistakes(rows)
    texts = _Texts()
    test_index = {title: index for index, title in enumerate(titles)}
    mistake_index = {name: index for index, (name, _) in enumerate(found)}
    return {
        "anonymous": anonymous,
        "tests": [_clean(title) for title in titles],
        "mistakes": [_clean(name) for name, _ in found],
        "groups": [{"signals": " and ".join(group.signals), "ids": group.ids} for group in groups(rows)],
        "rows": [
            {
                "id": row.entry.id,
                "order": order,
                "folder": "" if anonymous else row.entry.folder,
                "people": []
                if anonymous
                else [list(map(_clean, _person(one))) for one in row.entry.submitters],
                "created": _clean(row.entry.created_at),
                "attempts": row.entry.attempts,
                "before": row.entry.before.total if row.entry.before else None,
                "now": row.now.total if row.now else None,
                "change": row.change,
                "status": row.status.value,
                "severity": _SEVERITY[row.status],
                "reasons": list(map(_clean, row.reasons)),
                "newText": texts.index(row.now.message if row.now else ""),
                "oldText": texts.index(row.entry.before.message if row.entry.before else ""),
                "diagnoses": [mistake_index[name] for name in dict.fromkeys(row.record.diagnoses)],
                "tests": list(_tests(row, test_index, texts)),
            }
            for order, row in enumerate(rows)
        ],
        "texts": texts.all,
    }


def _clean(text: str) -> str:
    return clean(text, _MAX_CHARS, joiners=True)


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
            self.all.append(clean(text, _MAX_CHARS, lines=True, joiners=True))
        return self._index[text]


def _tests(row: Row, test_index: dict[str, int], texts: _Texts) -> Iterator[dict[str, Any]]:
    matched: list[TestScore] = []
    for test in row.now.tests if row.now else ():
        old = before_of(row, test)
        if old is not None:
            matched.append(old)
        silent = test.passed and (old is None or (old.score == test.score and old.message == test.message))
        yield {
            "test": test_index[test.title],
            "now": test.score,
            "max": test.max_score,
            "kind": _kind(test),
            "before": old.score if old else None,
            "passedBefore": old.passed if old else None,
            "passed": test.passed,
            "newText": -1 if silent else texts.index(test.message),
            "oldText": -1 if silent or old is None else texts.index(old.message),
        }
    for old in row.entry.before.tests if row.entry.before else ():
        if old not in matched:
            yield {
                "test": -1,
                "title": _clean(old.title),
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


def _embedded(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
