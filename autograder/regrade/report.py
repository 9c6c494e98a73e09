"""report.html, which shows whose grade moves and why, and pages/<id>.html for each submission.

The summary is a template; the table of submissions is drawn by the page's own script from data embedded as
JSON, with short references to titles, mistakes and messages: a class of 2,000 has some 28,000 test results
and few different messages, so each stands there once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any, Final

from autograder.pages import markup, points, render, submission_page
from autograder.regrade.output_folder import Out, replace
from autograder.regrade.scores import checks_of, groups, maximum_of, mistakes, moved, old_of
from autograder.regrade.types import Row, Score, Status, TestScore
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
    page = render(
        "regrade.html",
        f"Regrade of {len(rows)} submissions",
        figures=_figures(rows),
        worth=point_changes(rows),
        odd=[row for status in Status for row in rows if row.status is status is not Status.GRADED],
        looked=[row for row in rows if row.look_at],
        notes=notes,
        anonymous=anonymous,
        statuses=[status.value for status in Status],
        columns=[column for column in _COLUMNS if not (anonymous and column[0] == "who")],
        titles=data["tests"],
        kinds=list(_KINDS.items()),
        checks=_checks(data),
        chart=_chart(rows),
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
        facts = [
            "" if anonymous else entry.folder,
            entry.created_at and f"handed in {entry.created_at}",
            "" if row.change is None else f"{points(before.total)} → {points(row.now.total)}",
        ]
        page = submission_page(
            json.loads(record.results),
            f"Submission {entry.id}",
            id=entry.id,
            report=report,
            people=[] if anonymous else [" · ".join(filter(None, one)) for one in entry.submitters],
            facts=", ".join(filter(None, facts)),
            reasons=(*row.reasons, *(f"Look at {line}" for line in row.look_at)),
            before=None if before == Score() else before,
            before_of=old_of(row),
            files=record.files,
        )
        replace(out.pages / f"{entry.id}.html", page.encode("utf-8", "replace"))


def point_changes(rows: Sequence[Row]) -> list[str]:
    """What is worth other points than before, as sentences."""
    worth: Counter[tuple[str, float, float]] = Counter()
    for row in rows:
        found = old_of(row)
        for test in row.now.tests:
            old = found.get(test.title)
            if old is not None and old.max_score != test.max_score:
                worth[test.number or test.title, test.max_score, old.max_score] += 1
    return [
        f"{name} is worth {points(now)}, was {points(old)} ({count} submission{'s' if count > 1 else ''})"
        for (name, now, old), count in sorted(worth.items())
    ]


def _figures(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    old, new = _totals(rows)
    average = f"{mean(old):.1f} → " if old else ""
    return (
        (str(len(rows)), "submissions"),
        moved(rows),
        (f"{average}{mean(new):.1f}" if new else "–", "mean score" + (" before → now" if old else "")),
        (str(sum(row.status is not Status.GRADED for row in rows)), "to look at first"),
    )


def _totals(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    old, new = ([row.entry.before.total for row in rows], [row.now.total for row in rows])
    return [one for one in old if one is not None], [one for one in new if one is not None]


def _chart(rows: Sequence[Row]) -> dict[str, Any]:
    """The distribution of totals, before and now side by side, in a picture of 640 by 200."""
    old, new = _totals(rows)
    full = maximum_of(rows) or max([*old, *new, 1])
    counts = {kind: _binned(totals, full) for kind, totals in (("before", old), ("now", new)) if totals}
    top = max((count for bins in counts.values() for count in bins), default=1)
    width = 52 / max(1, len(counts))
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


def _binned(values: Sequence[float], full: float) -> list[int]:
    bins = Counter(min(_BINS - 1, max(0, int(value / full * _BINS + 1e-9))) for value in values)
    return [bins[index] for index in range(_BINS)]


def _checks(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each check over the class: shares of full, partial and none, a histogram, the commonest mistakes."""
    found: list[list[tuple[dict[str, Any], list[int]]]] = [[] for _ in data["tests"]]
    for row in data["rows"]:
        for test in row["tests"]:
            if test["test"] >= 0:
                found[test["test"]].append((test, row["diagnoses"]))
    for index, (title, tests) in enumerate(zip(data["tests"], found, strict=True)):
        kinds = Counter(test["kind"] for test, _ in tests)
        shares = {kind: 100 * kinds[kind] / len(tests) for kind in _KINDS if kinds[kind]}
        lefts = accumulate(shares.values(), initial=0.0)
        bins = _binned([test["now"] / test["max"] for test, _ in tests if test["max"]], 1.0)
        old = [test["passedBefore"] for test, _ in tests if test["before"] is not None]
        losing = (diagnoses for test, diagnoses in tests if test["kind"] in ("part", "none"))
        common = Counter(mistake for diagnoses in losing for mistake in diagnoses).most_common(_LISTED)
        yield {
            "index": index,
            "title": title,
            "before": str(sum(old)) if old else "–",
            "full": kinds["full"],
            "told": ", ".join(f"{kinds[kind]} {_KINDS[kind]}" for kind in shares),
            "shares": " · ".join(f"{share:.0f}% {_KINDS[kind]}" for kind, share in shares.items()),
            "bars": [
                (kind, round(left, 2), round(shares[kind], 2))
                for kind, left in zip(shares, lefts, strict=False)
            ],
            "bins": [count / max(1, *bins) for count in bins],
            "mistakes": [(mistake, data["mistakes"][mistake], count) for mistake, count in common],
        }


def page_data(rows: Sequence[Row], *, anonymous: bool) -> dict[str, Any]:
    """Plain data for JSON; the script says what each field is for."""
    titles = {test.title: index for index, test in enumerate(checks_of(rows))}
    found = {name: index for index, (name, _) in enumerate(mistakes(rows))}
    severity = {status: index for index, status in enumerate(Status)}
    texts: dict[str, int] = {}

    def text(message: str) -> int:
        """Where the message stands among all, each of which is there once; -1 for none."""
        return texts.setdefault(message, len(texts)) if message else -1

    def tests(row: Row) -> Iterator[dict[str, Any]]:
        old_ones = old_of(row)
        for test in row.now.tests:
            old = old_ones.get(test.title)
            silent = test.passed and (
                old is None or (old.score == test.score and old.message == test.message)
            )
            yield {
                "test": titles[test.title],
                "now": test.score,
                "max": test.max_score,
                "kind": _kind(test),
                "before": old.score if old else None,
                "passedBefore": old.passed if old else None,
                "passed": test.passed,
                "newText": -1 if silent else text(test.message),
                "oldText": -1 if silent or old is None else text(old.message),
            }
        for old in row.entry.before.tests:
            if old not in old_ones.values():
                yield {
                    "test": -1,
                    "title": _clean(old.title),
                    "now": None,
                    "max": old.max_score,
                    "kind": "idle",
                    "before": old.score,
                    "newText": -1,
                    "oldText": text(old.message),
                }

    lines = [
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
            "severity": severity[row.status],
            "reasons": list(map(_clean, row.reasons)),
            "newText": text(row.now.message),
            "oldText": text(row.entry.before.message),
            "diagnoses": [found[name] for name in dict.fromkeys(row.record.diagnoses)],
            "tests": list(tests(row)),
        }
        for order, row in enumerate(rows)
    ]
    return {
        "anonymous": anonymous,
        "tests": list(map(_clean, titles)),
        "mistakes": list(map(_clean, found)),
        "groups": [{"signals": " and ".join(group.signals), "ids": group.ids} for group in groups(rows)],
        "rows": lines,
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
