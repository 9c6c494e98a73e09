"""Small facts about Python's syntax tree that the look at the forward pass's source rests on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from autograder.submission.source import FunctionNode

LOOPS = (ast.For, ast.AsyncFor, ast.While)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
SHAPE_ATTRIBUTES = frozenset({"shape"})
SHAPE_METHODS = frozenset({"size", "numel", "__len__"})
NEITHER = frozenset({"ndim", "dim", "dtype", "device", "requires_grad", "training"})
PASS_THROUGH = frozenset({"enumerate", "zip", "reversed", "list", "tuple", "iter", "sorted"})
SPLITS = frozenset({"chunk", "split", "tensor_split"})
DISPLAYS = (ast.Tuple, ast.List, ast.Set, ast.Dict)
APPLY = frozenset({"map", "filter", "reduce"})
LIBRARIES = frozenset({"torch", "F", "nn", "np", "einops"})


class Kind(IntEnum):
    """What a value is made of; the larger one wins where two meet."""

    OTHER = 0
    LENGTH = 1
    GROUP = 2  # a list, tuple or dict that the student made of tensors: going over it is no loop over rows
    TENSOR = 3


@dataclass(frozen=True)
class Loop:
    """A loop over rows: where it stands and what it goes over, as source text."""

    label: str
    line: int
    over: str


def called(node: ast.Call) -> str:
    """The name that is called: f of f(x), m of a.b.m(x); "" for anything else."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def is_identity(node: ast.Compare) -> bool:
    """Whether this is a comparison with `is`, which says nothing about a value."""
    return all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)


def is_static(node: FunctionNode) -> bool:
    """Whether a method takes no self."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in decorators)


def targets(node: ast.expr) -> Iterator[str]:
    """The names that assigning to this target binds; for an item of a container, the container."""
    if isinstance(node, (ast.Tuple, ast.List)):
        for part in node.elts:
            yield from targets(part)
    elif isinstance(node, (ast.Starred, ast.Subscript)):
        yield from targets(node.value)
    else:
        yield ast.unparse(node)
