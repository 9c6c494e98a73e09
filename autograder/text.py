"""Text from an upload, made safe to show: bounded, and free of characters that act instead of showing.

It is not HTML-escaped here: that belongs to whoever writes HTML.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

NAME_LIMIT: Final = 80
"""Characters of a file's name or a label in a message."""
_ACTING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of control, format (bidirectional, zero-width), surrogate, private, unassigned
characters and line separators."""
_JOINERS: Final = "\u200c\u200d"
_MARKUP: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)|<(/?)([a-z][a-z0-9]*)\b[^<>]*>",
    re.DOTALL | re.IGNORECASE,
)
_BLOCKS: Final = frozenset(
    ("p", "div", "br", "tr", "li", "pre", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6")
)
_CELLS: Final = frozenset({"td", "th"})


def clean(text: str, limit: int, *, lines: bool = False, joiners: bool = False) -> str:
    r"""Return text with acting characters written as escapes (\x1b, \u202e), at most limit long.

    What is cut off is replaced by one "…". lines: line ends and tabs stay as they are (with "\r\n" and
    "\r" as "\n"); otherwise they are escaped too. joiners: so do the two characters without width
    that Persian and other scripts spell names with. limit must be at least 1.
    """
    keep = ("\n\t" if lines else "") + (_JOINERS if joiners else "")
    head = text[: limit + 1]
    if lines:
        head = head.replace("\r\n", "\n").replace("\r", "\n")
    shown = "".join(_shown(char, keep) for char in head)
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return shown[: limit - 1] + "…"


def _shown(char: str, keep: str) -> str:
    if char.isprintable() or char in keep:
        return char
    if unicodedata.category(char) in _ACTING:
        return char.encode("unicode_escape").decode("ascii")
    return " "


def points(value: float | None, none: str = "–") -> str:
    """Points with at most two decimals; none: what stands for nothing."""
    return none if value is None else f"{round(value, 2) + 0.0:.10g}"


def by_number(number: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sort key of a check's number: 2.10 after 2.9, no number last."""
    parts = re.split(r"[.\s]+", number)
    return not number, [(int(part) if part.isdecimal() else 10**8, part) for part in parts]


def text_of_html(html: str) -> str:
    """The words of an HTML message: a line per paragraph, item or table row, without markup and pictures.

    Reads whatever it is given in linear time, which HTMLParser does only in the newest Pythons.
    """
    from html import unescape  # imported here: grading a right upload shows no HTML

    def instead(markup: re.Match[str]) -> str:
        name = (markup[3] or "").lower()
        return "\n" if name in _BLOCKS else "  " if name in _CELLS and not markup[2] else ""

    lines = unescape(_MARKUP.sub(instead, html)).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())
