"""What in an upload's source a teaching assistant should look at. It is told to staff, and never judged.

A program shares its process with what reports its answers, so that it can cheat in ways that no check sees;
most uploads that hold these constructs are honest. Syntax alone is read, once, each node in constant time.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
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
        tree = shared_tree(cell.source) if any(word in cell.source for word in _WORDS) else None
        for node in ast.walk(tree) if tree is not None else ():
            for what in _of(node):
                told.append(f"{cell.label}, line {getattr(node, 'lineno', 1)}: {what}")
                if len(told) == MAX_TOLD:
                    return told
    return told


def _of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        if node.attr in _ATTRIBUTES:
            yield f"{_ATTRIBUTES[node.attr]} ({node.attr})"
        elif node.attr == "write" and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield "writes to a file descriptor (os.write)"
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from (_MODULES[root] for name in names if (root := name.partition(".")[0]) in _MODULES)
    elif isinstance(node, ast.ClassDef):
        if any(isinstance(base, ast.Attribute) and base.attr == "Function" for base in node.bases):
            yield f"an autograd.Function of its own ({node.name[:80]}): gradients need not be its output's"
    elif isinstance(node, ast.FunctionDef) and node.name == "forward":
        used = (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
        yield from [f"forward uses the given {GIVEN_CLASS_NAME}"] if GIVEN_CLASS_NAME in used else []
