"""What students see of ten faulty uploads on a page like Gradescope's, which escapes text and cleans HTML.

The real page is not at hand. This one keeps of HTML what Gradescope is known to keep, and gives each output
a box that does not scroll.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers.every import BY_NAME
from tests.answers.upload import log_and_notebook, write
from tests.feedback.browser import look
from tests.regrade.browser import in_a_browser

FAULTY = (
    "no scale",
    "softmax over queries",
    "returns a tuple",
    "bias left on",
    "loop over both",
    "syntax error in the class",
    "layer norm",
    "content overflow",
    "position soft",
    "both designs soft",
)
KEPT = {"p": {"style"}, "pre": {"style"}, "b": set(), "br": set(), "ul": set(), "li": set()}
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]{,69999}")
STYLE = (
    "body { font: 16px Lato, Helvetica, sans-serif; margin: 0 12px } h3 { font-size: 16px } "
    ".output { border: 1px solid #ccc; padding: 10px } "
    ".text { white-space: pre-wrap; overflow-wrap: anywhere }"
)


class _Cleaner(HTMLParser):
    """Keeps the text, and of the tags and attributes those that Gradescope keeps; lists what is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] = []
        self.lost: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {"img": {"style", "alt"}, **KEPT}.get(tag)
        if known is None:
            self.lost.append(tag)
            return
        told = []
        for name, value in attributes:
            small_picture = (tag, name) == ("img", "src") and PICTURE.fullmatch(value or "")
            if name in known or small_picture:
                told.append(f' {name}="{escape(value or "")}"')
            else:
                self.lost.append(f"{tag} {name}")
        self.kept.append(f"<{tag}{''.join(told)}>")

    def handle_endtag(self, tag: str) -> None:
        self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.kept.append(escape(data))


def _output(part: Mapping[str, Any], lost: list[str]) -> str:
    text = part.get("output", "")
    if part.get("output_format") != "html":
        return f'<div class="output text">{escape(text)}</div>'
    cleaner = _Cleaner()
    cleaner.feed(text)
    cleaner.close()
    lost += cleaner.lost
    return f'<div class="output">{"".join(cleaner.kept)}</div>'


def gradescopes_page(results: Mapping[str, Any], lost: list[str]) -> str:
    """The body of the page; what the cleaning costs is added to lost."""
    tests = [
        f"<h3>{escape(test['name'])} ({test.get('score', '-')}/{test['max_score']})</h3>{_output(test, lost)}"
        for test in results["tests"]
    ]
    return _output(results, lost) + "".join(tests)


@pytest.fixture(scope="module")
def ten(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """Ten results on one page, and what of them was lost."""
    folder: Path = tmp_path_factory.mktemp("faulty")
    lost: list[str] = []
    pages = []
    for name in FAULTY:
        upload = write(log_and_notebook(BY_NAME[name]), folder / name)
        pages.append(gradescopes_page(grade(upload, fork_server).results, lost))
    return f"<meta charset=utf-8><style>{STYLE}</style>{''.join(pages)}", lost


def test_nothing_is_lost_where_html_is_cleaned(ten: tuple[str, list[str]]) -> None:
    page, lost = ten
    assert lost == []
    assert page.count("<img") >= 3


def test_a_script_a_class_or_a_large_picture_would_be_lost() -> None:
    lost: list[str] = []
    html = f'<script>1</script><p class="x">a</p><img src="data:image/png;base64,{"A" * 70_001}" alt="b">'
    _output({"output": html, "output_format": "html"}, lost)
    assert lost == ["script", "p class", "img src"]


@in_a_browser
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_cut_in_a_wide_window_or_on_a_telephone(ten: tuple[str, list[str]], width: int) -> None:
    seen = look(ten[0], width)
    assert seen.sticks_out == []
    assert seen.scroll_width <= seen.width
    assert all(image["alt"] for image in seen.images)
