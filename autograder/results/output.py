"""The texts of results.json: in one format, free of bytes that a database refuses, bounded in length."""

from __future__ import annotations

import html
import json
import re
from typing import Final

FORMATS: Final = ("text", "html", "simple_format", "md", "ansi")
"""The formats Gradescope knows for an output."""

_MARKUP: Final = frozenset({"html", "simple_format", "md"})
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\ud800-\udfff]")
_UNSAFE_OR_ESCAPE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

_CUT: Final = "\n… (the rest is cut here: it was too long to show)"
_REPLACED: Final = "The explanation of this check was too long to show. Please tell the course staff."


def json_size(text: str) -> int:
    """Return how many bytes the text takes up in results.json."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def safe(text: str, output_format: str) -> str:
    r"""Return the text with control characters and lone surrogates written as escapes (\x00).

    Tabs and line ends stay; the escape character stays in "ansi", whose colours it makes.
    """
    unsafe = _UNSAFE if output_format == "ansi" else _UNSAFE_OR_ESCAPE
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unsafe.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def bounded(text: str, output_format: str, limit: int) -> tuple[str, str]:
    """Return a text of at most limit bytes in JSON, and its format.

    Text and ANSI are cut at their end. Markup cut anywhere may break the page around it, so a note in
    plain text takes its place.
    """
    if json_size(text) <= limit:
        return text, output_format
    if output_format in _MARKUP:
        return _REPLACED, "text"
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if json_size(text[:middle] + _CUT) <= limit:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _CUT, output_format


def as_printed(text: str, output_format: str) -> str:
    """Return what a check printed, ready to stand in an output of that format."""
    if output_format in _MARKUP and text:
        return f"<pre>{html.escape(text)}</pre>\n"
    return text


def joined(*texts: str) -> str:
    """Join the texts that are not empty, with an empty line between them."""
    return "\n\n".join(text.strip("\n") for text in texts if text.strip())
