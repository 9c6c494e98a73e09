"""How many operations made an output, and at which lines: what goes row by row grows with the sequence.

Counted are the nodes of the output's own graph through which Km, Qm or Vm reach it: not what else ran, for a
print, an assert or a plot, but all that made the output, in whichever thread, mode or disguise. Where the
graph does not hold all (an output computed in NumPy, without gradients, or by an autograd.Function), the
operations that reach the dispatcher and the student's own lines are counted, from then on in every call.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.sandbox.worker.values import Tensor

MANY: Final = 48
"""Operations from which on their lines are asked for; computing all at once takes some ten."""
FEW: Final = 3
"""Attentions up to which their lines are not asked for: one is all it takes."""
MAX_NODES: Final = 20_000
_MAX_LINES: Final = 8

_SOFTMAX: Final = re.compile(r"softmax|^_?exp(backward|\.)|^_?scaled_?dot_?product", re.IGNORECASE)
_Place = tuple[int, int]
_grad_fn: Final = torch.Tensor.__dict__.get("grad_fn", torch._C.TensorBase.__dict__.get("grad_fn")).__get__
_own_function = torch.autograd.function.BackwardCFunction
_set_trace, _set_thread_trace, _frame = sys.settrace, threading.settrace, sys._getframe
_detached: list[bool] = []
"""Not empty once an output's graph did not hold all of what made it."""


def watch(
    run: Callable[[], torch.Tensor], weights: Sequence[Any], labels: Mapping[str, int]
) -> tuple[torch.Tensor, dict[str, npt.NDArray[np.int64]]]:
    """Run a forward pass. Gives its output, and "operations" (2,): how many, and how many attentions among
    them; and "lines" (k, 3): cell, line, how often.

    weights: of Km, Qm and Vm. run may be called twice: the first output counts. labels: number of each cell.
    """
    lines: Counter[_Place] = Counter()
    if _detached:
        output, counts, lines = _count_all(run, labels)
    else:
        output = run()
        nodes = _nodes(output, weights)
        counts = _counts(Counter(node.name() for node in nodes or ()))
        try:
            if nodes is None:
                _detached.append(True)
                _, counts, lines = _count_all(run, labels)
            elif counts[0] > MANY or counts[1] > FEW:
                with _Makers(labels) as makers:
                    again = _nodes(run(), weights) or ()
                lines = Counter(place for node, place in makers.lines.items() if node in again)
        except Exception:  # a model that runs once only: its next call is counted as it runs
            lines = Counter()  # the message then names no line
    rows = [(*place, times) for place, times in lines.most_common(_MAX_LINES)]
    return output, {
        "operations": np.array(counts, dtype=np.int64),
        "lines": np.array(rows, dtype=np.int64).reshape(len(rows), 3),
    }


def _counts(names: Counter[str]) -> tuple[int, int]:
    """How many operations and attentions: one for each softmax, or whatever was used for it most."""
    return names.total(), max((names[name] for name in names if _SOFTMAX.search(name)), default=0)


def _nodes(output: torch.Tensor, weights: Sequence[Any]) -> set[Any] | None:
    """The nodes of the output's graph that depend on a weight; None if they do not hold all of its making."""
    known = isinstance(output, Tensor) and all(isinstance(weight, Tensor) for weight in weights)
    root = _grad_fn(output) if known else None
    if root is None:
        return None
    users: dict[Any, list[Any]] = {root: []}
    waiting = [root]
    leaves = []
    while waiting and len(users) < MAX_NODES:
        node = waiting.pop()
        if isinstance(node, _own_function) or "jit" in node.name():
            return None
        if any(getattr(node, "variable", None) is weight for weight in weights):
            leaves.append(node)
        for below, _ in node.next_functions:
            if below is not None:
                if below not in users:
                    waiting.append(below)
                users.setdefault(below, []).append(node)
    if len(users) >= MAX_NODES:
        return set(users)
    if len(leaves) < len(weights):
        return None
    reached: set[Any] = set()
    while leaves:
        new = set(users[leaves.pop()]) - reached
        reached |= new
        leaves += new
    return reached


class _Makers(TorchFunctionMode):
    """Keeps, for each node that is made, the student's line that asked for it."""

    def __init__(self, labels: Mapping[str, int]) -> None:
        super().__init__()
        self.labels = labels
        self.lines: dict[Any, _Place] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            node = _grad_fn(each) if isinstance(each, Tensor) else None
            if node is not None and node not in self.lines and len(self.lines) < MAX_NODES:
                frame: FrameType | None = _frame(1)
                while frame is not None and frame.f_code.co_filename not in self.labels:
                    frame = frame.f_back
                if frame is not None:
                    self.lines[node] = self.labels[frame.f_code.co_filename], frame.f_lineno
        return result


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its hook untyped
    """Counts the tensor operations that reach the dispatcher, by their names."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in torch
        self.names: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True imports torch._dynamo, 0.7 s, to keep it from compiling this class

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def _count_all(
    run: Callable[[], torch.Tensor], labels: Mapping[str, int]
) -> tuple[torch.Tensor, tuple[int, int], Counter[_Place]]:
    """Run, and count operations and the student's lines as they run, in threads started here, too."""
    lines: Counter[_Place] = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        cell = labels.get(frame.f_code.co_filename)
        if cell is not None and event == "line":
            lines[cell, frame.f_lineno] += 1
        return None if cell is None else trace

    _set_thread_trace(trace)
    _set_trace(trace)
    try:
        with _Dispatched() as dispatched:
            output = run()
    finally:
        _set_trace(None)
        _set_thread_trace(None)
    operations, attentions = _counts(dispatched.names)
    return output, (operations + lines.total(), attentions), lines
