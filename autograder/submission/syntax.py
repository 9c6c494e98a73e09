"""Parsing Python that came from an upload: a tree, or None, whatever the text is."""

from __future__ import annotations

import ast
import warnings


def parse(source: str) -> ast.Module | None:
    """Parse source; None if it is not Python, or too deeply nested to parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is the student's, not ours
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def encodable(source: str) -> str:
    """Return source with "\\n" line ends and without lone surrogates, which no file can hold."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8")
