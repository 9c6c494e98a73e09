"""A submission opened in report.html: what a reader sees, and what the keys do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.regrade.report import write_report
from autograder.regrade.scores import score_of_results
from autograder.regrade.types import Row
from tests.regrade.browser import drive, in_a_browser
from tests.regrade.test_report import rows

pytestmark = in_a_browser
TABLE = "<table><tr><td>A</td><td>0.5</td></tr></table>"


def a_test(number: str, output: str, score: float = 0.0) -> dict[str, object]:
    return {"number": number, "name": "a check", "score": score, "max_score": 5.0, "output": output}


def row(old: dict[str, object], new: dict[str, object]) -> Row:
    first = rows(1)[0]
    entry = replace(first.entry, before=score_of_results(old), created_at="2024-03-01 11:00:00.123456 Z")
    return replace(first, entry=entry, now=score_of_results(new))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows of one group; in the first, one message stayed and one changed."""
    same, html = a_test("1.1", "the same words"), a_test("1.2", f"<b>now &lt;b&gt;</b><br>{TABLE}")
    first = row(
        {"tests": [same, a_test("1.2", "was so")], "output": "The autograder failed."},
        {"tests": [same, {**html, "output_format": "html"}], "output": "Code: hw.py."},
    )
    group = [replace(one, record=first.record) for one in rows(12)[1:]]
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report([first, *group], [], path, anonymous=False)
    return path


def test_a_message_that_stayed_is_shown_once_and_one_that_changed_beside_the_old_one(
    report: Path, tmp_path: Path
) -> None:
    told = drive(
        report,
        tmp_path,
        "open('1000');"
        "told.tests = [...document.querySelectorAll('dialog .test')].map((one) => one.innerText)",
    )
    above, same, changed = told["tests"][:3]
    assert "The autograder failed." in above
    assert "Code: hw.py." in above
    assert same.count("the same words") == 1
    assert "before and now" in same
    assert "0 of 5" in same
    assert "was so" in changed
    assert "now <b>" in changed
    assert "<td>" not in changed


def test_facts_are_in_plain_words(report: Path, tmp_path: Path) -> None:
    told = drive(report, tmp_path, "open('1000'); told.text = document.querySelector('dialog').innerText")
    assert "0 points, as before" in told["text"]
    assert "handed in 2024-03-01 11:00:00 Z" in told["text"]


def test_the_others_of_a_group_are_a_click_away(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "open('1000'); const links = [...document.querySelectorAll('dialog a')];"
        "told.links = links.map((one) => one.getAttribute('href')); "
        "document.querySelector('dialog [data-show]').click();"
        "told.open = document.querySelector('dialog').open; told.shown = ids().length",
    )
    assert told["links"] == ["pages/1000.html", *(f"#id={1001 + index}" for index in range(8))]
    assert not told["open"]
    assert told["shown"] == 12


def test_arrow_keys_go_through_the_rows_and_the_focus_stays_on_its_button(
    report: Path, tmp_path: Path
) -> None:
    press = (
        "document.querySelector('dialog').dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'ArrowRight', bubbles: true})); told.asked = location.hash;"
    )
    told = drive(
        report,
        tmp_path,
        f"open(ids()[3]); {press} told.next = ids()[4];"
        "const next = [...document.querySelectorAll('dialog header button')][1]; next.focus();"
        "open(ids()[4]); told.focus = document.activeElement.textContent",
    )
    assert told["asked"] == f"#id={told['next']}"
    assert told["focus"] == "Next ›"


def test_a_filter_that_nothing_passes_says_so(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "const none = document.getElementById('none'); told.before = none.hidden;"
        "set('text', 'nobody at all'); told.after = none.hidden; told.rows = ids().length",
    )
    assert told == {"before": True, "after": False, "rows": 0}
