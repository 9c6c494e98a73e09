"""The program's names at the moments that count: when the notebook tested its model, and at each task's cell.

What a later cell does to them, by binding a name again or by a change in place, reaches neither.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from autograder.assignment import CLASS_NAME, LAYERS, MATRICES, TASK_FACTS, Task
from autograder.sandbox.calls import Answer, Outcome, Refusal, Refused
from autograder.sandbox.worker.statements import Uses
from autograder.sandbox.worker.values import Tensor, describe_value, read_tensor

Names = dict[str, Any]
State = dict[str, Any]
"""By name, the matrix as float64, or in words what stands there instead; what is not defined is absent."""

_SMALL: Final = 100_000
"""An array of more numbers is no setting of the model's."""
_LOGGED: Final = {"_K": "Km", "_Q": "Qm", "_V": "Vm", "_pos": "pos"}
_module_of = type.__dict__["__module__"].__get__
_fields_of = object.__getattribute__
_class_dict = type.__dict__["__dict__"].__get__
_default_dtype, _set_default_dtype = torch.get_default_dtype, torch.set_default_dtype


# --- The names when the model was tested. ---


class Kept:
    """The names of some modules, and of what they hold all that a later cell could change in place.

    spaces: by their modules' names; classes made in one of these are the program's own. keep_new: names that
    come later stay: helpers that stand below a class, and what a cell that was never executed adds.
    """

    def __init__(self, spaces: Mapping[str, Names], *, keep_new: bool) -> None:
        self._keep_new = keep_new
        self._dtype = _default_dtype()
        self._copies: list[tuple[Any, Any]] = [(names, names.copy()) for names in spaces.values()]
        for value in {id(value): value for names in spaces.values() for value in names.values()}.values():
            kind = type(value)
            if kind in (dict, list) or (kind is np.ndarray and value.size <= _SMALL):
                self._copies.append((value, value.copy()))
            elif issubclass(kind, type) and is_of(value, spaces):
                self._copies.append((value, dict(_class_dict(value))))
            elif is_of(kind, spaces):
                with suppress(AttributeError):  # it has slots
                    fields = _fields_of(value, "__dict__")
                    self._copies.append((fields, fields.copy()))

    def restore(self) -> None:
        """Make the names what they were."""
        for value, kept in self._copies:
            if type(value) is dict:
                for name in () if self._keep_new else value.keys() - kept.keys():
                    del value[name]
                value.update(kept)
            elif issubclass(type(value), type):
                now = dict(_class_dict(value))
                for name in () if self._keep_new else now.keys() - kept.keys():
                    type.__delattr__(value, name)
                for name in [name for name in kept if name not in now or now[name] is not kept[name]]:
                    type.__setattr__(value, name, kept[name])
            elif type(value) is list or value.shape == kept.shape:
                value[:] = kept
        _set_default_dtype(self._dtype)


def is_of(cls: type, modules: Collection[str]) -> bool:
    """Whether the class was made in one of these modules."""
    module = _module_of(cls)
    return type(module) is str and module in modules


class Moments:
    """Remembers the names as they stood when the model was last tested, or else last defined.

    A test that went through counts most: what its model could use is what the log records.
    """

    def __init__(self) -> None:
        self._tested: Kept | None = None
        self._last: Kept | None = None
        self._class: object = None

    def look(self, used: Uses, spaces: Mapping[str, Names], *, passed: bool, executed: bool) -> None:
        """After a statement. passed: it raised nothing. spaces: the program's names, then its modules'."""
        found = next(iter(spaces.values())).get(CLASS_NAME)
        if found is None or (not executed and self._last is not None):
            return
        seen = (id(found), *(map(id, _class_dict(found).values()) if issubclass(type(found), type) else ()))
        if used.tests_model:
            self._last = Kept(spaces, keep_new=False)
            self._tested = self._last if passed else self._tested
        elif seen != self._class:  # helpers and imports that stand below the class are its own, too
            self._last = Kept(spaces, keep_new=True)
        self._class = seen

    def restore(self) -> None:
        """Make the names what they were at that moment."""
        if (moment := self._tested or self._last) is not None:
            moment.restore()


# --- The matrices when their task's cell ran. ---

_NOT_KNOWN: Final = "not known"


