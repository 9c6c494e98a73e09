"""Runs the student's program, statement by statement, in a fresh module that is `__main__`.

A statement that fails is recorded, and the next one runs. Statements that train or compare are skipped.
When the CPU time is used up, the running statement is stopped, and each one behind it gets a little time of
its own, so that a task's matrices are whole, or not known. Modules of the student's own run in the same way,
where they are imported.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import linecache
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from mmap import mmap
from types import FunctionType, ModuleType
from typing import Any, Final

import torch

from autograder.assignment import CLASS_NAME, MATRICES
from autograder.bounds import OutOfTime, within
from autograder.sandbox.calls import Cell, LoadReport, Moment, Place, Raised, StatementFate, StatementReport
from autograder.sandbox.wire import Request, source_lines
from autograder.sandbox.worker.namespace import Kept, Moments, Names, Snapshots, is_of
from autograder.sandbox.worker.statements import Uses, cut, defines, uses, without_training, writes_log
from autograder.sandbox.worker.stubs import IMPORTS
from autograder.sandbox.worker.values import missing_name, own_places, raised

_FUTURE_FLAGS: Final = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_Module: Final = torch.nn.Module
_cpu_clock = time.process_time
_set_grad_enabled = torch.set_grad_enabled
_mro_of = type.__dict__["__mro__"].__get__
_EXITS: Final = {os: ("_exit", "abort", "kill", "killpg"), signal: ("raise_signal", "pthread_kill")}
"""How notebooks restart their runtime: while loading, only the statement that does so ends."""


class LoadedProgram:
    """A student's program; once it is loaded, `names` and `snapshots` answer what is asked of it.

    labels: number of each cell. progress: gets the number of each statement before it runs.
    """

    def __init__(self, request: Request, progress: mmap | bytearray) -> None:
        self.labels = {cell.label: number for number, cell in enumerate(request.cells)}
        self.snapshots = Snapshots(request.limits.items)
        self._request = request
        self._progress = progress
        self._definitions_only = request.definitions_only
        self._started = _cpu_clock()
        self._load_cpu = request.limits.load_cpu
        self._allowance = self._load_cpu / 5
        self._count = 0
        self._flags = 0
        self._executed = True
        self._unknown: set[str] = set()
        self._missing: dict[str, set[str]] = {}
        self._reports: list[StatementReport] = []
        self._moments = Moments()
        self._module = ModuleType("__main__")
        self.names: Names = self._module.__dict__
        self._current = self.names
        """Those of the module whose cells run."""

    def load(self) -> LoadReport:
        """Run the cells, in order, and make the names those that the model's calls are to find."""
        cells = [cell for cell in self._request.cells if not cell.file]
        self.names["__builtins__"] = builtins
        if len(cells) == 1 and cells[0].label.endswith(".py"):
            self.names["__file__"] = cells[0].label
        IMPORTS.bring(self._request.cells, self._run_module, self._module)
        sys.modules["__main__"] = self._module
        with _staying():
            for cell in cells:
                self._run_cell(cell)
            # Cells that lacked what one below them imports or defines: the student ran that one first.
            known = {name for name, value in self.names.items() if _is_defined(value)}
            for cell in [cell for cell in cells if self._missing.get(cell.label, set()) & known]:
                self._reports = [report for report in self._reports if report.place.label != cell.label]
                self._run_cell(cell)
        classes = [
            name
            for name, value in list(self.names.items())
            if type(name) is str and issubclass(type(value), type)
            if _Module in _mro_of(value) and is_of(value, self._spaces)
        ]
        report = LoadReport(
            tuple(self._reports), tuple(classes), self._definitions_only, tuple(IMPORTS.absent)
        )
        self.snapshots.is_cut = report.is_cut
        if self._request.moment is Moment.TESTED:
            self._moments.restore()
        if CLASS_NAME not in self.names:  # it may be a module's alone: `model.PytorchTransformer`
            spaces = [names for names in IMPORTS.loaded.values() if CLASS_NAME in names]
            self.names.update({CLASS_NAME: spaces[-1][CLASS_NAME]} if spaces else {})
        _set_grad_enabled(True)  # a cell may have switched gradients off for good
        return report

    @property
    def _spaces(self) -> dict[str, Names]:
        """The names of the program and of its modules, by what they are called."""
        return {"__main__": self.names, **IMPORTS.loaded}

    def _run_cell(self, cell: Cell) -> None:
        self._executed = cell.executed
        kept = None if cell.executed else Kept(self._spaces, keep_new=True)
        self._run(cell)
        if kept is not None:
            kept.restore()

    def _run_module(self, cells: Sequence[Cell], names: Names) -> None:
        """The cells of a module, with its own names, where it is imported."""
        before = self._current, self._flags
        self._current, self._flags = names, 0
        try:
            for cell in cells:
                self._run(cell)
        finally:
            self._current, self._flags = before

    def _run(self, cell: Cell) -> None:
        linecache.cache[cell.label] = (len(cell.source), None, source_lines(cell.source), cell.label)
        for line, node in cut(cell):
            self._count += 1
            place = Place(cell.label, line, "")
            if isinstance(node, Exception):
                self._fail(place, node)
            else:
                self._take(place, node)

    @property
    def _seconds(self) -> float:
        """CPU time for the next statement: what is left, or an allowance that is less with each statement
        that meets it. What is cheap still runs then, and what is not cannot hold up the rest for long."""
        return max(self._load_cpu - (_cpu_clock() - self._started), self._allowance)

    def _take(self, place: Place, node: ast.stmt) -> None:
        used = uses(node)
        self._definitions_only |= _cpu_clock() - self._started > 1.6 * self._load_cpu
        if end := dict(self._request.ended).get(self._count):
            self._leave_out(place, used, StatementFate.ENDED, Raised(end.reason.name, end.detail))
            return
        if self._definitions_only and not defines(node):
            self._leave_out(place, used, StatementFate.NOT_RUN)
            return
        left, skipped = without_training(node, used)
        for taken in skipped:
            self._leave_out(Place(place.label, taken.lineno, ""), uses(taken), StatementFate.SKIPPED)
        if left is None:
            return
        self._progress[:4] = self._count.to_bytes(4, "little")
        names, passed = self._current, self._execute(place, left, used)
        if names is not self.names:
            return
        # A variable that raises when looked at is the student's own loss.
        with suppress(BaseException), within(self._seconds):
            self._moments.look(used, self._spaces, passed=passed, executed=self._executed)
            self.snapshots.look(used, names, self._unknown, executed=self._executed)

    def _execute(self, place: Place, node: ast.stmt, used: Uses) -> bool:
        """Whether the statement ran to its end."""
        try:
            code = compile(ast.Module([node], []), place.label, "exec", self._flags, dont_inherit=True)
            self._flags |= code.co_flags & _FUTURE_FLAGS
            while True:
                try:
                    with within(self._seconds):
                        exec(code, self._current)  # noqa: S102 this is what the sandbox is for
                    break
                except ModuleNotFoundError as error:
                    if not IMPORTS.stand_in(error):
                        raise
        except OutOfTime as error:
            self._allowance = max(self._allowance / 2, self._load_cpu / 40)
            places = own_places(error.__traceback__, self.labels)
            inside = next((each for each in places if each.label == place.label), place)
            self._leave_out(inside, used, StatementFate.STOPPED)
        except BaseException as error:
            missing = missing_name(error)
            self._missing.setdefault(place.label, set()).add(missing)
            if missing in self._unknown:  # it needs what a statement that was left out would give
                self._leave_out(place, used, StatementFate.SKIPPED)
            elif not (issubclass(type(error), OSError) and writes_log(node)):
                self._fail(place, error)
                if issubclass(type(error), ModuleNotFoundError):
                    self._unknown |= used.stored
        else:
            if used.loaded & self._unknown:
                self._unknown |= used.stored
            else:
                self._unknown -= used.stored
            return True
        return False

    def _leave_out(self, place: Place, used: Uses, fate: StatementFate, error: Raised | None = None) -> None:
        """A statement that did not run to its end: what it would have set is not known."""
        self._unknown |= used.stored
        if fate is not StatementFate.SKIPPED:  # by a call or an item, it may have changed what it names
            self._unknown |= used.loaded & set(MATRICES)
        self._tell(StatementReport(place, fate, error))

    def _fail(self, place: Place, error: BaseException) -> None:
        failure = raised(error, self.labels, self._request.limits.text)
        self._tell(StatementReport(place, StatementFate.FAILED, failure))

    def _tell(self, report: StatementReport) -> None:
        if not self._reports or self._reports[-1] != report:
            self._reports.append(report)


def _is_defined(value: Any) -> bool:
    """Whether it comes from a `def`, a class or an import; not from an assignment, be it of a lambda."""
    if type(value) is FunctionType:
        return value.__name__ != "<lambda>"
    return issubclass(type(value), (type, ModuleType))


@contextmanager
def _staying() -> Iterator[None]:
    """Inside, a statement that would end the process only ends itself."""

    def leave(called: str, *args: Any) -> None:
        # By its name, since its number is another each time that the upload is graded.
        shown = ("os.getpid()" if arg == os.getpid() else repr(arg) for arg in args)
        raise SystemExit(f"{called}({', '.join(shown)})"[:80])

    kept = [(module, name, getattr(module, name)) for module, names in _EXITS.items() for name in names]
    for module, name, _ in kept:
        setattr(module, name, partial(leave, f"{module.__name__}.{name}"))
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
