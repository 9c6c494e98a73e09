"""report.html, as text and in a browser. Its own policy forbids foreign scripts, so a copy drops it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.regrade.output_folder import Out
from autograder.regrade.report import point_changes, write_pages, write_report
from autograder.regrade.scores import row_of
from autograder.regrade.types import (
    Entry,
    Record,
    Row,
    Score,
    Status,
    Submitter,
    TestScore,
)
from autograder.version import version_line
from tests.feedback.browser import look
from tests.regrade.browser import browse, drive, in_a_browser

EVIL = "</script><img src=x onerror=alert(1)>\u2028<!--"
NUMBERS = ("1.1", "2.2", "3.2", "4.2")


def scored(scores: tuple[float, ...], message: str) -> tuple[TestScore, ...]:
    return tuple(
        TestScore(number, f"check {number}", score, 10.0, "" if score == 10 else f"{message} in {number}")
        for number, score in zip(NUMBERS, scores, strict=True)
    )


def rows(size: int) -> list[Row]:
    made = []
    for i in range(size):
        before = (10.0, 10.0 if i % 3 else 0.0, 5.0, 10.0)
        now = (10.0, 10.0, 5.0 if i % 4 else 10.0, 10.0 if i % 5 else 0.0)
        status = Status.FAULT if i == 70 else Status.TIMED_OUT if i == 50 else Status.GRADED
        made.append(
            Row(
                entry=Entry(
                    id=str(1000 + i),
                    upload=None,
                    submitters=(Submitter(f"Zoë {EVIL if i == 7 else i}", f"0{i}", f"s{i}@uni.example"),),
                    before=Score(sum(before), scored(before, "old message")),
                ),
                status=status,
                reasons=("2.2: KeyError",) if status is Status.FAULT else (),
                now=Score(sum(now), scored(now, f"new message {EVIL}" if i == 9 else "new message")),
                record=Record(
                    diagnoses=("not scaled",) if i % 5 == 0 else (),
                    signals={"matrices": f"m{i // 2}"},
                ),
            )
        )
    return made


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(rows(2000), ["a note & more"], path, anonymous=False)
    return path


def test_the_page_needs_no_network(report: Path) -> None:
    text = report.read_text("utf-8")
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    assert "default-src 'none'" in text


def test_nothing_of_an_upload_ends_the_script_it_is_quoted_in(report: Path) -> None:
    text = report.read_text("utf-8")
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert "a note &amp; more" in text


def test_the_data_is_whole(report: Path) -> None:
    data = embedded(report)
    assert len(data["rows"]) == 2000
    assert data["rows"][7]["people"][0][0] == "Zoë " + EVIL.replace("\u2028", "\\u2028")
    assert data["tests"] == [f"{number} check {number}" for number in NUMBERS]


def embedded(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
    assert found
    return json.loads(found[1])


def test_faults_stand_before_time_outs_in_what_to_look_at_first(report: Path) -> None:
    first = report.read_text("utf-8").split("Look here first")[-1].split("</section>")[0]
    assert first.index("1070") < first.index("1050") < first.index("a note")
    assert "2.2: KeyError" in first


def test_what_staff_should_look_at_stands_there_and_on_the_submission_s_page(tmp_path: Path) -> None:
    with Out.hold(tmp_path / "OUT") as out:
        pass
    results = {"score": 1.0, "tests": [], "extra_data": {"look at": ["cell 4, line 2: <ctypes>"]}}
    out.keep(Record(json.dumps(results).encode(), id="1003", key="key"))
    row = row_of(Entry("1003", upload=None), out)
    assert row.status is Status.GRADED
    write_report([*rows(2), row], [], tmp_path / "report.html", anonymous=True)
    first = (tmp_path / "report.html").read_text("utf-8").split("Look here first")[-1].split("</section>")[0]
    assert "1003" in first
    assert "cell 4, line 2: &lt;ctypes&gt;" in first
    write_pages([row], out, "report.html", anonymous=True)
    assert "Look at cell 4, line 2: &lt;ctypes&gt;" in (out.pages / "1003.html").read_text("utf-8")


def test_without_names_the_page_has_none(tmp_path: Path) -> None:
    write_report(rows(20), [], tmp_path / "report.html", anonymous=True)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "Zoë" not in text
    assert "uni.example" not in text
    assert "1003" in text


def test_a_report_of_nobody_is_a_page_too(tmp_path: Path) -> None:
    write_report([], [], tmp_path / "report.html", anonymous=False)
    assert "Regrade of 0 submissions" in (tmp_path / "report.html").read_text("utf-8")


@in_a_browser
def test_the_page_draws_its_first_rows_under_its_own_policy_and_the_rest_when_they_are_wanted(
    report: Path, tmp_path: Path
) -> None:
    shown = browse(report, tmp_path / "profile", "--dump-dom", address="#id=1009")
    assert shown.count("<tr data-id=") == 150  # 2,000 take seconds to lay out
    assert "2000 of 2000" in shown
    assert re.search("<dialog [^>]*open", shown)
    assert "new message &lt;/script&gt;&lt;img" in shown


@in_a_browser
def test_faults_come_first_and_columns_sort_both_ways(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "told.first = ids().slice(0, 2);"
        "const head = document.querySelector('th[data-sort=change] button'); head.click();"
        "told.up = data.rows.find((row) => row.id === ids()[0]).change; head.click();"
        "told.down = data.rows.find((row) => row.id === ids()[0]).change;"
        "told.sorted = head.parentElement.getAttribute('aria-sort')",
    )
    assert told["first"] == ["1070", "1050"]
    changes = [row.change or 0.0 for row in rows(2000)]
    assert (told["up"], told["down"]) == (min(changes), max(changes))
    assert told["sorted"] == "descending"


@in_a_browser
def test_filters_leave_what_was_asked_for(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "set('text', 's77@uni'); told.text = ids(); set('text', '');"
        "set('status', 'time-out'); told.status = ids(); set('status', '');"
        "set('change', 'up'); told.up = ids().length; set('change', '');"
        "set('test', 'lost 3'); told.lost = ids().length;"
        "set('test', 'changed 1'); told.changed = ids().length;"
        "set('test', ''); document.querySelector('[data-show=\"mistake 0\"]').click();"
        "told.mistake = ids().length; document.getElementById('chip').click(); told.all = ids().length",
    )
    up = sum((row.change or 0) > 0 for row in rows(2000))
    assert told == {
        "text": ["1077"],
        "status": ["1050"],
        "up": up,
        "lost": 400,
        "changed": 667,
        "mistake": 400,
        "all": 2000,
    }


@in_a_browser
def test_a_submission_opens_with_the_old_message_beside_the_new_one(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "open('1015'); const tests = [...document.querySelectorAll('dialog .test')];"
        "told.first = tests[0].innerText; told.messages = [...document.querySelectorAll('dialog pre')]"
        ".map((one) => one.textContent); told.same = document.querySelector('dialog').innerText",
    )
    assert "2.2 check 2.2" in told["first"]
    assert "0 → 10 of 10" in told["first"]
    assert "old message in 2.2" in told["messages"]
    assert "new message in 4.2" in told["messages"]
    assert "Same matrices as 1014" in told["same"]


@in_a_browser
@pytest.mark.parametrize("width", [1280, 420])
def test_a_picture_can_be_taken_at_two_widths_and_nothing_sticks_out(
    report: Path, tmp_path: Path, width: int
) -> None:
    picture = tmp_path / "page.png"
    size = f"--window-size={width},1600"
    browse(report, tmp_path / "profile", size, f"--screenshot={picture}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    seen = look(report.read_text("utf-8"), width)
    assert (seen.width, seen.scroll_width) == (width, width)


@in_a_browser
def test_the_table_grows_as_it_is_scrolled_and_is_whole_in_print(report: Path, tmp_path: Path) -> None:
    told = drive(
        report,
        tmp_path,
        "told.first = body.rows.length; scroller.dispatchEvent(new Event('scroll'));"
        "scroller.scrollTop = scroller.scrollHeight; scroller.dispatchEvent(new Event('scroll'));"
        "told.scrolled = body.rows.length; dispatchEvent(new Event('beforeprint'));"
        "told.printed = body.rows.length; told.ids = ids().length",
    )
    assert told["first"] == 150
    assert told["scrolled"] > 150
    assert (told["printed"], told["ids"]) == (2000, 2000)


def a_class() -> list[Row]:
    """Ana's verdict changes, Ben's points alone, Chen's message alone, and Dana's nothing."""
    names = ("Ana García", "Ben Öz", "李雷 Chen", "=Dana")
    changes = (
        (0.0, 10.0, "", ""),
        (2.0, 5.0, "", ""),
        (2.0, 2.0, "old words", "new words"),
        (2.0, 2.0, "", ""),
    )
    made = []
    for number, (name, (before, now, old, new)) in enumerate(zip(names, changes, strict=True), start=1):
        entry = Entry(
            id=f"31{number}",
            upload=None,
            submitters=(Submitter(name, f"00{number}", f"s{number}@uni.example"),),
            before=Score(before, (TestScore("2.2", "check", before, 10.0, old or "was so"),)),
            folder=f"submission_31{number}",
        )
        tests = (TestScore("2.2", "check", now, 10.0, new or "was so"),)
        record = Record(diagnoses=("scores not scaled",) if number == 2 else ())
        graded = Score(now, tests, f"Code: hw{number}.py.")
        made.append(Row(entry, Status.GRADED, (), graded, record))
    return made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "report.html"
    write_report(a_class(), [], path, anonymous=False)
    return path


@in_a_browser
def test_a_student_is_found_by_whatever_is_known_of_them(small: Path, tmp_path: Path) -> None:
    asked = {
        "garcia": ["311"],
        "ARCÍA ana": ["311"],
        "s2@UNI": ["312"],
        "oz": ["312"],
        "李雷": ["313"],
        "003": ["313"],
        "314": ["314"],
        "submission_314": ["314"],
        "hw4.py": ["314"],
        "new words": ["313"],
        "not scaled": ["312"],
    }
    told = drive(
        small,
        tmp_path,
        f"for (const word of {json.dumps(list(asked))}) {{ set('text', word); told[word] = ids(); }}",
    )
    assert told == asked


@in_a_browser
def test_what_changed_is_told_apart_verdict_points_and_message(small: Path, tmp_path: Path) -> None:
    told = drive(
        small,
        tmp_path,
        "for (const kind of ['verdict', 'points', 'message']) { set('change', kind); told[kind] = ids(); }",
    )
    assert told == {"verdict": ["311"], "points": ["312"], "message": ["313"]}


@in_a_browser
def test_a_filtered_view_goes_along_as_a_list_and_as_csv(small: Path, tmp_path: Path) -> None:
    told = drive(
        small,
        tmp_path,
        "set('text', 'dana'); told.list = list(); told.csv = csv(); set('text', '313'); told.lost = csv()",
    )
    assert told["list"] == "314\t=Dana"
    comments = next(csv.DictReader(io.StringIO(told["lost"])))["comments"]
    assert comments == "2.2 check (2 of 10)\nnew words"
    head, line, end = told["csv"].split("\r\n")
    assert head.startswith('\ufeff"id","name","sid","email"')
    assert line.startswith('"314","\'=Dana","004","s4@uni.example"')
    assert end == ""


@in_a_browser
@pytest.mark.parametrize("address", ["#312", "#id=312", "#submission_312"])
def test_a_submission_has_an_address(small: Path, tmp_path: Path, address: str) -> None:
    shown = browse(small, tmp_path / "profile", "--dump-dom", address=address)
    assert re.search("<dialog [^>]*open", shown)
    assert "Ben Öz" in shown.split("<dialog")[1]


def test_a_check_has_its_shares_its_histogram_and_its_commonest_mistakes(small: Path) -> None:
    text = small.read_text("utf-8")
    assert "25% passed · 75% in part" in text
    assert 'data-show="mistake 0 0">scores not scaled</button> <span class="muted">1</span>' in text
    assert "2.2 check: scores from none to full" in text


def test_the_report_says_which_grader_it_is_of(small: Path) -> None:
    assert version_line() in small.read_text("utf-8")


def test_a_change_of_points_is_told_before_the_scores_it_moved(tmp_path: Path) -> None:
    (one,) = rows(1)
    assert one.now is not None
    tests = tuple(replace(test, max_score=20.0) if test.number == "2.2" else test for test in one.now.tests)
    moved = replace(one, now=replace(one.now, tests=tests))
    assert point_changes([moved]) == ["2.2 is worth 20, was 10 (1 submission)"]
    write_report([moved], [], tmp_path / "report.html", anonymous=False)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert text.index("2.2 is worth 20, was 10") < text.index('id="submissions"')
