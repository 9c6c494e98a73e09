"""Cuts cells into top-level statements, and says what each is: a definition, training, a marker.

Nothing is run here.
"""

from __future__ import annotations
import __future__

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from autograder.assignment import LOG_NAME, Task
from autograder.sandbox.calls import Cell
from autograder.sandbox.wire import LoadLevel, source_lines

TRAINING: Final = frozenset({"train_loop", "compare_transformers"})
"""The assignment's own functions for training and for comparing plots."""
MAX_SYNTAX_ERRORS: Final = 3

_GENERATORS: Final = {
    "generate_test_cases_identity": Task.CONTENT,
    "generate_test_cases_first": Task.POSITION,
    "generate_test_cases_unique": Task.UNIQUE,
}
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_NAMES: Final = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ASSIGNMENTS: Final = (ast.Assign, ast.AnnAssign, ast.AugAssign)
_BLOCKS: Final = (ast.If, ast.Try, ast.With)
_CONTINUES: Final = (" ", "\t", "\f", "#", ")", "]", "}", "\n", "\r", "else:", "elif ", "except", "finally:")


class Strength(IntEnum):
    """How sure a marker is that its task's matrices stand ready."""

    DEFINED = 1  # the def of the task's generator
    CALLED = 2  # a statement that calls the task's generator
    STORED = 3  # a statement that stores the task's results in TO_SAVE


@dataclass(frozen=True)
class Chunk:
    """A top-level statement, or a stretch that does not parse (then error is there)."""

    label: str
    line: int
    node: ast.stmt | None
    error: Exception | None = None


def cut(cell: Cell) -> Iterator[Chunk]:
    """The statements of a cell; where it does not parse, the stretches that do, around those that don't.

    Python refuses the whole cell then; here the student still gets what the rest is worth.
    """
    lines = [f"{line}\n" for line in source_lines(cell.source)]
    starts = [i for i, line in enumerate(lines) if line.strip() and not line.startswith(_CONTINUES)]
    begin, errors = 0, 0
    while begin < len(lines) or begin == 0:
        try:
            yield from _statements(cell.label, lines, begin, len(lines))
            return
        except Exception as error:
            errors += 1
            if errors > MAX_SYNTAX_ERRORS:
                return
            place = (error.lineno or begin + 1) if isinstance(error, SyntaxError) else begin + 1
            bad, good = _largest_good_prefix(cell.label, lines, starts, begin, place - 1)
            yield from good
            yield Chunk(cell.label, place, None, error)
            begin = next((start for start in starts if start > bad), len(lines))
            if begin >= len(lines):
                return


def _statements(label: str, lines: list[str], begin: int, end: int) -> list[Chunk]:
    source = "\n" * begin + "".join(lines[begin:end])
    tree = ast.parse(source, label)
    return [Chunk(label, _first_line(node), node) for node in tree.body]


def _largest_good_prefix(
    label: str, lines: list[str], starts: list[int], begin: int, bad: int
) -> tuple[int, list[Chunk]]:
    """The line where the bad stretch begins, at or before `bad`, and the statements before it."""
    candidates = [start for start in starts if begin < start <= bad]
    for end in reversed(candidates[-4:]):
        try:
            return end, _statements(label, lines, begin, end)
        except Exception:  # noqa: S112 the stretch before is broken too: look further up
            continue
    return (candidates[0] - 1 if len(candidates) > 4 else begin), []


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min((decorator.lineno for decorator in decorators), default=node.lineno)


def runs_at(node: ast.stmt, level: LoadLevel) -> bool:
    """Whether the statement runs at this level."""
    if level is LoadLevel.ALL:
        return True
    if isinstance(node, (ast.If, ast.Try)):  # "try: import x", "if TYPE_CHECKING: import x"
        bodies = [node.body, node.orelse]
        if isinstance(node, ast.Try):
            bodies += [node.finalbody, *(handler.body for handler in node.handlers)]
        return all(runs_at(inner, level) or isinstance(inner, ast.Pass) for body in bodies for inner in body)
    if isinstance(node, _ASSIGNMENTS):
        return level is LoadLevel.DEFINITIONS
    return isinstance(node, _NAMES)


@dataclass(frozen=True)
class Uses:
    """The names that a statement calls, and the texts that it stores under or writes as keys of a dict.

    Its own, not those of the functions and classes that it defines.
    """

    called: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


def uses(node: ast.stmt) -> Uses:
    """One walk through the statement, for all that is asked of it."""
    if isinstance(node, _SCOPES):
        return Uses()
    called: set[str] = set()
    keys: set[str] = set()
    for inner in _outside_scopes(node):
        if isinstance(inner, ast.Call):
            called.add(_called(inner))
        elif isinstance(inner, (ast.Subscript, ast.Dict)):
            keys.update(_keys(inner))
    return Uses(frozenset(called), frozenset(keys))


def _keys(node: ast.Subscript | ast.Dict) -> Iterator[str]:
    keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if _is_stored(node) else []
    for key in keys:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


def _is_stored(node: ast.Subscript | ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def without_training(node: ast.stmt, used: Uses) -> tuple[ast.stmt | None, list[ast.stmt]]:
    """What is left of a statement without the calls of training functions, and what was taken out.

    Whole statements are taken out, the smallest within `if`, `try` and `with`: all of a script may
    stand under `if __name__ == "__main__":`.
    """
    if not used.called & TRAINING:
        return node, []
    if not isinstance(node, _BLOCKS):
        return None, [node]
    skipped: list[ast.stmt] = []
    bodies = [(node, "body"), (node, "orelse"), (node, "finalbody")]
    bodies += [(handler, "body") for handler in getattr(node, "handlers", [])]
    for owner, field in bodies:
        body: list[ast.stmt] = getattr(owner, field, [])
        for i, inner in enumerate(body):
            kept, taken = without_training(inner, uses(inner))
            skipped += taken
            body[i] = kept or ast.copy_location(ast.Pass(), inner)
    if uses(node).called & TRAINING:  # in the `if` or `with` itself
        return None, [node]
    return node, skipped


def markers(node: ast.stmt, used: Uses) -> dict[Task, Strength]:
    """The tasks whose cell this statement marks."""
    if isinstance(node, ast.FunctionDef):
        return {_GENERATORS[node.name]: Strength.DEFINED} if node.name in _GENERATORS else {}
    found = {_GENERATORS[name]: Strength.CALLED for name in used.called & _GENERATORS.keys()}
    for task in (Task.CONTENT, Task.POSITION):
        if any(key.startswith(task.value) for key in used.keys):
            found[task] = Strength.STORED
    return found


def names_stored(node: ast.stmt) -> set[str]:
    """The variables that the statement assigns."""
    return {inner.id for inner in _outside_scopes(node) if isinstance(inner, ast.Name) and _is_stored(inner)}


def writes_log(node: ast.stmt) -> bool:
    """Whether the statement has to do with the log's file, which cannot be written here, nor need be."""
    return any(isinstance(inner, ast.Constant) and inner.value == LOG_NAME for inner in ast.walk(node))


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _outside_scopes(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, but not what is inside function and class definitions."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        for value in vars(current).values():
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST) and not isinstance(child, _SCOPES):
                    stack.append(child)


FUTURE_FLAGS: Final = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
