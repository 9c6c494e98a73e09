"""The program's names at the moments that count: when the notebook tested its model, and at each task's cell.

What a later cell does to them, by binding a name again or by a change in place, reaches neither.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Union

import numpy as np
import numpy.typing as npt
import torch

from autograder.assignment import CLASS_NAME, LAYERS, MATRICES, TASK_FACTS, Task
from autograder.sandbox.calls import Answer, Outcome, Refusal, Refused
from autograder.sandbox.worker.statements import Strength, Uses, markers
from autograder.sandbox.worker.values import Tensor, describe, read_tensor

Names = dict[str, Any]
Matrix = npt.NDArray[np.float64]
State = Mapping[str, Union[Matrix, str]]
"""By name, the matrix, or what stands there instead; a name that is not defined, or None, is absent."""

_SMALL: Final = 100_000
"""An array of more numbers is no setting of the model's."""
_LOGGED: Final = {"_K": "Km", "_Q": "Qm", "_V": "Vm", "_pos": "pos"}
_module_of = type.__dict__["__module__"].__get__
_fields_of = object.__getattribute__
_class_dict = type.__dict__["__dict__"].__get__
_default_dtype, _set_default_dtype = torch.get_default_dtype, torch.set_default_dtype


# --- The names when the model was tested. ---


class Kept:
    """The names of some modules, and of what they hold all that a later cell could change in place."""

    def __init__(self, spaces: Sequence[Names], own: Collection[str]) -> None:
        self._spaces = [(space, dict(space)) for space in spaces]
        self._dtype = _default_dtype()
        inside = {id(value): value for space in spaces for value in space.values()}
        self._objects: list[tuple[Any, Any]] = []
        for value in list(inside.values()):
            kind = type(value)
            if kind in (dict, list) or (kind is np.ndarray and value.size <= _SMALL):
                self._objects.append((value, value.copy()))
            elif issubclass(kind, type) and is_of(value, own):
                self._objects.append((value, dict(_class_dict(value))))
            elif is_of(kind, own):
                with suppress(AttributeError):  # it has slots
                    fields = _fields_of(value, "__dict__")
                    self._objects.append((fields, fields.copy()))

    def restore(self, *, keep_new: bool) -> None:
        """Make the names what they were. keep_new: those that have come since stay: helpers that stand
        below a class, and what a cell that was never executed adds."""
        for space, kept in self._spaces:
            _replace(space, kept, keep_new=keep_new)
        for value, kept in self._objects:
            if type(value) is dict:
                _replace(value, kept, keep_new=False)
            elif issubclass(type(value), type):
                now = dict(_class_dict(value))
                for name in () if keep_new else now.keys() - kept.keys():
                    type.__delattr__(value, name)
                for name in [name for name in kept if name not in now or now[name] is not kept[name]]:
                    type.__setattr__(value, name, kept[name])
            elif type(value) is list or value.shape == kept.shape:
                value[:] = kept
        _set_default_dtype(self._dtype)


def is_of(cls: type, own: Collection[str]) -> bool:
    """Whether the class was made in one of these modules."""
    module = _module_of(cls)
    return type(module) is str and module in own


def _replace(names: Names, kept: Names, *, keep_new: bool) -> None:
    if not keep_new:
        for name in names.keys() - kept.keys():
            del names[name]
    names.update(kept)


class Moments:
    """Remembers the names as they stood when the model was last tested, or else last defined.

    A test that went through counts most: what its model could use is what the log records.
    """

    def __init__(self) -> None:
        self._tested: tuple[Kept, bool] | None = None
        self._last: tuple[Kept, bool] | None = None
        self._class: object = None

    def look(
        self, used: Uses, spaces: Sequence[Names], own: Collection[str], *, passed: bool, executed: bool
    ) -> None:
        """After a statement. passed: it raised nothing. spaces: the program's names, then its modules'."""
        found = spaces[0].get(CLASS_NAME)
        if found is None or (not executed and self._last is not None):
            return
        seen = (id(found), *(map(id, _class_dict(found).values()) if issubclass(type(found), type) else ()))
        if used.tests_model:
            self._last = Kept(spaces, own), False
            self._tested = self._last if passed else self._tested
        elif seen != self._class:  # helpers and imports that stand below the class are its own, too
            self._last = Kept(spaces, own), True
        self._class = seen

    def restore(self) -> None:
        """Make the names what they were at that moment."""
        moment = self._tested or self._last
        if moment is not None:
            kept, keep_new = moment
            kept.restore(keep_new=keep_new)


# --- The matrices when their task's cell ran. ---

_NOT_KNOWN: Final = "not known"


