"""Looks for loops over rows in the source of the student's forward pass. Nothing is run.

A loop counts if it goes round once per row of a tensor (over the tensor itself, over a range of its
length, or while something about its length holds) and works on tensors inside. Loops over a fixed
number of things, such as the three projections, and loops that only make indices do not count. In doubt
nothing is found: most loops show in the number of operations, too.
"""

from __future__ import annotations

import ast
import contextlib

from autograder.checks.source_kinds import NEITHER, PASS_THROUGH, SHAPE_METHODS, Kind, Loop, called
from autograder.checks.source_values import ComprehensionNode, LoopNode, TooLargeToLookAt, Values
from autograder.submission.source import ClassSource


def row_loops(source: ClassSource) -> tuple[Loop, ...]:
    """Loops over rows in `forward` and everything of the program that it calls, in source order."""
    if "forward" not in source.methods:
        return ()
    look = _Look(source)
    with contextlib.suppress(TooLargeToLookAt, RecursionError):
        look.enter_forward(source.methods["forward"])
    return tuple(sorted(look.loops, key=lambda loop: (loop.label, loop.line)))


class _Look(Values):
    """One walk through the forward pass; `loops` collects what it finds."""

    def __init__(self, source: ClassSource) -> None:
        super().__init__(source)
        self.loops: set[Loop] = set()

    def _loop(self, node: LoopNode) -> Kind:
        over = node.test if isinstance(node, ast.While) else node.iter
        if not isinstance(node, ast.While):
            self._bind(node.target, self._item(over))
        returned = self._block([*node.body, *node.orelse])
        works = any(self._touches(statement) for statement in node.body)
        sized = (Kind.LENGTH, Kind.TENSOR)
        by_row = self._kind(over) in sized if isinstance(node, ast.While) else self._by_row(over)
        if works and by_row:
            self._found(node, over)
        return returned

    def _applied(self, node: ast.Call) -> None:
        over = next((argument for argument in node.args[1:] if self._by_row(argument)), None)
        if over is None:
            return
        function = node.args[0]
        makes_numbers = isinstance(function, ast.Name) and function.id in {"int", "float", "str"}
        if self._kind(over) == Kind.TENSOR or (not makes_numbers and self._touches(function)):
            self._found(node, over)

    def _comprehension(self, node: ComprehensionNode) -> Kind:
        outer = dict(self._kinds)
        rows: ast.expr | None = None
        for generator in node.generators:
            self._bind(generator.target, self._item(generator.iter))
            if rows is None and self._by_row(generator.iter):
                rows = generator.iter
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        kind = max(self._kind(part) for part in parts)
        if rows is not None and any(self._touches(part) for part in parts):
            self._found(node, rows)
        self._kinds = outer
        return min(kind, Kind.GROUP) if rows is None else kind

    def _by_row(self, over: ast.expr) -> bool:
        """Whether going over this goes round once per row."""
        if isinstance(over, ast.Call):
            name = getattr(over.func, "id", "")
            if name == "range":
                return any(self._kind(argument) > Kind.OTHER for argument in over.args)
            if name in PASS_THROUGH:
                return any(self._by_row(argument) for argument in over.args)
        return self._kind(over) == Kind.TENSOR

    def _touches(self, node: ast.AST) -> bool:
        """Whether tensors are worked on in here; asking for a shape, printing and asserting are no work."""
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and called(node) == "print"):
            return False
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp)):
            return self._kind(node) > Kind.LENGTH
        if isinstance(node, ast.Call):
            if self._kind(node) > Kind.LENGTH:
                return True
            if called(node) in SHAPE_METHODS | NEITHER | {"len"}:
                return False
        return any(self._touches(child) for child in ast.iter_child_nodes(node))

    def _found(self, node: ast.stmt | ast.expr, over: ast.expr) -> None:
        self.loops.add(Loop(self.label, node.lineno, ast.unparse(over)))
