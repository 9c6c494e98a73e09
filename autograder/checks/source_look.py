"""Looks for loops over rows in the source of the student's forward pass. Nothing is run.

A loop counts if it goes round once per row of a tensor (over the tensor itself, over a range of its
length, or while something about its length holds) and works on tensors inside. Loops over a fixed
number of things, such as the three projections, and loops that only make indices do not count.

The look follows each value through the function and the helpers it calls: it is TENSOR if it comes
from forward's input or from a weight, GROUP if the student put such tensors into a list, LENGTH if it
comes from a shape or a len(), else OTHER. In doubt nothing is found: most loops show in the run, too.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping

from autograder.checks.source_kinds import (
    APPLY,
    COMPREHENSIONS,
    DISPLAYS,
    LIBRARIES,
    LOOPS,
    NEITHER,
    PASS_THROUGH,
    SHAPE_ATTRIBUTES,
    SHAPE_METHODS,
    SPLITS,
    Kind,
    Loop,
    called,
    is_identity,
    is_static,
    targets,
)
from autograder.submission.class_source import Definition, FunctionNode

_MAX_DEPTH = 8
_MAX_STEPS = 100_000
"""A forward pass takes some hundred; a program made to be slow to look at is judged by its run alone."""


def row_loops(methods: Mapping[str, Definition], functions: Mapping[str, Definition]) -> tuple[Loop, ...]:
    """Loops over rows in `forward` and everything of the program that it calls, in source order.

    methods: those of PytorchTransformer; functions: those at the top level of the program.
    """
    if "forward" not in methods:
        return ()
    look = _Look(methods, functions)
    forward = methods["forward"]
    names = [argument.arg for argument in forward.node.args.args]
    with contextlib.suppress(_TooLarge, RecursionError):
        look.enter(forward, dict.fromkeys(names[1:], Kind.TENSOR))
    return tuple(sorted(look.loops, key=lambda loop: (loop.label, loop.line)))


class _TooLarge(Exception):
    """The program is larger than any forward pass: looking at it would hold up the grader."""


class _Look:
    """One walk through the forward pass; `loops` collects what it finds."""

    def __init__(self, methods: Mapping[str, Definition], functions: Mapping[str, Definition]) -> None:
        self.methods = methods
        self.functions = functions
        self.loops: set[Loop] = set()
        self._inside: list[FunctionNode] = []
        self._kinds: dict[str, Kind] = {}
        self._label = ""
        self._steps = 0

    def enter(self, function: Definition, arguments: Mapping[str, Kind]) -> Kind:
        """Walk a function with its arguments' kinds; gives the kind of what it returns."""
        if function.node in self._inside or len(self._inside) > _MAX_DEPTH:
            return Kind.TENSOR  # recursion: its operations are counted at run time
        outer, self._kinds = self._kinds, dict(arguments)
        label, self._label = self._label, function.label
        self._inside.append(function.node)
        body = function.node.body
        # A block is walked twice, so that a name bound late in a loop's body is known at its start.
        walk = self._block_twice(body) if isinstance(body, list) else self._kind(body)
        self._inside.pop()
        self._kinds, self._label = outer, label
        return walk

    def _block_twice(self, statements: list[ast.stmt]) -> Kind:
        return max(self._block(statements), self._block(statements))

    def _block(self, statements: list[ast.stmt]) -> Kind:
        returned = Kind.OTHER
        for statement in statements:
            returned = max(returned, self._statement(statement))
        return returned

    def _statement(self, node: ast.stmt) -> Kind:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.functions = {**self.functions, node.name: Definition(self._label, node)}
            return Kind.OTHER
        if isinstance(node, ast.Return):
            return self._kind(node.value)
        if isinstance(node, ast.Assign):
            if isinstance(node.value, ast.Lambda) and isinstance(node.targets[0], ast.Name):
                self.functions = {**self.functions, node.targets[0].id: Definition(self._label, node.value)}
            for target in node.targets:
                self._assign(target, node.value)
            return Kind.OTHER
        if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            self._bind(node.target, max(self._kind(node.value), self._kind(node.target)))
            return Kind.OTHER
        if isinstance(node, LOOPS):
            return self._loop(node)
        return max((self._part(part) for part in ast.iter_child_nodes(node)), default=Kind.OTHER)

    def _part(self, node: ast.AST) -> Kind:
        """A part of a compound statement: a block inside it, or an expression."""
        if isinstance(node, ast.stmt):
            return self._statement(node)
        if isinstance(node, ast.expr):
            self._kind(node)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._bind(node.optional_vars, self._kind(node.context_expr))
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            return self._block(node.body)
        return Kind.OTHER

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> Kind:
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

    def _kind(self, node: ast.expr | None) -> Kind:
        """The kind of an expression; looks into the comprehensions and calls it holds."""
        if node is None:
            return Kind.OTHER
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooLarge
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._reference(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, COMPREHENSIONS):
            return self._comprehension(node)
        if isinstance(node, ast.Lambda):
            return Kind.OTHER
        if isinstance(node, ast.Compare):
            parts = max(self._kind(part) for part in [node.left, *node.comparators])
            return min(parts, Kind.LENGTH) if is_identity(node) else parts
        if isinstance(node, ast.NamedExpr):
            self._bind(node.target, self._kind(node.value))
        children = (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))
        kind = max((self._kind(child) for child in children), default=Kind.OTHER)
        if isinstance(node, DISPLAYS):
            return min(kind, Kind.GROUP)
        if isinstance(node, ast.Subscript) and kind == Kind.GROUP:
            return Kind.TENSOR
        return kind

    def _item(self, over: ast.expr) -> Kind:
        """The kind of what going over this gives."""
        kind = self._kind(over)
        return Kind.TENSOR if kind == Kind.GROUP else kind

    def _reference(self, node: ast.Name | ast.Attribute) -> Kind:
        known = self._kinds.get(ast.unparse(node))
        if known is not None:
            return known
        if isinstance(node, ast.Name):
            return Kind.OTHER
        if node.attr in NEITHER:
            return Kind.OTHER
        if node.attr == "weight":
            return Kind.TENSOR
        kind = self._kind(node.value)
        return Kind.LENGTH if node.attr in SHAPE_ATTRIBUTES and kind == Kind.TENSOR else kind

    def _call(self, node: ast.Call) -> Kind:
        arguments = [self._kind(argument) for argument in node.args]
        arguments += [self._kind(keyword.value) for keyword in node.keywords]
        largest = max(arguments, default=Kind.OTHER)
        name = called(node)
        if name in APPLY and len(node.args) > 1:
            self._applied(node)
        if isinstance(node.func, ast.Attribute):
            owner = self._kind(node.func.value)
            if owner == Kind.TENSOR and name in SHAPE_METHODS:
                return Kind.LENGTH
            if name in NEITHER:
                return Kind.OTHER
            root = node.func.value
            if isinstance(root, ast.Name) and root.id == "self":
                if name in self.methods:
                    return self._follow(self.methods[name], node, skip_self=True)
                return Kind.TENSOR if largest > Kind.OTHER else Kind.OTHER
            if name in SPLITS:
                return min(max(owner, largest), Kind.GROUP)
            if ast.unparse(root).split(".")[0] in LIBRARIES:
                return Kind.TENSOR if largest > Kind.OTHER else Kind.OTHER
            return max(owner, largest)
        if name == "len":
            return Kind.LENGTH if largest == Kind.TENSOR else Kind.OTHER
        if name in self.functions:
            return self._follow(self.functions[name], node, skip_self=False)
        return largest

    def _follow(self, function: Definition, call: ast.Call, *, skip_self: bool) -> Kind:
        names = [argument.arg for argument in function.node.args.args]
        if skip_self and names and not is_static(function.node):
            names = names[1:]
        kinds = dict(zip(names, (self._kind(argument) for argument in call.args), strict=False))
        kinds.update((k.arg, self._kind(k.value)) for k in call.keywords if k.arg is not None)
        return self.enter(function, kinds)

    def _applied(self, node: ast.Call) -> None:
        """map(f, rows): a loop in all but name."""
        over = next((argument for argument in node.args[1:] if self._by_row(argument)), None)
        if over is None:
            return
        function = node.args[0]
        makes_numbers = isinstance(function, ast.Name) and function.id in {"int", "float", "str"}
        if self._kind(over) == Kind.TENSOR or (not makes_numbers and self._touches(function)):
            self._found(node, over)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Kind:
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

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        """Bind a target; `a, b = x, y` binds each to its own."""
        if (
            isinstance(target, (ast.Tuple, ast.List))
            and isinstance(value, (ast.Tuple, ast.List))
            and len(target.elts) == len(value.elts)
        ):
            kinds = [self._kind(part) for part in value.elts]
            for part, kind in zip(target.elts, kinds, strict=True):
                self._bind(part, kind)
        else:
            self._bind(target, self._kind(value))

    def _bind(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, (ast.Tuple, ast.List)) and kind == Kind.GROUP:
            kind = Kind.TENSOR
        for name in targets(target):
            self._kinds[name] = kind

    def _found(self, node: ast.stmt | ast.expr, over: ast.expr) -> None:
        self.loops.add(Loop(self._label, node.lineno, ast.unparse(over)))
