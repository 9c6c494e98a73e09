"""The student's class as syntax: to look at its source, to compare it with the log's, and to rebuild it from
the log's torch_transformer_init and torch_transformer_forward.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections import ChainMap, deque
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Union

from autograder.assignment import CLASS_NAME
from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.older_python import encodable, parse, readable, shared_tree
from autograder.submission.types import CodeFile, ModelRecord, Note, NoteLevel, Origin, Program, refused
from autograder.text import NAME_LIMIT, clean

_MAX_METHODS: Final = 300
"""Methods of one class, inherited ones included, that are looked at."""
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


# --- The class in the program ---


@dataclass(frozen=True)
class Definition:
    """A function of the program, and the cell it stands in. Lines are those of that cell."""

    cell: Cell
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

    @property
    def text(self) -> str:
        """The lines that it stands in, as inspect.getsource gives them."""
        return "\n".join(self.cell.source.split("\n")[_lines(self.node)]).rstrip()


_Value = Union[Definition, dict[str, Definition]]
"""What a name stands for: a function, or a class by its methods."""


@lru_cache(maxsize=2)  # the two programs that may be compared; several parts ask for the same one
def class_source(program: Program) -> dict[str, Definition] | None:
    """Return the methods of the program's class, those of its bases in the program included; None if there is
    no class. The last definition counts; what does not parse is left out."""
    names: dict[str, _Value] = {}
    for cell in program.cells:
        _read(cell, getattr(shared_tree(cell.source), "body", ()), names)
    methods = names.get(CLASS_NAME)
    return methods if isinstance(methods, dict) else None


def _read(cell: Cell, statements: Iterable[ast.stmt], names: MutableMapping[str, _Value]) -> None:
    """Bind what the statements define; follow `PytorchTransformer = Mine`, `PytorchTransformer.forward = f`,
    `f = lambda …` and `from mine import Mine as PytorchTransformer`."""

    def value(node: ast.expr) -> _Value | None:
        named = getattr(node, "id", getattr(node, "attr", ""))
        return Definition(cell, node) if isinstance(node, ast.Lambda) else names.get(named)

    waiting = deque(statements)
    while waiting:
        node = waiting.popleft()
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            waiting.extendleft(reversed(inner))
        elif isinstance(node, _FUNCTIONS):
            names[node.name] = Definition(cell, node)
        elif isinstance(node, ast.ClassDef):
            methods: dict[str, Definition] = {}
            for found in map(value, reversed(node.bases)):
                if isinstance(found, dict) and len(methods) < _MAX_METHODS:
                    methods |= found
            own: dict[str, _Value] = {}
            _read(cell, node.body, ChainMap(own, {**methods}, names))
            methods |= {name: found for name, found in own.items() if isinstance(found, Definition)}
            names[node.name] = methods
        elif isinstance(node, ast.ImportFrom):
            names.update({a.asname: names[a.name] for a in node.names if a.asname and a.name in names})
        elif isinstance(node, ast.Assign) and (found := value(node.value)) is not None:
            for target in node.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = found
                elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    owner = names.get(target.value.id)
                    if isinstance(owner, dict) and isinstance(found, Definition):
                        owner[target.attr] = found


# --- The class in the log ---


def same_code(program: Program, record: ModelRecord) -> bool | None:
    """Tell whether the log's init and forward are the program's; None if one of the two cannot be read.

    Compared as syntax: comments, layout, annotations and docstrings make no difference.
    """
    methods = class_source(program)
    if methods is None or not {"__init__", "forward"} <= methods.keys():
        return None
    recorded = (record.init.rstrip(), record.forward.rstrip())
    pairs = zip(recorded, (methods["__init__"].text, methods["forward"].text), strict=True)
    forms = [(_canonical(text), _canonical(own)) for text, own in pairs if text != own]
    return None if any(None in pair for pair in forms) else all(text == own for text, own in forms)


def _lines(node: ast.stmt | ast.Lambda) -> slice:
    """Where a statement stands in its source, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return slice(min([node.lineno, *(inner.lineno for inner in decorators)]) - 1, node.end_lineno)


@lru_cache(maxsize=8)
def _canonical(text: str) -> str | None:
    """Return a method's bare syntax as text; None: it is no method."""
    try:
        found = bare_method(text)
        return None if found is None else ast.dump(found)
    except RecursionError:
        return None


def bare_method(text: str) -> ast.FunctionDef | None:
    """Return a method's syntax without name, annotations and docstrings, the caller's own; None: it is no
    method. Raises RecursionError if it is nested too deeply."""
    tree = parse(readable(textwrap.dedent(text))) or parse(f"if True:\n{text}")
    found = next((node for node in ast.walk(tree or ast.Pass()) if isinstance(node, ast.FunctionDef)), None)
    if found is not None:
        found.name = ""
        _Bare().visit(found)
    return found


