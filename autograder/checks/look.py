"""What in an upload's source a teaching assistant should look at. It is told to staff, and never judged.

A program shares its process with what reports its answers, so that it can cheat in ways that no check sees;
most uploads that hold these constructs are honest. Syntax alone is read, once, each node in constant time.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

from autograder.assignment import GIVEN_CLASS_NAME
from autograder.sandbox.calls import Cell
from autograder.submission.older_python import shared_tree

MAX_TOLD: Final = 20
_ATTRIBUTES: Final = {
    "_getframe": "looks into the frames of its callers",
    "f_back": "looks into the frames of its callers",
    "get_objects": "looks for objects of others",
    "get_referrers": "looks for objects of others",
    "settrace": "sets a trace function",
    "setprofile": "sets a profile function",
    "_DisableTorchDispatch": "keeps operations from being seen",
    "fdopen": "writes to a file descriptor",
}
_MODULES: Final = {"ctypes": "reaches past Python with ctypes", "cffi": "reaches past Python with cffi"}

_WORDS: Final = (*_ATTRIBUTES, *_MODULES, "os.write", ".Function", GIVEN_CLASS_NAME)
"""One of them stands in every cell that holds such a construct."""


def suspicious(cells: Sequence[Cell]) -> list[str]:
    """One line per construct: "cell 4, line 12: looks into the frames of its callers (_getframe)"."""
    told: list[str] = []
    for cell in cells:
        if any(word in cell.source for word in _WORDS) and (tree := shared_tree(cell.source)):
            found = ((getattr(node, "lineno", 1), what) for node in ast.walk(tree) if (what := _what(node)))
            told += [f"{cell.label}, line {line}: {what}" for line, what in found]
    return told[:MAX_TOLD]


def _what(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(attr=name) if name in _ATTRIBUTES:
            return f"{_ATTRIBUTES[name]} ({name})"
        case ast.Attribute(ast.Name("os"), "write"):
            return "writes to a file descriptor (os.write)"
        case ast.alias(name) | ast.ImportFrom(str(name)):
            return _MODULES.get(name.partition(".")[0])
        case ast.ClassDef(name, bases) if "Function" in [getattr(base, "attr", "") for base in bases]:
            return f"an autograd.Function of its own ({name[:80]}): gradients need not be its output's"
        case ast.FunctionDef("forward"):
            names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
            return f"forward uses the given {GIVEN_CLASS_NAME}" if GIVEN_CLASS_NAME in names else None
    return None
