from __future__ import annotations

import csv
from pathlib import Path

from autograder.regrade.rows import before_of, titles_of_tests
from autograder.regrade.table import as_json, write_table
from autograder.regrade.types import (
    Entry,
    Fingerprint,
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
        Entry(name, None, people, before=Score(before, ())),
        status,
        reasons,
        None if now is None else Score(now, tests),
        (),
        Fingerprint(),
    )


def table(folder: Path, *rows: Row, anonymous: bool = False) -> list[dict[str, str]]:
    write_table(rows, folder / "grades.csv", anonymous=anonymous)
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_row_holds_who_what_before_and_now_and_every_test(tmp_path: Path) -> None:
    (line,) = table(tmp_path, row("7", ANA))
    assert line == {
        "name": "Ana",
        "sid": "001",
        "email": "ana@uni.example",
        "id": "7",
        "score before": "50",
        "score now": "62.5",
        "change": "12.5",
        "2.9 check 2.9": "5",
        "2.10 check 2.10": "5",
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
    assert titles_of_tests([row()]) == ["2.9 check 2.9", "2.10 check 2.10"]


def test_an_old_test_is_found_by_number_or_else_by_name() -> None:
    old = (TestScore("", "2.9) Check 2.9", 1.0, 10.0, ""), TestScore("2.10", "renamed", 2.0, 10.0, ""))
    one = Row(Entry("1", None, before=Score(3.0, old)), Status.GRADED, (), None, (), Fingerprint())
    assert before_of(one, TestScore("2.9", "check 2.9", 0, 10, "")) == old[0]
    assert before_of(one, TestScore("2.10", "check 2.10", 0, 10, "")) == old[1]
    assert before_of(one, TestScore("2.9", "worded anew", 0, 10, "")) == old[0]
    assert before_of(one, TestScore("", "renamed", 0, 10, "")) == old[1]
    assert before_of(one, TestScore("3.1", "another", 0, 10, "")) is None


def test_the_json_names_nobody() -> None:
    data = as_json([row("7", ANA)], ["a note"])
    assert data["submissions"][0]["change"] == 12.5
    assert "Ana" not in str(data)
