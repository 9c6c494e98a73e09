"""The student's class as syntax: to look at its source, to compare it with the log's, and to rebuild it from
the log's torch_transformer_init and torch_transformer_forward.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Union

from autograder.assignment import CLASS_NAME
from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.older_python import encodable, parse, readable, shared_tree
from autograder.submission.types import CodeFile, Log, ModelRecord, Note, NoteLevel, Origin, Program, refused
from autograder.text import NAME_LIMIT, clean

_MAX_METHODS: Final = 300
"""Methods of one class, inherited ones included, that are looked at."""


# --- The class in the program ---

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


@lru_cache(maxsize=2)  # the two programs that may be compared; several parts ask for the same one
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
    verdicts: list[bool | None] = []
    for text, name in ((record.init, "__init__"), (record.forward, "forward")):
        mine = source.methods.get(name)
        own = "" if mine is None else _text(program, mine)
        if not own or text.rstrip() == own:
            verdicts.append(True if own else None)
            continue
        recorded, written = _canonical(text.rstrip()), _canonical(own)
        verdicts.append(None if recorded is None or written is None else recorded == written)
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
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.asname and alias.name in self.classes:
                        self.classes[alias.asname] = self.classes[alias.name]
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(label, target, node.value)

    def _methods(self, label: str, node: ast.ClassDef) -> dict[str, Definition]:
        methods: dict[str, Definition] = {}
        for base in reversed(node.bases):
            if isinstance(base, ast.Name) and len(methods) < _MAX_METHODS:
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
            name = value.id if isinstance(value, ast.Name) else getattr(value, "attr", "")
            if name in self.classes:
                self.classes[target.id] = self.classes[name]
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
    return "\n".join(
        source.split("\n")[_first_line(definition.node) - 1 : definition.node.end_lineno]
    ).rstrip()


def _first_line(node: ast.AST) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([getattr(node, "lineno", 1), *(inner.lineno for inner in decorators)])


@lru_cache(maxsize=8)
def _canonical(text: str) -> str | None:
    """Return a method's syntax as text, without name, annotations and docstring; None: it is no method."""
    tree = parse(readable(textwrap.dedent(text))) or parse(f"if True:\n{text}")
    found = (
        next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None) if tree else None
    )
    if found is None:
        return None
    found.name = ""
    for inner in ast.walk(found):
        if isinstance(inner, ast.arg):
            inner.annotation = None
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner.returns = None
            if ast.get_docstring(inner, clean=False) is not None:
                inner.body = inner.body[1:]
    try:
        return ast.dump(found)
    except RecursionError:
        return None


# --- The class in the log ---

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

