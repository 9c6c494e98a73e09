from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.regrade.grades import as_json, write_canvas, write_grades, write_gradescope
from autograder.regrade.scores import checks_of, paired
from autograder.regrade.types import (
    Entry,
    Record,
    Row,
    Score,
    Status,
    Submitter,
    TestScore,
)

ANA = Submitter("Ana", "001", "ana@uni.example")
FORMULA = Submitter('=HYPERLINK("http://x")', "+1", "@x")


def row(
    name: str = "1",
    *people: Submitter,
    before: float | None = 50.0,
    now: float | None = 62.5,
    status: Status = Status.GRADED,
    reasons: tuple[str, ...] = (),
) -> Row:
    tests = tuple(TestScore(number, f"check {number}", 5.0, 10.0, "") for number in ("2.10", "2.9"))
    return Row(
        Entry(name, None, people, "2024-03-01", before=Score(before), folder=f"submission_{name}"),
        status,
        reasons,
        Score() if now is None else Score(now, tests),
        Record(),
    )


def table(folder: Path, *rows: Row, anonymous: bool = False) -> list[dict[str, str]]:
    write_grades(rows, folder / "grades.csv", anonymous=anonymous)
    return read(folder / "grades.csv")[1:]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def test_a_row_holds_who_what_before_and_now_and_every_test(tmp_path: Path) -> None:
    (line,) = table(tmp_path, row("7", ANA))
    assert line == {
        "name": "Ana",
        "sid": "001",
        "email": "ana@uni.example",
        "id": "7",
        "folder": "submission_7",
        "handed in": "2024-03-01",
        "score before": "50",
        "score now": "62.5",
        "change": "12.5",
        "2.9": "5",
        "2.10": "5",
        "status": "graded",
    }


def test_every_member_of_a_group_has_a_row(tmp_path: Path) -> None:
    lines = table(tmp_path, row("7", ANA, FORMULA))
    assert [line["sid"] for line in lines] == ["001", "'+1"]
    assert [line["id"] for line in lines] == ["7", "7"]


def test_a_name_cannot_be_a_formula(tmp_path: Path) -> None:
    (line,) = table(tmp_path, row("7", FORMULA))
    assert line["name"] == """'=HYPERLINK("http://x")"""
    assert line["email"] == "'@x"


@pytest.mark.parametrize(
    "start",
    ["=", "+", "-", "@", "\t=", "\uff1d", "\uff0b", "\ufeff=", "\u00ad=", " =", "\u200d=", "\r@", "-1+"],
)
def test_nothing_that_a_spreadsheet_may_run_starts_a_field(tmp_path: Path, start: str) -> None:
    (line,) = table(tmp_path, row("7", Submitter(f"{start}cmd|' /C calc'!A0", "1", "a@b")))
    assert line["name"][0] in "'\\"


def test_every_field_is_quoted_and_excel_is_told_that_it_is_utf_8(tmp_path: Path) -> None:
    table(tmp_path, row("7", Submitter('Zoë, "Z"', "1", "a@b")))
    text = (tmp_path / "grades.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf")
    for line in text.decode("utf-8-sig").splitlines():
        assert line.startswith('"')
        assert line.endswith('"')
        assert '""Z""' in line or line.count(",") == line.count('","')


def test_the_first_row_holds_the_maxima(tmp_path: Path) -> None:
    table(tmp_path, row("7", ANA))
    first = read(tmp_path / "grades.csv")[0]
    assert (first["name"], first["score now"], first["2.9"], first["2.10"]) == ("maximum", "20", "10", "10")


def test_canvas_gets_its_own_columns_and_the_possible_points(tmp_path: Path) -> None:
    write_canvas([row("7", ANA), row("8", now=None)], tmp_path / "canvas.csv", "Homework 3")
    lines = list(csv.reader((tmp_path / "canvas.csv").read_text("utf-8").splitlines()))
    assert lines == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Homework 3"],
        ["    Points Possible", "", "", "", "", "20"],
        ["Ana", "", "001", "ana", "", "62.5"],
    ]


def test_gradescope_gets_its_own_columns(tmp_path: Path) -> None:
    write_gradescope(
        [row("7", Submitter("Ana María Ruiz", "001", "ana@uni.example"))], tmp_path / "gradescope.csv"
    )
    (line,) = read(tmp_path / "gradescope.csv")
    assert line["First Name"] == "Ana María"
    assert line["Last Name"] == "Ruiz"
    assert (line["Total Score"], line["Max Points"], line["Status"]) == ("62.5", "20", "Graded")
    assert (line["Submission ID"], line["Submission Count"]) == ("7", "1")
    assert line["2.9 check 2.9 (10 pts)"] == "5"


def test_a_score_that_fell_stays_a_number(tmp_path: Path) -> None:
    assert table(tmp_path, row(before=70.0))[0]["change"] == "-7.5"


def test_a_submission_without_a_result_has_no_score_at_all(tmp_path: Path) -> None:
    (line,) = table(tmp_path, row(now=None, status=Status.FAULT, reasons=("it died",)))
    assert (line["score now"], line["change"], line["status"]) == ("", "", "grader fault; it died")


def test_without_names_one_row_per_submission_and_no_column_for_people(tmp_path: Path) -> None:
    (line,) = table(tmp_path, row("7", ANA, FORMULA), anonymous=True)
    assert not {"name", "sid", "email"} & set(line)
    assert "Ana" not in (tmp_path / "grades.csv").read_text()


def test_tests_are_ordered_by_their_numbers_as_numbers() -> None:
    assert [test.number for test in checks_of([row()])] == ["2.9", "2.10"]


def test_an_old_test_is_found_by_number_or_else_by_name() -> None:
    old = (TestScore("", "2.9) Check 2.9", 1.0, 10.0, ""), TestScore("2.10", "renamed", 2.0, 10.0, ""))
    names = (
        ("2.9", "check 2.9"),
        ("2.10", "check 2.10"),
        ("2.9", "anew"),
        ("", "renamed"),
        ("3.1", "another"),
    )
    now = Score(0.0, tuple(TestScore(number, name, 0, 10, "") for number, name in names))
    one = Row(Entry("1", None, before=Score(3.0, old)), Status.GRADED, (), now, Record())
    assert paired(one) == [*zip(now.tests, (old[0], old[1], old[0], old[1], None), strict=True)]


def test_an_old_test_that_is_gone_comes_last() -> None:
    old = (TestScore("9.9", "gone", 1.0, 10.0, ""), TestScore("2.9", "check 2.9", 5.0, 10.0, ""))
    one = row()
    one = replace(one, entry=replace(one.entry, before=Score(6.0, old)))
    assert paired(one) == [(one.now.tests[0], None), (one.now.tests[1], old[1]), (None, old[0])]


def test_the_json_names_nobody() -> None:
    data = as_json([row("7", ANA)], ["a note"])
    assert data["submissions"][0]["change"] == 12.5
    assert "Ana" not in str(data)
