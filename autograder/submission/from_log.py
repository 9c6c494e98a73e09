"""The class rebuilt from the log's torch_transformer_init and torch_transformer_forward."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Final

from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.newer_python import readable
from autograder.submission.notebook import Reading, refused
from autograder.submission.syntax import encodable, parse
from autograder.submission.types import Log, Note, NoteLevel, Origin, Program

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
_INDENT: Final = "    "


def rebuild(log: Log) -> Reading:
    """Make a program from the methods that the log records; log.model must be there.

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
    if not _is_class(source):
        return refused(
            f"torch_transformer_init and torch_transformer_forward in {log.name} are not two methods of a "
            "class. Upload your notebook with the log, so that your code can be run from there."
        )
    cells = (
        Cell(f"{log.name}, usual imports", _USUAL_NAMES),
        Cell(f"{log.name}, torch_transformer_init and _forward", source),
    )
    found = Note(
        NoteLevel.FOUND,
        f"Your code is read from {log.name}: the methods it records, as one class. Names that only your "
        "notebook has are missing there; if an error says so, upload your notebook too.",
    )
    return Reading(Program(Origin.LOG, log.name, cells), (found,))


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
    inside = {
        line - shift
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno is not None
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    return "\n".join(
        line if number in inside or not line.strip() else _INDENT + line.removeprefix(indent)
        for number, line in enumerate(text.split("\n"), 1)
    )


def _named(name: str, text: str) -> str:
    """End the text with a line end; give the method its name if it was defined under another one."""
    text = text.rstrip() + "\n"
    found = re.search(r"^\s*(?:async\s+)?def\s+(\w+)", text, re.MULTILINE)
    if found and found.group(1) != name and not re.search(rf"^\s*(?:def\s+)?{name}\b", text, re.MULTILINE):
        text += f"{_indent(text)}{name} = {found.group(1)}\n"
    return text


def _is_class(source: str) -> bool:
    tree = parse(source)
    if tree is None or len(tree.body) < 2 or not isinstance(tree.body[1], ast.ClassDef):
        return False
    names: set[str] = set()
    for node in tree.body[1].body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {"__init__", "forward"} <= names
