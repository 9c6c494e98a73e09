"""Text from an upload, made safe to show: bounded, and free of characters that act instead of showing.

It is not HTML-escaped here: that belongs to whoever writes HTML.
"""

from __future__ import annotations

import unicodedata
from typing import Final

NAME_LIMIT: Final = 80
"""Characters of a file's name or a label in a message."""

_ACTING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of control, format (bidirectional, zero-width), surrogate, private, unassigned
characters and line separators."""


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    r"""Return text with acting characters written as escapes (\x1b, \u202e), at most limit long.

    What is cut off is replaced by one "…". lines: line ends and tabs stay as they are (with "\r\n" and
    "\r" as "\n"); otherwise they are escaped too. limit must be at least 1.
    """
    head = text[: limit + 1]
    if lines:
        head = head.replace("\r\n", "\n").replace("\r", "\n")
    shown = "".join(_shown(char, lines) for char in head)
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return shown[: limit - 1] + "…"


def _shown(char: str, lines: bool) -> str:
    if char.isprintable() or (lines and char in "\n\t"):
        return char
    if unicodedata.category(char) in _ACTING:
        return char.encode("unicode_escape").decode("ascii")
    return " "
