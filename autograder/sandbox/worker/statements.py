"""Cuts cells into top-level statements, and says of each what it defines, names, trains or marks.

Nothing is run here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from autograder.assignment import LOG_KEYS, LOG_NAME, TASK_FACTS, Section, Task
from autograder.sandbox.calls import Cell
from autograder.sandbox.wire import source_lines

TRAINING: Final = frozenset({"train_loop", "compare_transformers"})
"""The assignment's own functions for training and for comparing plots."""
MAX_SYNTAX_ERRORS: Final = 4
_DEFINITIONS: Final = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS: Final = (ast.If, ast.Try, ast.With)
_CONTINUES: Final = (" ", "\t", "\f", "#", ")", "]", "}", "\n", "\r", "else:", "elif ", "except", "finally:")
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass
class Uses:
    """What a statement names, its own code, not that of the functions and classes that it defines.

    called: functions. stored, loaded: variables. keys: the texts that it stores under or writes as keys of a
    dict, each with the variables of the value.
    """

    called: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    keys: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tests_model(self) -> bool:
        """The notebook's test, or the lines that record the model for the log."""
        return "test" in self.called or not self.keys.keys().isdisjoint(LOG_KEYS[Section.MODEL])

    @property
    def marks(self) -> dict[Task, int]:
        """The tasks whose cell this statement marks, each with how sure it is that the matrices stand ready:
        1, it defines the task's generator; 2, it calls it; 3, it stores the results for the log."""
        found = {}
        for task, facts in TASK_FACTS.items():
            if any(key.startswith(task.value) for key in self.keys):
                found[task] = 3
            elif facts.generator in self.called or facts.generator in self.stored:
                found[task] = 2 if facts.generator in self.called else 1
        return found


def uses(node: ast.stmt) -> Uses:
    """One walk through the statement, for all that is asked of it."""
    used = Uses()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        used.stored.add(node.name)
        return used
    stack: list[ast.AST] = [node]
    while stack:
        inner = stack.pop()
        stack += (child for child in ast.iter_child_nodes(inner) if not isinstance(child, _SCOPES))
        items: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(inner, ast.Call):
            used.called.add(str(getattr(inner.func, "id", getattr(inner.func, "attr", ""))))
        elif isinstance(inner, ast.Name):
            (used.stored if isinstance(inner.ctx, ast.Store) else used.loaded).add(inner.id)
        elif isinstance(inner, ast.Dict):
            items = [*zip(inner.keys, inner.values, strict=True)]
        elif isinstance(inner, ast.Assign):
            items = [(each.slice, inner.value) for each in inner.targets if isinstance(each, ast.Subscript)]
        for key, value in items:
            if isinstance(key, ast.Constant):
                used.keys[str(key.value)] = [at.id for at in ast.walk(value) if isinstance(at, ast.Name)]
    return used


# --- A cell's statements. ---


def cut(cell: Cell) -> Iterator[tuple[int, ast.stmt | Exception]]:
    """The statements of a cell, each with its line; where it does not parse, those of the stretches that do,
    and the errors between them.

    Python refuses the whole cell then; here the student still gets what the rest is worth.
    """
    lines = source_lines(cell.source)
    starts = [i for i, line in enumerate(lines) if line.strip() and not line.startswith(_CONTINUES)]

    def parsed(begin: int, end: int) -> list[tuple[int, ast.stmt]]:
        tree = ast.parse("\n" * begin + "".join(lines[begin:end]), cell.label)
        whole = [(node, *getattr(node, "decorator_list", ())) for node in tree.body]
        return [(min(part.lineno for part in (node, *above)), node) for node, *above in whole]

    begin = 0
    for _ in range(MAX_SYNTAX_ERRORS):
        try:
            yield from parsed(begin, len(lines))
            return
        except Exception as error:
            place = getattr(error, "lineno", None) or begin + 1
            nearest = [start for start in starts if begin < start < place][-4:]
            for bad in (*reversed(nearest), begin):
                with suppress(Exception):  # else the stretch before is broken too: look further up
                    yield from parsed(begin, bad)
                    break
            yield place, error
            begin = next((start for start in starts if start > bad), len(lines))
            if begin == len(lines):
                return


def _bodies(node: ast.stmt) -> list[list[ast.stmt]]:
    """The lists of statements in an `if`, `try` or `with`."""
    owners = [node, *getattr(node, "handlers", [])]
    found = [getattr(owner, name, None) for owner in owners for name in ("body", "orelse", "finalbody")]
    return [body for body in found if body]


def defines(node: ast.stmt) -> bool:
    """Whether the statement imports or defines: `try: import x` and `if TYPE_CHECKING: import x` do, too."""
    if isinstance(node, (ast.If, ast.Try)):
        return all(defines(inner) or isinstance(inner, ast.Pass) for body in _bodies(node) for inner in body)
    return isinstance(node, _DEFINITIONS)


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
    for body in _bodies(node):
        for i, inner in enumerate(body):
            kept, taken = without_training(inner, uses(inner))
            skipped += taken
            body[i] = kept or ast.copy_location(ast.Pass(), inner)
    if uses(node).called & TRAINING:  # in the `if` or `with` itself
        return None, [node]
    return node, skipped


def writes_log(node: ast.stmt) -> bool:
    """Whether the statement has to do with the log's file, which cannot be written here, nor need be."""
    return any(isinstance(inner, ast.Constant) and inner.value == LOG_NAME for inner in ast.walk(node))
