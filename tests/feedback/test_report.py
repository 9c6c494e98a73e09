"""The HTML report: everything is in it and escaped, nothing is loaded, and it fits a telephone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autograder.__main__ import main
from autograder.feedback.hand_designed import explain_matrices
from autograder.feedback.messages import Verdict
from autograder.pages import submission_page
from tests.feedback.browser import look, screenshot
from tests.feedback.matrices import PLANTED
from tests.regrade.browser import in_a_browser

ANSWERS = Path(__file__).resolve().parents[3] / "shared" / "assignment" / "answers"
NASTY = "<script>alert('x')</script> & \"q\" </pre></main>"
UNBROKEN = "x" * 400


def entry(number: str, **fields: Any) -> dict[str, Any]:
    return {
        "number": number,
        "name": f"check {number}",
        "score": 0.0,
        "max_score": 5.0,
        "status": "failed",
    } | fields


def with_pictures() -> dict[str, Any]:
    """Results with one failed check for every third planted mistake."""
    tests = []
    for i, (name, task, transformer) in enumerate(PLANTED[::3]):
        explained = explain_matrices(Verdict.of(task, transformer), half=False)
        output = {"output": explained.text, "output_format": explained.format}
        tests.append(entry(f"3.{i}", name=name, tags=[task.name], **output))
    tests.append(entry("4.1", output=f"{UNBROKEN}\n{NASTY}", output_format="text"))
    return {"score": 12.5, "output": f"Found: {UNBROKEN}.ipynb", "output_format": "text", "tests": tests}


class Elements(HTMLParser):
    """Every start tag with its attributes, and whether all end tags match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_check_is_named_with_its_verdict_and_points() -> None:
    tests = [
        entry("1.1", score=5.0, status="passed"),
        entry("1.2", score=2.5, output="half"),
        entry("1.3", output="wrong"),
        {"number": "1.4", "name": "later", "score": 0.0, "max_score": 5.0, "output": "Not graded because"},
        {
            "number": "5.1",
            "name": "optional",
            "score": 0.0,
            "max_score": 0.0,
            "output": "Not attempted, which",
        },
    ]
    html = submission_page({"score": 7.5, "tests": tests}, "Report")
    rows = re.findall(
        r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td><td class=\"number points\">(.*?)</td>", html
    )
    assert [re.sub("<[^>]*>", "", name) for name, _, _ in rows] == [
        "1.1 check 1.1",
        "1.2 check 1.2",
        "1.3 check 1.3",
        "1.4 later",
        "5.1 optional",
    ]
    assert [verdict for _, verdict, _ in rows] == [
        "✓ passed",
        "◐ partly right",
        "✗ not right",
        "– not graded",
        "○ not attempted",
    ]
    assert [points for _, _, points in rows] == ["5 of 5", "2.5 of 5", "0 of 5", "0 of 5", "no points"]
    assert "<strong>7.5</strong> of 20 points; 1 of 3 checks passed." in html


def test_student_text_is_escaped_wherever_it_stands() -> None:
    test = entry("1.1", name=NASTY, tags=[NASTY], output=NASTY, output_format="text")
    html = submission_page({"score": 0.0, "output": NASTY, "output_format": "text", "tests": [test]}, NASTY)
    assert "<script" not in html
    elements = Elements(html)
    assert elements.open == []


@pytest.mark.parametrize("text_format", ["text", "md", "simple_format", "ansi"])
def test_an_output_that_is_no_html_is_shown_as_text(text_format: str) -> None:
    html = submission_page(
        {"score": 0.0, "tests": [entry("1.1", output="\x1b[31m<b>", output_format=text_format)]}
    )
    assert "&lt;b&gt;" in html


def test_nothing_is_loaded_from_elsewhere_and_nothing_may_run() -> None:
    html = submission_page(with_pictures(), "Report")
    elements = Elements(html)
    policies = [a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not {tag for tag, _ in elements.found} & {"script", "link", "iframe", "object", "form"}
    sources = [a["src"] for _, a in elements.found if "src" in a]
    assert sources
    assert all((source or "").startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in html


def test_the_page_says_its_language_and_every_picture_has_words() -> None:
    elements = Elements(submission_page(with_pictures(), "Report"))
    assert ("html", {"lang": "en"}) in elements.found
    assert [tag for tag, _ in elements.found].count("h1") == 1
    assert all(len(a["alt"] or "") > 50 for tag, a in elements.found if tag == "img")


def test_links_lead_to_checks_that_are_there() -> None:
    elements = Elements(submission_page(with_pictures(), "Report"))
    targets = {f"#{a['id']}" for tag, a in elements.found if tag == "article"}
    assert {a["href"] for tag, a in elements.found if tag == "a"} == targets


def test_results_without_tests_make_a_report() -> None:
    html = submission_page({"score": 0.0, "output": "interrupted", "output_format": "text", "tests": []})
    assert "interrupted" in html


def test_a_report_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "upload").mkdir()
    arguments = [str(tmp_path / "upload"), "--results", str(tmp_path / "r.json"), "--html", str(tmp_path)]
    assert main(arguments) == 2
    assert "the report cannot be written" in capsys.readouterr().err


@pytest.mark.skipif(not ANSWERS.is_dir(), reason="the assignment's answers are not here")
def test_a_dry_run_writes_the_report_with_the_picture(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    soft = str(ANSWERS / "bad_content_soft")
    assert main([soft, "--results", str(tmp_path / "r.json"), "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    assert "Attention lands on the right tokens but is not sharp enough" in html
    assert "half of the points" in html
    assert "<img " in html


@in_a_browser
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_sticks_out_of_the_window(width: int) -> None:
    looked = look(submission_page(with_pictures(), "Report"), width)
    assert looked.width == width
    assert looked.scroll_width <= width
    assert looked.sticks_out == []


@in_a_browser
def test_pictures_are_sharp_in_a_wide_window_and_shrink_in_a_narrow_one() -> None:
    html = submission_page(with_pictures(), "Report")
    wide, narrow = look(html, 1200), look(html, 400)
    assert all(int(str(i["natural"])) >= 1.9 * int(str(i["shown"])) for i in wide.images)
    assert all(int(str(i["shown"])) < 400 for i in narrow.images)
    assert all(i["alt"] for i in narrow.images)


@in_a_browser
@pytest.mark.parametrize("width", [400, 1200])
def test_a_screenshot_shows_dark_text_and_pictures_on_a_light_page(width: int, tmp_path: Path) -> None:
    shot = screenshot(submission_page(with_pictures(), "Report"), width, 3000, tmp_path / "page.png")
    grey = np.asarray(Image.open(shot).convert("L"))
    assert grey.shape == (3000, width)
    assert np.median(grey) > 230
    assert 0.01 < (grey < 100).mean() < 0.3


@in_a_browser
def test_what_sticks_out_is_found() -> None:
    looked = look('<!DOCTYPE html><body><div style="width:900px">wide</div>', 400)
    assert looked.scroll_width > 400
    assert len(looked.sticks_out) == 1