@dataclass
class Snapshots:
    """Looks at the program's variables after each statement, and remembers what a task may need.

    The strongest marker wins, among equals the last; one in a cell that was executed goes before one that
    was not. Where its matrices cannot be the task's, the last state that can be is taken instead: cells are
    run out of order, and moved about.
    """

    max_items: int
    is_cut: bool = False
    """Whether statements were left out, so that a matrix that is missing is not known."""
    _marked: dict[Task, tuple[tuple[bool, Strength], State]] = field(default_factory=dict)
    _renamed: dict[Task, dict[str, Matrix | str]] = field(default_factory=dict)
    _fitting: dict[Task, State] = field(default_factory=dict)
    _at_cls: State | None = None

    def look(
        self, node: ast.stmt, used: Uses, names: Names, unknown: Collection[str], *, executed: bool
    ) -> None:
        """After a statement that ran, if only in part. unknown: what one that was left out would set."""
        marks = markers(node, used)
        if not marks and not any(name in names or name in unknown for name in MATRICES):
            return
        state: dict[str, Matrix | str] = {}
        for name in MATRICES:
            if name in unknown:
                state[name] = _NOT_KNOWN
            elif names.get(name) is not None:
                state[name] = self._read(names[name])
        if self._at_cls is None and "CLS" in names:  # the optional part begins by defining this token
            self._at_cls = state
        for task, strength in marks.items():
            rank = (executed, strength)
            if task not in self._marked or rank >= self._marked[task][0]:
                self._marked[task] = (rank, state | self._under_other_names(task, used, names))
        for task in Task:
            if _fits(task, state):
                self._fitting[task] = state

    def _under_other_names(self, task: Task, used: Uses, names: Names) -> dict[str, Matrix | str]:
        """The matrices that the lines for the log take from variables with names of the student's own."""
        renamed = self._renamed.setdefault(task, {})
        for suffix, matrix in _LOGGED.items():
            variables = used.keys.get(f"{task.value}{suffix}", ())
            own = [name for name in variables if isinstance(names.get(name), (np.ndarray, Tensor, list))]
            if own and matrix not in variables:
                renamed[matrix] = self._read(names[own[0]])
        return renamed

    def _read(self, value: Any) -> Matrix | str:
        """A copy as float64, or what the value is, if it is not an array of real numbers."""
        try:
            if not isinstance(value, (Tensor, np.ndarray, list, tuple, float, int, np.generic)):
                return describe(value)
            array = read_tensor(value) if isinstance(value, Tensor) else np.asarray(value)
            if array.dtype.kind not in "fiub":
                return f"{describe(value)} of {array.dtype}"
            if array.size > self.max_items or array.ndim > 4:
                return f"an array of {array.size} numbers"
            return np.array(array, dtype=np.float64, order="C")
        except Exception:
            return describe(value)

    def answer(self, task: Task) -> Outcome:
        """The task's matrices, or why there are none."""
        state = self._state(task) or {}
        wanted = MATRICES if TASK_FACTS[task].has_pos else LAYERS
        missing = [name for name in wanted if name not in state]
        if missing:
            missing = [name for name in missing if name != "pos"] or missing
            return Refused(Refusal.NOT_KNOWN if self.is_cut else Refusal.NO_MATRICES, ", ".join(missing))
        if task is Task.UNIQUE and self._is_left_from_before(state):
            return Refused(Refusal.NO_MATRICES, "they are still those of an earlier part")
        odd = {name: value for name in wanted if isinstance(value := state[name], str)}
        unknown = [name for name, value in odd.items() if value == _NOT_KNOWN]
        if unknown:
            return Refused(Refusal.NOT_KNOWN, ", ".join(unknown))
        if odd:
            name, value = next(iter(odd.items()))
            return Refused(Refusal.NOT_NUMERIC, f"{name} is {value}")
        return Answer({name: value for name in wanted if not isinstance(value := state[name], str)})

    def _is_left_from_before(self, state: State) -> bool:
        """The optional part was skipped: the matrices are still what they were, or can only be POSITION's."""
        if not _fits(Task.UNIQUE, state) and (_fits(Task.POSITION, state) or _same(state, self._at_cls)):
            return True
        return _same(state, self._state(Task.POSITION))

    def _state(self, task: Task) -> State | None:
        marked = self._marked.get(task)
        if marked is not None and (
            _fits(task, marked[1])
            or any(isinstance(value, str) for value in marked[1].values())  # to be told, not passed over
        ):
            return marked[1]
        return self._fitting.get(task) or (marked and marked[1])


def _fits(task: Task, state: State) -> bool:
    """Whether shapes alone allow that these are the task's matrices."""
    facts = TASK_FACTS[task]
    rows = facts.token_dim
    if facts.has_pos:
        pos = state.get("pos")
        if not isinstance(pos, np.ndarray) or pos.ndim != 2:
            return False
        rows += pos.shape[1]
    matrices = [state.get(name) for name in LAYERS]
    if any(not isinstance(m, np.ndarray) or m.ndim != 2 or m.shape[0] != rows for m in matrices):
        return False
    Vm = matrices[2]
    return isinstance(Vm, np.ndarray) and facts.v_dim in (None, Vm.shape[1])


def _same(state: State, other: State | None) -> bool:
    return (
        other is not None
        and state.keys() == other.keys()
        and not any(isinstance(value, str) for value in (*state.values(), *other.values()))
        and all(np.array_equal(value, other[name]) for name, value in state.items())
    )