class _Bare(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.Assign([node.target], node.value) if node.value is not None else ast.Pass()

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


_USUAL_NAMES: Final = """\
from __future__ import annotations

import inspect
import json
import math
import random
import time
from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.functional as functional
from torch import Tensor, einsum
from torch.nn import Embedding, Linear, Module, ModuleDict, ModuleList, Parameter, Sequential, Softmax
from torch.nn.functional import scaled_dot_product_attention, softmax

NDArrayFloat = npt.NDArray[np.floating[Any]]
TensorFloat = torch.Tensor
"""
"""What the notebook imports and names itself, and what students commonly import beside it."""

_INDENT: Final = "    "


def rebuild(name: str, model: ModelRecord, beside: Sequence[Cell] = ()) -> CodeFile:
    """Make a program from the methods that the log of this name records.

    beside: cells of the same upload; what the methods need of them, definitions and imports, is taken along.
    Lines stay as inspect.getsource recorded them, so that what an error quotes is what the student wrote.
    """
    texts = {"__init__": encodable(model.init), "forward": encodable(model.forward)}
    if sum(map(len, texts.values())) > MAX_CODE_BYTES:
        return refused(f"The methods in {name} are too long to be read. Upload your notebook too.")
    header = f"from __future__ import annotations\nclass {CLASS_NAME}(nn.Module):\n"
    source = readable(header + "".join(_named(method, _indented(text)) for method, text in texts.items()))
    cell = Cell(f"{name}, torch_transformer_init and _forward", source)
    tree = parse(source)
    if tree is None or not texts.keys() <= (class_source(Program(Origin.LOG, "", (cell,))) or {}).keys():
        return refused(
            f"torch_transformer_init and torch_transformer_forward in {name} are not two methods of a "
            "class. Upload your notebook with the log, so that your code can be run from there."
        )
    taken = _definitions_of(_free_names(tree), beside)
    rest = "Names that only your notebook has are missing; if an error says so, upload your notebook too."
    if taken:
        names = ", ".join(dict.fromkeys(cell.label for cell in taken))
        rest = f"What they use besides is taken from {clean(names, NAME_LIMIT)}."
    text = f"Your code is read from {name}: the methods it records, as one class. {rest}"
    cells = (Cell(f"{name}, usual imports", _USUAL_NAMES), *taken, cell)
    return CodeFile(Program(Origin.LOG, name, cells), (Note(NoteLevel.FOUND, text),))


def _definitions_of(names: set[str], cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with those of their top-level statements alone that define or import these names, and
    what these need in turn; their other lines are blank. Of several, the last above the class counts, or else
    the first below it."""
    bound = [
        (index, name, node)
        for index, cell in enumerate(cells)
        for node in getattr(shared_tree(cell.source), "body", ())
        for name in _bound_names(node)
    ]
    end = min((index for index, name, _ in bound if name == CLASS_NAME), default=len(cells))
    below = [each for each in bound if each[0] > end and not hasattr(builtins, each[1])]
    above = [each for each in bound if each[0] <= end]
    places = {name: (index, node) for index, name, node in (*reversed(below), *above) if name != CLASS_NAME}
    taken: dict[int, list[ast.stmt]] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name in places:
            index, node = places.pop(name)
            taken.setdefault(index, []).append(node)
            waiting |= _free_names(node)
    found = []
    for index, nodes in sorted(taken.items()):
        lines = cells[index].source.split("\n")
        kept = {number for node in nodes for number in range(len(lines))[_lines(node)]}
        source = "\n".join(line if number in kept else "" for number, line in enumerate(lines))
        found.append(replace(cells[index], source=source, file=""))
    return found


def _bound_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                yield inner.id


def _free_names(tree: ast.AST) -> set[str]:
    """The names that a piece of code reads and does not bind itself."""
    read, own = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else own).add(node.id)
    return read - own


def _indented(text: str) -> str:
    """Return a method indented by four spaces, the insides of its multi-line strings untouched."""
    first = next((line for line in text.split("\n") if line.strip() and line.lstrip()[0] != "#"), "")
    indent = first[: len(first) - len(first.lstrip())]
    opening = "if True:\n" if indent else ""
    spans = {  # a set: all parts of an f-string have the same
        (node.lineno, node.end_lineno or 0)
        for node in ast.walk(parse(readable(opening + text)) or ast.Pass())
        if isinstance(node, (ast.Constant, ast.JoinedStr))
    }
    inside = {line for start, end in spans for line in range(start + 1, end + 1)}
    return "\n".join(
        line if number in inside or not line.strip() else _INDENT + line.removeprefix(indent)
        for number, line in enumerate(text.split("\n"), 1 + bool(opening))
    )


def _named(name: str, text: str) -> str:
    """End the text with a line end; give the method its name if it was defined under another one."""
    text = text.rstrip() + "\n"
    found = re.search(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", text, re.MULTILINE)
    named = rf"^[ \t]*(?:def[ \t]+)?{name}\b"
    if found and found[1] != name and not re.search(named, text, re.MULTILINE):
        text += f"{_INDENT}{name} = {found[1]}\n"
    return text
