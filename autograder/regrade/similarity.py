"""Three signals that two uploads may be the same answer. They are places to look, not a verdict.

The same matrices, up to rounding; the same class `PytorchTransformer`, up to names, comments and
layout; the same `time` in the log. A short exercise has short answers: many will honestly agree in
their matrices or their code, hardly two in the time at which the notebook ran.
"""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from autograder.assignment import CLASS_NAME
from autograder.regrade.types import Fingerprint, Row
from autograder.submission.older_python import parse
from autograder.submission.types import FlatArray, Log, Program, Submission

DIGITS: Final = 4
"""Significant digits in which matrices have to agree."""
_MAX_SOURCE_CHARS: Final = 200_000


def fingerprint(submission: Submission) -> Fingerprint:
    """The three signals of one upload."""
    log = submission.log
    return Fingerprint(
        matrices=_matrices(log) if log is not None else "",
        code=_code(submission),
        time="" if log is None or log.time is None else repr(log.time),
    )


def _matrices(log: Log) -> str:
    digest = hashlib.sha256()
    records = [record for record in (log.content, log.position) if record is not None]
    for record in records:
        for array in (record.Q, record.K, record.V, record.pos):
            digest.update(b"-" if array is None else _rounded(array))
            digest.update(b"|")
    return digest.hexdigest()[:16] if records else ""


def _rounded(array: FlatArray) -> bytes:
    """The numbers to DIGITS significant digits, zeros without a sign, whatever they were typed as."""
    return ",".join(f"{value:.{DIGITS}g}" for value in np.asarray(array, dtype=np.float64) + 0.0).encode()


def _code(submission: Submission) -> str:
    for source in _sources(submission):
        canonical = canonical_source(source)
        if canonical:
            return hashlib.sha256(canonical.encode()).hexdigest()[:16]
    return ""


def _sources(submission: Submission) -> Iterator[str]:
    """Where the model's class may be, the last cell first: it is the one that counts."""
    program: Program | None = submission.program
    for cell in reversed(program.cells if program is not None else ()):
        if f"class {CLASS_NAME}" in cell.source:
            yield cell.source
    if submission.log is not None and submission.log.model is not None:
        model = submission.log.model
        methods = "\n".join(textwrap.dedent(text) for text in (model.init, model.forward))
        yield f"class {CLASS_NAME}:\n{textwrap.indent(methods, '    ')}"


def canonical_source(source: str) -> str:
    """The model's class with its own names numbered, without comments, layout, docstrings, annotations.

    "" if the source cannot be parsed or has no such class.
    """
    tree = parse(source) if len(source) <= _MAX_SOURCE_CHARS else None
    body = tree.body if tree is not None else []
    models = [node for node in body if isinstance(node, ast.ClassDef) and node.name == CLASS_NAME]
    if not models:
        return ""
    model = models[-1]
    model.body = [node for node in model.body if isinstance(node, ast.FunctionDef)]
    try:
        return ast.dump(_Bare(_own_names(model)).visit(model))
    except RecursionError:
        return ""


def _own_names(tree: ast.AST) -> frozenset[str]:
    """What the class itself names: arguments, variables it assigns, attributes it sets, its methods."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
    return frozenset(names)


class _Bare(ast.NodeTransformer):
    """Numbers the own names by first appearance and drops what does not act."""

    def __init__(self, own: frozenset[str]) -> None:
        self._own = own
        self._numbers: dict[str, str] = {}

    def _renamed(self, name: str) -> str:
        return self._numbers.setdefault(name, f"_{len(self._numbers)}") if name in self._own else name

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._renamed(node.name)
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Pass()

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = self._renamed(node.arg), None
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._renamed(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._renamed(node.attr)
        return self.generic_visit(node)


# --- In a class. ---


@dataclass(frozen=True)
class Group:
    """signals: in which they agree, names of Fingerprint's fields. ids: at least two."""

    signals: tuple[str, ...]
    ids: tuple[str, ...]


def groups(rows: Iterable[Row]) -> list[Group]:
    """Groups by each signal; those that agree in the rarer and the more signals come first."""
    members: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for field in fields(Fingerprint):
            value = getattr(row.record.fingerprint, field.name)
            if value:
                members.setdefault((field.name, value), []).append(row.entry.id)
    signals: dict[tuple[str, ...], list[str]] = {}
    for (signal, _), ids in members.items():
        if len(ids) > 1:
            signals.setdefault(tuple(ids), []).append(signal)
    found = [Group(tuple(names), ids) for ids, names in signals.items()]
    # Two notebooks hardly ran at the same microsecond; a large group rather shows an obvious answer.
    return sorted(found, key=lambda group: ("time" not in group.signals, -len(group.signals), len(group.ids)))


def mistakes(rows: Iterable[Row]) -> list[tuple[str, tuple[str, ...]]]:
    """Every mistake that was recognised, the commonest first, with the ids that show it."""
    rows = list(rows)
    counts = Counter(name for row in rows for name in set(row.record.diagnoses))
    return [
        (name, tuple(row.entry.id for row in rows if name in row.record.diagnoses))
        for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
