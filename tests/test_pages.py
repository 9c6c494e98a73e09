"""Pages in a browser: axe-core finds no violation, at two widths, light and dark; clean text everywhere."""

from __future__ import annotations

import json
import re
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from autograder.explain import _heat
from autograder.pages import submission_page
from autograder.regrade.report import write_report
from tests.regrade.browser import browse, in_a_browser
from tests.regrade.test_report import rows

FOUND = find_spec("axe_core_python")
AXE = Path(FOUND.origin).parent / "axe.min.js" if FOUND is not None and FOUND.origin else Path("nowhere")
ACTING = "\x1b[31m\x07\x85\u202e\u2066\u2028\u200b"


def a_page(folder: Path) -> Path:
    """One submission with everything that a page may hold."""
    test = {"number": "2.2", "name": "a check", "score": 2.0, "max_score": 10.0, "status": "failed"}
    step = {
        "name": "scores",
        "reference": _heat(PAIR),
        "student": _heat(PAIR),
        "differs": True,
        "first": True,
    }
    html = submission_page(
        {"score": 2.0, "tests": [{**test, "output": "hw.py, line 1: it differs"}], "output": "Code: hw.py."},
        files=[("hw.py", "x = 1\ny = 2")],
        people=["Zoë · 01 · z@uni.example"],
        facts="handed in 2024-03-01",
        comparisons=[{"number": "2.2", "title": "2.2", "lines": ["so"], "steps": [step]}],
    )
    (folder / "page.html").write_text(html, encoding="utf-8")
    return folder / "page.html"


PAIR = np.array([[1.0, -1.0], [0.25, float("nan")]])


def a_report(folder: Path) -> Path:
    write_report(rows(40), ["a note"], folder / "report.html", anonymous=False)
    return folder / "report.html"


@in_a_browser
@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("make", [a_page, a_report])
def test_axe_finds_no_violation(make, width: int, scheme: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # one of the two above
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", make(tmp_path).read_text("utf-8"))
    run = (
        f"<script>{AXE.read_text('utf-8')}</script><script>axe.run(document).then((found) => "
        "document.documentElement.setAttribute('data-axe', JSON.stringify(found.violations.map("
        "(one) => [one.id, one.nodes[0].html]))))</script>"
    )
    page = tmp_path / "watched.html"
    page.write_text(text.replace("</body>", f"{run}</body>"), encoding="utf-8")
    flags = [f"--window-size={width},900"] + ["--blink-settings=preferredColorScheme=0"] * (scheme == "dark")
    found = re.search(r'data-axe="([^"]*)"', browse(page, tmp_path / "profile", "--dump-dom", *flags))
    assert found
    assert json.loads(unescape(found[1])) == []


def test_no_text_of_a_page_acts(tmp_path: Path) -> None:
    test = {"number": "1.1", "name": ACTING, "score": 0.0, "max_score": 1.0, "output": ACTING}
    html = submission_page(
        {"score": 0.0, "tests": [test], "output": ACTING},
        ACTING,
        files=[(ACTING, ACTING)],
        people=[ACTING],
        facts=ACTING,
        reasons=[ACTING],
        comparisons=[{"number": "1.1", "title": ACTING, "lines": [ACTING], "steps": []}],
    )
    assert not set(ACTING.replace("[31m", "")) & set(html)


def test_lines_that_a_message_names_are_marked(tmp_path: Path) -> None:
    html = a_page(tmp_path).read_text("utf-8")
    assert "<mark>x = 1</mark>" in html
    assert "<mark>y = 2</mark>" not in html
