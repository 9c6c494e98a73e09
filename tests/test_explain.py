"""`explain`: one upload on one page, with the first step that differs from the reference marked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autograder.__main__ import main

UPLOADS = Path(__file__).parent / "submissions"


def page_of(name: str, folder: Path, *arguments: str) -> str:
    page = folder / "page.html"
    assert main(["explain", str(UPLOADS / name), "-o", str(page), *arguments]) == 0
    return page.read_text("utf-8")


def first_differing(html: str) -> list[str]:
    return re.findall(r'class="differs"><th scope="row">([a-z ]+)<br><strong>', html)


def test_scores_that_are_not_scaled_are_the_first_that_differs(tmp_path: Path) -> None:
    html = page_of("wrong_no_scale", tmp_path)
    assert first_differing(html) == ["scores"] * 3  # one case of each of 2.2, 2.3 and 2.4
    for told in (
        "queries",
        "keys",
        "values",
        "attention weights",
        "What was graded",
        "class PytorchTransformer",
    ):
        assert told in html


def test_a_failing_sequence_stands_beside_a_right_answer(tmp_path: Path) -> None:
    html = page_of("wrong_position_soft", tmp_path)
    assert "4.2: the first failing sequence" in html
    assert first_differing(html) == ["output"]
    assert "data:image/png;base64," in html


def test_one_check_is_told_of_alone(tmp_path: Path) -> None:
    html = page_of("wrong_no_scale", tmp_path, "--check", "2.3")
    assert first_differing(html) == ["scores"]
    assert "2.3: one failing case" in html
    assert "2.2: one failing case" not in html


def test_a_right_upload_has_nothing_to_compare(tmp_path: Path) -> None:
    html = page_of("perfect", tmp_path)
    assert first_differing(html) == []
    assert "The reference beside the student" not in html


def test_the_training_of_compare_is_a_part_of_it(tmp_path: Path) -> None:
    html = page_of("wrong_content_overflow", tmp_path, "--train", "15")
    assert "Designed by hand against learned" in html


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([str(UPLOADS / "perfect"), "-o", "{folder}"], "cannot be written"),
        ([str(UPLOADS / "perfect"), "-o", "{folder}/a.html", "--check", "9.9"], "there is no check 9.9"),
        (["{folder}/nothing", "-o", "{folder}/a.html"], "there is no"),
    ],
)
def test_wrong_usage_is_said(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    assert told in capsys.readouterr().err
