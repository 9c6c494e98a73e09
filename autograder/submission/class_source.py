"""The program's PytorchTransformer as syntax: to look at its source, and to compare it with the log's."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Union

from autograder.assignment import CLASS_NAME
from autograder.submission.newer_python import readable
from autograder.submission.syntax import parse, shared_tree
from autograder.submission.types import ModelRecord, Program

FunctionNode = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda]


@dataclass(frozen=True)
class Definition:
    """A function of the program; label: the cell it stands in. Lines are those of that cell."""

    label: str
    node: FunctionNode


@dataclass(frozen=True)
class ClassSource:
    """methods of PytorchTransformer by name, its bases in the program included; functions: those at the
    top level of the program by name; classes: methods of its other classes. The last definition counts."""

    methods: Mapping[str, Definition]
    functions: Mapping[str, Definition]
    classes: Mapping[str, Mapping[str, Definition]]


@lru_cache(maxsize=2)  # the two programs that may be compared; several rooms ask for the same one
def class_source(program: Program) -> ClassSource | None:
    """Return the source of the program's class; None if there is none. What does not parse is left out."""
    reading = _Reading()
    for cell in program.cells:
        tree = shared_tree(cell.source)
        if tree is not None:
            reading.read(cell.label, tree.body)
    if CLASS_NAME not in reading.classes:
        return None
    others = {name: methods for name, methods in reading.classes.items() if name != CLASS_NAME}
    return ClassSource(reading.classes[CLASS_NAME], reading.functions, others)


def same_code(program: Program, record: ModelRecord) -> bool | None:
    """Tell whether the log's init and forward are the program's; None if one of the two cannot be read.

    Compared as syntax: comments, layout, annotations and docstrings make no difference.
    """
    source = class_source(program)
    if source is None:
        return None
    verdicts = []
    for text, name in ((record.init, "__init__"), (record.forward, "forward")):
        mine = source.methods.get(name)
        literally = mine is not None and text.rstrip() == _text(program, mine)
        verdicts.append(literally or _same(text, mine))
    return None if None in verdicts else all(verdicts)


@dataclass
class _Reading:
    """What the program's top level has defined so far."""

    classes: dict[str, dict[str, Definition]] = field(default_factory=dict)
    functions: dict[str, Definition] = field(default_factory=dict)

    def read(self, label: str, statements: Iterable[ast.stmt]) -> None:
        for node in _flat(statements):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions[node.name] = Definition(label, node)
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = self._methods(label, node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(label, target, node.value)

    def _methods(self, label: str, node: ast.ClassDef) -> dict[str, Definition]:
        methods: dict[str, Definition] = {}
        for base in reversed(node.bases):
            if isinstance(base, ast.Name):
                methods |= self.classes.get(base.id, {})
        for item in _flat(node.body):
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                methods[item.name] = Definition(label, item)
            elif isinstance(item, ast.Assign):
                found = self._function(label, item.value, methods)
                names = [target.id for target in item.targets if isinstance(target, ast.Name)]
                methods |= {name: found for name in names if found}
        return methods

    def _assign(self, label: str, target: ast.expr, value: ast.expr) -> None:
        """Follow `PytorchTransformer = Mine`, `PytorchTransformer.forward = f` and `f = lambda …`."""
        found = self._function(label, value, {})
        if isinstance(target, ast.Name):
            if isinstance(value, ast.Name) and value.id in self.classes:
                self.classes[target.id] = self.classes[value.id]
            elif found:
                self.functions[target.id] = found
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and found:
            self.classes.get(target.value.id, {})[target.attr] = found

    def _function(self, label: str, value: ast.expr, methods: Mapping[str, Definition]) -> Definition | None:
        if isinstance(value, ast.Lambda):
            return Definition(label, value)
        if isinstance(value, ast.Name):
            return methods.get(value.id) or self.functions.get(value.id)
        return None


def _flat(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements in order, those inside if, try and with included, function bodies not."""
    waiting = list(statements)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            waiting.extend(reversed(inner))


def _text(program: Program, definition: Definition) -> str:
    """Return the lines that a definition stands in, as inspect.getsource gives them."""
    source = next(cell.source for cell in program.cells if cell.label == definition.label)
    decorators: list[ast.expr] = getattr(definition.node, "decorator_list", [])
    first = min(node.lineno for node in (definition.node, *decorators))
    return "\n".join(source.split("\n")[first - 1 : definition.node.end_lineno]).rstrip()


def _same(text: str, mine: Definition | None) -> bool | None:
    tree = parse(readable(textwrap.dedent(text))) or parse(f"if True:\n{text}")
    recorded = (
        next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None) if tree else None
    )
    if recorded is None or mine is None or not isinstance(mine.node, ast.FunctionDef):
        return None
    try:
        return ast.dump(recorded) == ast.dump(mine.node) or _normal(recorded) == _normal(mine.node)
    except RecursionError:
        return None


def _normal(node: ast.FunctionDef) -> str:
    """Return the function's syntax as text, without its name, annotations and docstring."""
    copy = parse(ast.unparse(node))
    function = copy.body[0] if copy else node
    for inner in ast.walk(function):
        if isinstance(inner, ast.arg):
            inner.annotation = None
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner.returns = None
            if ast.get_docstring(inner, clean=False) is not None:
                inner.body = inner.body[1:]
    if isinstance(function, ast.FunctionDef):
        function.name = ""
    return ast.dump(function)
