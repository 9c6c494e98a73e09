"""The matrices of each task as they stood when that task's cell ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from autograder.assignment import LAYERS, MATRICES, TASK_FACTS, Task
from autograder.sandbox.calls import Answer, Outcome, Refusal, Refused
from autograder.sandbox.worker.statements import Strength
from autograder.sandbox.worker.tensors import Tensor, describe, read_tensor

Matrix = npt.NDArray[np.float64]
State = Mapping[str, Union[Matrix, str]]
"""By name, the matrix, or what stands there instead; a name that is not defined, or None, is absent."""


@dataclass
class Snapshots:
    """Looks at the program's variables after each statement, and remembers what a task may need.

    The strongest marker wins, among equals the last. Where its matrices cannot be the task's, the last
    state that can be is taken instead: cells are run out of order, and moved about.
    """

    max_items: int
    _marked: dict[Task, tuple[Strength, State]] = field(default_factory=dict)
    _fitting: dict[Task, State] = field(default_factory=dict)
    _at_cls: State | None = None

    def look(self, namespace: Mapping[str, Any], marks: Mapping[Task, Strength]) -> None:
        """After a statement that ran, if only in part; marks: the tasks whose cell it marks."""
        if not marks and not any(name in namespace for name in MATRICES):
            return
        state = {name: self._read(namespace[name]) for name in MATRICES if namespace.get(name) is not None}
        if self._at_cls is None and "CLS" in namespace:  # the optional part begins by defining this token
            self._at_cls = state
        for task, strength in marks.items():
            if task not in self._marked or strength >= self._marked[task][0]:
                self._marked[task] = (strength, state)
        for task in Task:
            if _fits(task, state):
                self._fitting[task] = state

    def _read(self, value: Any) -> Matrix | str:
        """A copy as float64, or what the value is, if it is not an array of real numbers."""
        try:
            if isinstance(value, Tensor):
                array = read_tensor(value)
            elif isinstance(value, (np.ndarray, list, tuple, float, int, np.generic)):
                array = np.asarray(value)
            else:
                return describe(value)
            if array.dtype.kind not in "fiub":
                return f"{describe(value)} of {array.dtype}"
            if array.size > self.max_items or array.ndim > 4:
                return f"an array of {array.size} numbers"
            return np.array(array, dtype=np.float64, order="C")
        except Exception:
            return describe(value)

    def answer(self, task: Task) -> Outcome:
        """The task's matrices, or why there are none."""
        state = self._state(task)
        missing = [name for name in LAYERS if not state or name not in state]
        if task is not Task.CONTENT and not missing and state and "pos" not in state:
            missing = ["pos"]
        if state is None or missing:
            return Refused(Refusal.NO_MATRICES, ", ".join(missing))
        if task is Task.UNIQUE and self._is_left_from_before(state):
            return Refused(Refusal.NO_MATRICES, "they are still those of an earlier part")
        wanted = LAYERS if task is Task.CONTENT else MATRICES
        arrays: dict[str, Matrix] = {}
        for name in wanted:
            value = state[name]
            if isinstance(value, str):
                return Refused(Refusal.NOT_NUMERIC, f"{name} is {value}")
            arrays[name] = value
        return Answer(arrays)

    def _is_left_from_before(self, state: State) -> bool:
        """The optional part was skipped: the matrices are still what they were, or can only be POSITION's."""
        if not _fits(Task.UNIQUE, state) and (_fits(Task.POSITION, state) or _same(state, self._at_cls)):
            return True
        return _same(state, self._state(Task.POSITION))

    def _state(self, task: Task) -> State | None:
        marked = self._marked.get(task)
        if marked is not None and (_fits(task, marked[1]) or _holds_no_matrix(marked[1])):
            return marked[1]
        return self._fitting.get(task) or (marked[1] if marked is not None else None)


def _fits(task: Task, state: State) -> bool:
    """Whether shapes alone allow that these are the task's matrices."""
    rows = TASK_FACTS[task].token_dim
    if task is not Task.CONTENT:
        pos = state.get("pos")
        if not isinstance(pos, np.ndarray) or pos.ndim != 2:
            return False
        rows += pos.shape[1]
    matrices = [state.get(name) for name in LAYERS]
    if any(not isinstance(m, np.ndarray) or m.ndim != 2 or m.shape[0] != rows for m in matrices):
        return False
    Vm = matrices[2]
    return task is Task.UNIQUE or (isinstance(Vm, np.ndarray) and Vm.shape[1] == 3)


def _holds_no_matrix(state: State) -> bool:
    """Whether something stands there that is no array of numbers: that is to be told, not passed over."""
    return any(isinstance(value, str) for value in state.values())


def _same(state: State, other: State | None) -> bool:
    if other is None or state.keys() != other.keys():
        return False
    return all(
        isinstance(value, np.ndarray)
        and isinstance(other[name], np.ndarray)
        and np.array_equal(value, other[name])
        for name, value in state.items()
    )
