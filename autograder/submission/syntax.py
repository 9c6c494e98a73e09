"""Parsing Python that came from an upload: a tree, or None, whatever the text is."""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache
from typing import Final

_KEPT_CHARS: Final = 1 << 14
"""Longer sources are not kept: a tree takes some fifty times the room of its text."""


def parse(source: str) -> ast.Module | None:
    """Parse source; None if it is not Python, or too deeply nested to parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is the student's, not ours
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def shared_tree(source: str) -> ast.Module | None:
    """As `parse`, and parsed once for all who ask; the tree is theirs to read, not to change."""
    return _kept_tree(source) if len(source) <= _KEPT_CHARS else parse(source)


@lru_cache(maxsize=32)  # the cells of a notebook
def _kept_tree(source: str) -> ast.Module | None:
    return parse(source)


def encodable(source: str) -> str:
    """Return source with "\\n" line ends and without lone surrogates, which no file can hold."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8")
