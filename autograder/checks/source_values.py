"""Follows each value through a function of the student's and the helpers it calls, as syntax alone.

A value is TENSOR if it comes from an argument that is one or from a weight, GROUP if the student put such
tensors into a list, LENGTH if it comes from a shape or a len(), else OTHER.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Union

from autograder.checks.source_kinds import (
    APPLY,
    COMPREHENSIONS,
    DISPLAYS,
    LIBRARIES,
    LOOPS,
    NEITHER,
    SHAPE_ATTRIBUTES,
    SHAPE_METHODS,
    SPLITS,
    Kind,
    called,
    is_identity,
    is_static,
    targets,
)
from autograder.submission.source import ClassSource, Definition, FunctionNode

_MAX_DEPTH = 8
_MAX_STEPS = 100_000
"""A forward pass takes some hundred; a program made to be slow to look at is judged by its run alone."""
LoopNode = Union[ast.For, ast.AsyncFor, ast.While]
ComprehensionNode = Union[ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp]


class TooLargeToLookAt(Exception):
    """The program is larger than any forward pass: looking at it would hold up the grader."""


class Values(ABC):
    """One walk through a program; what is to be seen on the way, subclasses say."""

    def __init__(self, source: ClassSource) -> None:
        self.methods: Mapping[str, Definition] = source.methods
        self.functions: Mapping[str, Definition] = source.functions
        self.classes = source.classes
        self.label = ""
        self._inside: list[FunctionNode] = []
        self._kinds: dict[str, Kind] = {}
        self._steps = 0

    @abstractmethod
    def _loop(self, node: LoopNode) -> Kind:
        """Walk a loop; gives the kind of what is returned in it."""

    @abstractmethod
    def _comprehension(self, node: ComprehensionNode) -> Kind:
        """Walk a comprehension; gives its kind."""

    @abstractmethod
    def _applied(self, node: ast.Call) -> None:
        """Look at map(f, rows): a loop in all but name."""

    def enter(self, function: Definition, arguments: Mapping[str, Kind]) -> Kind:
        """Walk a function with its arguments' kinds; gives the kind of what it returns."""
        if function.node in self._inside or len(self._inside) > _MAX_DEPTH:
            return Kind.TENSOR  # recursion: its operations are counted at run time
        outer, self._kinds = self._kinds, dict(arguments)
        label, self.label = self.label, function.label
        self._inside.append(function.node)
        body = function.node.body
        # A block is walked twice, so that a name bound late in a loop's body is known at its start.
        walk = self._block_twice(body) if isinstance(body, list) else self._kind(body)
        self._inside.pop()
        self._kinds, self.label = outer, label
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
            self.functions = {**self.functions, node.name: Definition(self.label, node)}
            return Kind.OTHER
        if isinstance(node, ast.Return):
            return self._kind(node.value)
        if isinstance(node, ast.Assign):
            if isinstance(node.value, ast.Lambda) and isinstance(node.targets[0], ast.Name):
                self.functions = {**self.functions, node.targets[0].id: Definition(self.label, node.value)}
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

    def _kind(self, node: ast.expr | None) -> Kind:
        """The kind of an expression; looks into the comprehensions and calls it holds."""
        if node is None:
            return Kind.OTHER
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise TooLargeToLookAt
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
        if "forward" in self.classes.get(name, {}):  # another model of the program's, made to be called
            return self.enter_forward(self.classes[name]["forward"])
        return largest

    def enter_forward(self, forward: Definition) -> Kind:
        """Walk a model's forward pass, whose arguments are tensors."""
        names = [argument.arg for argument in forward.node.args.args]
        return self.enter(forward, dict.fromkeys(names[1:], Kind.TENSOR))

    def _follow(self, function: Definition, call: ast.Call, *, skip_self: bool) -> Kind:
        names = [argument.arg for argument in function.node.args.args]
        if skip_self and names and not is_static(function.node):
            names = names[1:]
        kinds = dict(zip(names, (self._kind(argument) for argument in call.args), strict=False))
        kinds.update((k.arg, self._kind(k.value)) for k in call.keywords if k.arg is not None)
        return self.enter(function, kinds)

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