class Snapshots:
    """Looks at the program's variables after each statement, and remembers what a task may need.

    A state whose matrices can be the task's goes before one that only a marker names: cells are run out of
    order, and moved about. Then one in a cell that was executed goes before one that was not, then the
    strongest marker, and among equals the last.
    """

    def __init__(self, max_items: int) -> None:
        self.is_cut = False
        """Whether statements were left out, so that a matrix that is missing is not known."""
        self._max_items = max_items
        self._best: dict[Task, tuple[tuple[bool, bool, int], State]] = {}
        self._renamed: dict[Task, State] = {}
        self._at_cls: State | None = None

    def look(self, used: Uses, names: Names, unknown: Collection[str], *, executed: bool) -> None:
        """After a statement that ran, if only in part. unknown: what one that was left out would set."""
        marks = used.marks
        if not marks and not any(name in names or name in unknown for name in MATRICES):
            return
        state = {name: self._read(names[name]) for name in MATRICES if names.get(name) is not None}
        state |= {name: _NOT_KNOWN for name in MATRICES if name in unknown}
        if self._at_cls is None and "CLS" in names:  # the optional part begins by defining this token
            self._at_cls = state
        for task in Task:
            its, marked = state, task in marks
            if marked:
                its = state | self._under_other_names(task, used, names)
            # What is no matrix where the task's have to be is told, not passed over.
            usable = _fits(task, its) or (marked and any(isinstance(value, str) for value in its.values()))
            rank = usable, executed, marks.get(task, 0)
            if (marked or usable) and (task not in self._best or rank >= self._best[task][0]):
                self._best[task] = rank, its

    def _under_other_names(self, task: Task, used: Uses, names: Names) -> State:
        """The matrices that the lines for the log take from variables with names of the student's own."""
        renamed = self._renamed.setdefault(task, {})
        for suffix, matrix in _LOGGED.items():
            variables = used.keys.get(f"{task.value}{suffix}", ())
            own = [name for name in variables if isinstance(names.get(name), (np.ndarray, Tensor, list))]
            if own and matrix not in variables:
                renamed[matrix] = self._read(names[own[0]])
        return renamed

    def _read(self, value: Any) -> npt.NDArray[np.float64] | str:
        """A copy as float64, or what the value is, if it is not an array of real numbers."""
        try:
            if not isinstance(value, (Tensor, np.ndarray, list, tuple, float, int, np.generic)):
                return describe_value(value)
            array = read_tensor(value) if isinstance(value, Tensor) else np.asarray(value)
            if array.dtype.kind not in "fiub":
                return f"{describe_value(value)} of {array.dtype}"
            if array.size > self._max_items or array.ndim > 4:
                return f"an array of {array.size} numbers"
            return np.array(array, dtype=np.float64, order="C")
        except Exception:
            return describe_value(value)

    def answer(self, task: Task) -> Outcome:
        """The task's matrices, or why there are none."""
        state = self._state(task)
        wanted = MATRICES if TASK_FACTS[task].has_pos else LAYERS
        missing = [name for name in wanted if name not in state]
        if missing:
            missing = [name for name in missing if name != "pos"] or missing
            return Refused(Refusal.NOT_KNOWN if self.is_cut else Refusal.NO_MATRICES, ", ".join(missing))
        # Where the optional part was skipped, they are still what they were, or can only be POSITION's.
        left = not _fits(task, state) and (_fits(Task.POSITION, state) or _same(state, self._at_cls or {}))
        if task is Task.UNIQUE and (left or _same(state, self._state(Task.POSITION))):
            return Refused(Refusal.NO_MATRICES, "they are still those of an earlier part")
        odd = {name: value for name in wanted if isinstance(value := state[name], str)}
        unknown = [name for name, value in odd.items() if value == _NOT_KNOWN]
        if unknown:
            return Refused(Refusal.NOT_KNOWN, ", ".join(unknown))
        for name, value in odd.items():
            return Refused(Refusal.NOT_NUMERIC, f"{name} is {value}")
        return Answer({name: state[name] for name in wanted})

    def _state(self, task: Task) -> State:
        return self._best[task][1] if task in self._best else {}


def _fits(task: Task, state: State) -> bool:
    """Whether shapes alone allow that these are the task's matrices."""
    facts = TASK_FACTS[task]
    shapes: list[tuple[int, ...]] = [getattr(state.get(name), "shape", ()) for name in MATRICES]
    *layers, pos = shapes if facts.has_pos else [*shapes[:3], (0, 0)]
    if any(len(shape) != 2 for shape in (*layers, pos)):
        return False
    rows = facts.token_dim + pos[1]
    return all(shape[0] == rows for shape in layers) and facts.v_dim in (None, layers[2][1])


def _same(state: State, other: State) -> bool:
    return (
        state.keys() == other.keys()
        and str not in map(type, (*state.values(), *other.values()))
        and all(np.array_equal(value, other[name]) for name, value in state.items())
    )
