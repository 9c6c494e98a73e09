"""The parts of report.html that need no script: figures, what to look at first, chart, tests, groups."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import mean
from typing import Any, Final
from urllib.parse import quote

from autograder.regrade.chart import distribution
from autograder.regrade.page_data import SEVERITY
from autograder.regrade.types import Row, Status

_LISTED: Final = 8
"""Ids named for a mistake or a group; a button shows the others in the table."""
_KINDS: Final = {"full": "passed", "part": "in part", "none": "failed", "idle": "optional"}
_COLUMNS: Final = (
    ("id", "Submission", ""),
    ("who", "Submitters", ""),
    ("before", "Before", "number"),
    ("now", "Now", "number"),
    ("change", "Change", "number"),
    ("tests", "Tests", ""),
    ("status", "Status", ""),
    ("why", "Recognised mistakes", ""),
)


def summary(rows: Sequence[Row], notes: Sequence[str], data: dict[str, Any], *, anonymous: bool) -> str:
    """The page's body, but for the data and the script."""
    return "\n".join(
        (
            f"<h1>Regrade of {len(rows)} submissions</h1>",
            _figures(rows),
            _attention(rows, notes, anonymous),
            f'<div class="pair"><div>{_chart(rows)}{_mistakes(data)}{_groups(data)}</div>'
            f"<div>{_tests(data)}</div></div>",
            _table(data, anonymous),
            "<dialog></dialog>",
        )
    )


def _figures(rows: Sequence[Row]) -> str:
    changes = [row.change for row in rows if row.change]
    up = sum(change > 0 for change in changes)
    old = [row.entry.before.total for row in rows if row.entry.before and row.entry.before.total is not None]
    new = [row.now.total for row in rows if row.now and row.now.total is not None]
    odd = sum(row.status is not Status.GRADED for row in rows)
    average = f"{mean(old):.1f} → " if old else ""
    figures = (
        (str(len(rows)), "submissions"),
        (str(len(changes)), f"scores changed: {up} up, {len(changes) - up} down"),
        (f"{average}{mean(new):.1f}" if new else "–", "mean score" + (" before → now" if old else "")),
        (str(odd), "to look at first"),
    )
    boxes = (f'<div class="figure"><b>{value}</b><span>{label}</span></div>' for value, label in figures)
    return f'<div class="figures">{"".join(boxes)}</div>'


def _attention(rows: Sequence[Row], notes: Sequence[str], anonymous: bool) -> str:
    odd = sorted(
        (row for row in rows if row.status is not Status.GRADED), key=lambda row: SEVERITY[row.status]
    )
    lines = [
        f'<li><span class="pill odd">{row.status.value}</span> {_link(row.entry.id)} '
        f"{'' if anonymous else ', '.join(f'<bdi>{escape(one.name)}</bdi>' for one in row.entry.submitters)} "
        f'<span class="muted">{escape("; ".join(row.reasons))}</span></li>'
        for row in odd
    ]
    lines.extend(f'<li><span class="pill">note</span> {escape(note)}</li>' for note in notes)
    if not lines:
        return ""
    return f'<section class="attention"><h2>Look here first</h2><ul>{"".join(lines)}</ul></section>'


def _link(id: str) -> str:  # noqa: A002 - it is an id everywhere else
    return f'<a href="#id={quote(id, safe="")}">{escape(id)}</a>'


def _chart(rows: Sequence[Row]) -> str:
    old = [row.entry.before.total for row in rows if row.entry.before and row.entry.before.total is not None]
    new = [row.now.total for row in rows if row.now and row.now.total is not None]
    full = max((sum(test.max_score for test in row.now.tests) for row in rows if row.now), default=0)
    full = full or max([*old, *new, 1])
    key = '<i class="key before"></i>before<i class="key now"></i>now' if old else ""
    return (
        f'<section><h2>Scores <span class="muted">{key}</span></h2>{distribution(old, new, full)}</section>'
    )