_HEADER: Final = "from __future__ import annotations\nclass PytorchTransformer(nn.Module):\n"
_KNOWN_NAMES: Final = frozenset(dir(builtins)).union(
    *(
        (alias.asname or alias.name for alias in node.names)
        for node in ast.parse(_USUAL_NAMES).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    )
) | {"NDArrayFloat", "TensorFloat"}
_MODULE_ATTRIBUTES: Final = frozenset(
    {
        *("training", "train", "eval", "to", "cuda", "cpu", "apply", "half", "float", "double", "type"),
        *("parameters", "named_parameters", "buffers", "named_buffers", "modules", "named_modules"),
        *("children", "named_children", "state_dict", "load_state_dict", "zero_grad", "requires_grad_"),
        *("register_buffer", "register_parameter", "register_module", "add_module", "forward"),
        *("get_parameter", "get_buffer", "get_submodule", "extra_repr", "share_memory"),
        *("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
    }
)
"""Of nn.Module, which the process that grades does not import."""
_INDENT: Final = "    "


def rebuild(log: Log, beside: Sequence[Cell] = ()) -> CodeFile:
    """Make a program from the methods that the log records; log.model must be there.

    beside: cells of the same upload; what the methods need of them, definitions and imports, is taken along.
    inspect.getsource keeps a method's indentation, decorators and comments; all of it stays as it is if
    both methods are indented alike, so that what an error quotes is what the student wrote.
    """
    model = log.model
    if model is None:
        raise ValueError("this log records no methods")
    texts = {"__init__": encodable(model.init), "forward": encodable(model.forward)}
    if sum(map(len, texts.values())) > MAX_CODE_BYTES:
        return refused(
            f"The methods that {log.name} records are too long to be read. Upload your notebook too."
        )
    indents = {_indent(text) for text in texts.values()}
    if len(indents) > 1 or indents == {""}:
        texts = {name: _reindented(text) for name, text in texts.items()}
    body = "".join(_named(name, text) for name, text in texts.items())
    source = readable(_HEADER + body)
    recorded = _recorded_class(source)
    if recorded is None:
        return refused(
            f"torch_transformer_init and torch_transformer_forward in {log.name} are not two methods of a "
            "class. Upload your notebook with the log, so that your code can be run from there."
        )
    taken = definitions_of(_free_names(recorded), beside)
    cells = (
        Cell(f"{log.name}, usual imports", _USUAL_NAMES),
        *taken,
        Cell(f"{log.name}, torch_transformer_init and _forward", source),
    )
    if taken:
        names = ", ".join(dict.fromkeys(cell.label for cell in taken))
        rest = f"What they use besides is taken from {clean(names, NAME_LIMIT)}."
    else:
        rest = "Names that only your notebook has are missing; if an error says so, upload your notebook too."
    text = f"Your code is read from {log.name}: the methods it records, as one class. {rest}"
    unrecorded = _unrecorded(recorded)
    notices = [Note(NoteLevel.FOUND, text)]
    if unrecorded:
        listed = clean(", ".join(f"self.{name}" for name in unrecorded), NAME_LIMIT)
        text = (
            f"{log.name} does not hold {listed}, which your methods use: the log records __init__ and "
            "forward alone, no other method, class attribute or base class. Upload your notebook with it."
        )
        notices.append(Note(NoteLevel.WARNING, text))
    return CodeFile(Program(Origin.LOG, log.name, cells, unrecorded=unrecorded), tuple(notices))


def definitions_of(names: Iterable[str], cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with those of their top-level statements alone that define or import these names, and
    what these need in turn. Of several, the one that stands above the class counts."""
    bound: dict[str, list[tuple[int, ast.stmt]]] = {}
    model_cell = len(cells)
    for index, cell in enumerate(cells):
        tree = shared_tree(cell.source)
        for node in tree.body if tree else []:
            for name in _bound_names(node):
                bound.setdefault(name, []).append((index, node))
                if name == CLASS_NAME:
                    model_cell = min(model_cell, index)
    wanted: dict[int, list[ast.stmt]] = {}
    waiting = [name for name in names if name != CLASS_NAME]
    seen = set(waiting) | _KNOWN_NAMES
    while waiting:
        places = bound.get(waiting.pop(), [])
        above = [place for place in places if place[0] <= model_cell]
        for index, node in above[-1:] or places[:1]:
            if node not in wanted.setdefault(index, []):
                wanted[index].append(node)
                fresh = _free_names(node) - seen
                seen |= fresh
                waiting.extend(fresh - {CLASS_NAME})
    return [
        replace(cells[index], source=_only(cells[index].source, wanted[index]), file="")
        for index in sorted(wanted)
    ]


def _only(source: str, nodes: list[ast.stmt]) -> str:
    """The source with every line blank that is none of these statements'."""
    lines = source.split("\n")
    kept = {
        number for node in nodes for number in range(_first_line(node) - 1, node.end_lineno or node.lineno)
    }
    return "\n".join(line if number in kept else "" for number, line in enumerate(lines))


def _bound_names(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]


def _free_names(tree: ast.AST) -> set[str]:
    """The names that a piece of code reads and does not bind itself."""
    read: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
    return read - own - _KNOWN_NAMES


def _unrecorded(model: ast.ClassDef) -> tuple[str, ...]:
    """The attributes of self that the recorded methods read, and that neither they nor nn.Module have."""
    used: dict[str, None] = {}
    known = {"Km", "Qm", "Vm", "pos", *_MODULE_ATTRIBUTES}
    for node in ast.walk(model):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            if isinstance(node.ctx, ast.Load):
                used[node.attr] = None
            else:
                known.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            known.add(node.value)  # setattr, register_buffer
    return tuple(name for name in used if name not in known and not name.startswith("__"))


def _indent(text: str) -> str:
    """Return the whitespace before the first line of code."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return line[: len(line) - len(line.lstrip())]
    return ""


def _reindented(text: str) -> str:
    """Return text indented by four spaces, the insides of its multi-line strings untouched."""
    indent = _indent(text)
    opening = "if True:\n" if indent else ""
    tree = parse(opening + text)
    if tree is None:
        return textwrap.indent(textwrap.dedent(text), _INDENT)
    shift = opening.count("\n")
    spans = {
        (node.lineno, node.end_lineno)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno is not None
    }
    inside = {line - shift for first, last in spans for line in range(first + 1, last + 1)}
    return "\n".join(
        line if number in inside or not line.strip() else _INDENT + line.removeprefix(indent)
        for number, line in enumerate(text.split("\n"), 1)
    )


def _named(name: str, text: str) -> str:
    """End the text with a line end; give the method its name if it was defined under another one."""
    text = text.rstrip() + "\n"
    found = re.search(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", text, re.MULTILINE)
    named = rf"^[ \t]*(?:def[ \t]+)?{name}\b"
    if found and found.group(1) != name and not re.search(named, text, re.MULTILINE):
        text += f"{_indent(text)}{name} = {found.group(1)}\n"
    return text


def _recorded_class(source: str) -> ast.ClassDef | None:
    """The class that the log's methods make; None if they are not both there."""
    tree = parse(source)
    if tree is None or len(tree.body) < 2 or not isinstance(tree.body[1], ast.ClassDef):
        return None
    names: set[str] = set()
    for node in tree.body[1].body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return tree.body[1] if {"__init__", "forward"} <= names else None
