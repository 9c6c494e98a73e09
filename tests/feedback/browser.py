"""Looks at a page in headless Chromium: a screenshot, and what sticks out of the window."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from tests.regrade.browser import browse

# A frame can be narrower than a window, and a script outside can look into it: the page stays as it is.
_FRAME = """<!DOCTYPE html>
<meta charset="utf-8">
<iframe style="width:{width}px;height:1000px;border:0" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const scrolling = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const scrolls = e => e && (scrolling(e) || scrolls(e.parentElement));
  const width = page.documentElement.clientWidth;
  const out = [...page.body.querySelectorAll("*")].filter(
    e => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e.parentElement));
  const looked = {{
    width, scrollWidth: page.documentElement.scrollWidth, height: page.documentElement.scrollHeight,
    sticksOut: out.map(e => e.outerHTML.slice(0, 80)),
    images: [...page.images].map(i => ({{alt: i.alt, natural: i.naturalWidth, shown: i.width}})),
  }};
  document.documentElement.setAttribute("data-looked", JSON.stringify(looked));
}});
</script>
"""


@dataclass(frozen=True)
class Look:
    """What a browser makes of a page; sizes in pixels. images: alt, natural and shown width of each."""

    width: int
    scroll_width: int
    height: int
    sticks_out: list[str]
    images: list[dict[str, object]]


def look(html: str, width: int) -> Look:
    """The page in a window of this width."""
    looked = _run(_FRAME.format(width=width, page=escape(html)), 1400, 1100, "--dump-dom")
    found = re.search(r'data-looked="([^"]*)"', looked)
    assert found is not None
    data = json.loads(unescape(found[1]))
    return Look(data["width"], data["scrollWidth"], data["height"], data["sticksOut"], data["images"])


def screenshot(html: str, width: int, height: int, target: Path) -> Path:
    """A PNG of the page, as it is, in a window of this size."""
    _run(html, width, height, f"--screenshot={target}")
    return target


def _run(html: str, width: int, height: int, order: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(html, encoding="utf-8")
        size = f"--window-size={width},{height}"
        return browse(page, Path(folder, "profile"), "--hide-scrollbars", size, order)