def _tests(data: dict[str, Any]) -> str:
    results: list[list[dict[str, Any]]] = [[] for _ in data["tests"]]
    for row in data["rows"]:
        for test in row["tests"]:
            if test["now"] is not None:
                results[test["test"]].append(test)
    lines = (_test_line(*pair) for pair in zip(data["tests"], results, strict=True))
    there = {test["kind"] for tests in results for test in tests}
    key = " ".join(
        f'<span class="nowrap"><i class="key {kind}"></i>{label}</span>'
        for kind, label in _KINDS.items()
        if kind in there
    )
    return (
        f'<section><h2>How many pass each test <span class="muted">{key}</span></h2>'
        '<div class="scroll"><table><thead><tr><th>Test</th>'
        '<th class="number">Before</th><th class="number">Now</th><th>Share now</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _test_line(title: str, results: list[dict[str, Any]]) -> str:
    old = [test["passedBefore"] for test in results if test["before"] is not None]
    kinds = [test["kind"] for test in results]
    counts = {kind: kinds.count(kind) for kind in ("full", "part", "none", "idle")}
    told = ", ".join(f"{count} {_KINDS[kind]}" for kind, count in counts.items() if count)
    passed = str(sum(old)) if old else "–"
    left, bars = 0.0, ""
    for kind, count in counts.items():
        width = 100 * count / len(results)
        bars += f'<rect class="{kind}" x="{left:.2f}" width="{width:.2f}" height="10"/>'
        left += width
    return (
        f'<tr><td>{escape(title)}</td><td class="number">{passed}</td>'
        f'<td class="number">{counts["full"]}</td><td><svg class="bar" viewBox="0 0 100 10" '
        f'preserveAspectRatio="none" role="img" aria-label="{told}"><title>{told}</title>{bars}</svg>'
        "</td></tr>"
    )


def _mistakes(data: dict[str, Any]) -> str:
    lines = []
    for index, name in enumerate(data["mistakes"]):
        ids = [row["id"] for row in data["rows"] if index in row["diagnoses"]]
        lines.append(
            f'<tr><td><button class="link" data-show="mistake {index}">{escape(name)}</button></td>'
            f'<td class="number">{len(ids)}</td><td class="ids">{_listed(ids)}</td></tr>'
        )
    return _short_table("Commonest mistakes", "", ("Mistake", "Count", "Submissions"), lines)


def _groups(data: dict[str, Any]) -> str:
    lines = [
        f'<tr><td><button class="link" data-show="group {index}">{group["signals"]}</button></td>'
        f'<td class="number">{len(group["ids"])}</td><td class="ids">{_listed(group["ids"])}</td></tr>'
        for index, group in enumerate(data["groups"])
    ]
    hint = (
        "Uploads with the same matrices up to rounding, the same code up to names and layout, or the same "
        "time in the log. Places to look, not a verdict: short exercises have answers that many find."
    )
    return _short_table("Same answers", hint, ("Same", "Count", "Submissions"), lines)


def _short_table(title: str, hint: str, heads: tuple[str, str, str], lines: list[str]) -> str:
    if not lines:
        return f'<section><h2>{title}</h2><p class="muted">None.</p></section>'
    first, second, third = heads
    told = f'<p class="muted">{hint}</p>' if hint else ""
    return (
        f'<section><h2>{title}</h2>{told}<div class="short"><table><thead><tr><th>{first}</th>'
        f'<th class="number">{second}</th><th>{third}</th></tr></thead><tbody>{"".join(lines)}</tbody>'
        "</table></div></section>"
    )


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return ", ".join(_link(one) for one in ids[:_LISTED]) + more


def _table(data: dict[str, Any], anonymous: bool) -> str:
    heads = "".join(
        f'<th data-sort="{name}" class="{kind}" scope="col"><button>{label}</button></th>'
        for name, label, kind in _COLUMNS
        if not (anonymous and name == "who")
    )
    tests = "".join(
        f'<option value="{how} {index}">{label} {escape(title)}</option>'
        for how, label in (("lost", "lost points in"), ("changed", "changed in"))
        for index, title in enumerate(data["tests"])
    )
    states = "".join(f"<option>{status.value}</option>" for status in Status)
    return (
        '<section id="submissions"><h2>Submissions <span class="muted" id="count"></span></h2>'
        '<div class="tools"><input id="text" type="search" placeholder="Filter by id, name, mistake …" '
        'aria-label="Filter"><select id="status" aria-label="Status"><option value="">any status</option>'
        f'{states}</select><select id="change" aria-label="Change"><option value="">any change</option>'
        '<option value="any">changed</option><option value="up">went up</option>'
        '<option value="down">went down</option></select><select id="test" aria-label="Test">'
        f'<option value="">any test</option>{tests}</select><button id="chip" hidden></button></div>'
        f'<div class="scroll tall"><table id="all"><thead><tr>{heads}</tr></thead><tbody></tbody></table>'
        '<p id="none" class="muted" hidden>No submission is like that.</p></div></section>'
    )
