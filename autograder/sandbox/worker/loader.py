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
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final

import torch

from autograder.assignment import CLASS_NAME, MATRICES
from autograder.sandbox.calls import Cell, LoadReport, Moment, Place, Raised, StatementFate, StatementReport
from autograder.sandbox.wire import Request, source_lines
from autograder.sandbox.worker import stubs
from autograder.sandbox.worker.namespace import Kept, Moments, Names, Snapshots, is_of
from autograder.sandbox.worker.statements import Chunk, Uses, cut, defines, uses, without_training, writes_log
from autograder.sandbox.worker.stubs import OwnFiles, Shell
from autograder.sandbox.worker.values import missing_name, own_places, raised

_FUTURE_FLAGS: Final = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_Module: Final = torch.nn.Module
_setitimer = signal.setitimer
_cpu_clock = time.process_time
_set_grad_enabled = torch.set_grad_enabled
_mro_of = type.__dict__["__mro__"].__get__
_EXITS: Final = {os: ("_exit", "abort", "kill", "killpg"), signal: ("raise_signal", "pthread_kill")}
"""How notebooks restart their runtime: while loading, only the statement that does so ends."""


# --- Time. ---


class OutOfTime(BaseException):
    """The CPU time for loading is used up. No Exception, so that `except Exception` lets it through."""


class Alarm:
    """Raises OutOfTime in the student's statement once the CPU time is used up. Between statements it waits.

    After that each statement has an allowance of its own, less with every one that meets it: what is cheap
    runs, on a slow machine too, and a few that are not cannot hold up the rest.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._allowance = seconds / 5
        self._running = False
        self.rang = False
        signal.signal(signal.SIGPROF, self._ring)
        _setitimer(signal.ITIMER_PROF, seconds, seconds / 10)

    @property
    def is_spent(self) -> bool:
        """No allowance is left: from now on, only definitions run."""
        return self._allowance < self._seconds / 5 and _cpu_clock() > 1.6 * self._seconds

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self.rang = True
        if self._running:
            raise OutOfTime

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Student code runs inside."""
        before, self._running = self._running, True
        try:
            yield
        finally:
            self._running = before

    def next_statement(self) -> None:
        """Whoever rang has been told; the next one has its own allowance."""
        if self.rang:
            self.rang = False
            self._allowance = max(self._allowance / 2, self._seconds / 40)
        if self._allowance < self._seconds / 5:
            _setitimer(signal.ITIMER_PROF, self._allowance, self._allowance)

    def stop(self) -> None:
        """No more rings."""
        _setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)


# --- The program. ---


@dataclass(frozen=True)
class Program:
    """A program that was run: its variables, its matrices, and what became of its statements."""

    namespace: Names
    snapshots: Snapshots
    report: LoadReport


class Loader:
    """One run of a program. progress: takes the number of each statement before it runs."""

    def __init__(self, request: Request, labels: Mapping[str, int], progress: Callable[[int], None]) -> None:
        self._request = request
        self._labels = labels
        self._progress = progress
        self._ended = dict(request.ended)
        self._definitions_only = request.definitions_only
        self._alarm = Alarm(request.limits.load_cpu)
        self._count = 0
        self._flags = 0
        self._executed = True
        self._unknown: set[str] = set()
        self._missing: dict[str, set[str]] = {}
        self._reports: list[StatementReport] = []
        self._snapshots = Snapshots(request.limits.items)
        self._moments = Moments()
        self._cells = tuple(cell for cell in request.cells if not cell.file)
        self._files = OwnFiles([cell for cell in request.cells if cell.file], self._run_module)
        self._module = ModuleType("__main__")
        self._names = self._main = self._module.__dict__
        self._main["__builtins__"] = builtins
        if len(self._cells) == 1 and self._cells[0].label.endswith(".py"):
            self._main["__file__"] = self._cells[0].label
        self._files.install(self._module)
        shell = Shell(self._run_file)
        builtins.__dict__["get_ipython"] = lambda: shell

    def load(self) -> Program:
        """Run the cells, in order, and make the names those that the model's calls are to find."""
        sys.modules["__main__"] = self._module
        try:
            with _staying():
                for cell in self._cells:
                    self._run_cell(cell)
                # Cells that lacked what one below them imports or defines: the student ran that one first.
                known = {name for name, value in self._main.items() if _is_defined(value)}
                for cell in [cell for cell in self._cells if self._missing.get(cell.label, set()) & known]:
                    self._reports = [report for report in self._reports if report.place.label != cell.label]
                    self._run_cell(cell)
        finally:
            self._alarm.stop()
        _, own = self._kept
        classes = [
            name
            for name, value in list(self._main.items())
            if type(name) is str and issubclass(type(value), type)
            if _Module in _mro_of(value) and is_of(value, own)
        ]
        report = LoadReport(tuple(self._reports), tuple(classes), self._definitions_only, stubs.absent())
        self._snapshots.is_cut = report.is_cut
        if self._request.moment is Moment.TESTED:
            self._moments.restore()
        if CLASS_NAME not in self._main:  # it may be a module's alone: `model.PytorchTransformer`
            spaces = [names for names in self._files.loaded.values() if CLASS_NAME in names]
            self._main.update({CLASS_NAME: spaces[-1][CLASS_NAME]} if spaces else {})
        _set_grad_enabled(True)  # a cell may have switched gradients off for good
        return Program(self._main, self._snapshots, report)

    def _run_cell(self, cell: Cell) -> None:
        self._executed = cell.executed
        kept = None if cell.executed else Kept(*self._kept)
        self._run(cell)
        if kept is not None:
            kept.restore(keep_new=True)

    @property
    def _kept(self) -> tuple[list[Names], set[str]]:
        """The names of the program and of its modules, and what they are called."""
        return [self._main, *self._files.loaded.values()], {"__main__", *self._files.loaded}

    def _run(self, cell: Cell) -> None:
        lines = [f"{line}\n" for line in source_lines(cell.source)]
        linecache.cache[cell.label] = (len(cell.source), None, lines, cell.label)
        for chunk in cut(cell):
            self._take(chunk)

    def _run_module(self, cells: Sequence[Cell], names: Names) -> None:
        """The cells of a module, with its own names, where it is imported."""
        before = self._names, self._flags
        self._names, self._flags = names, 0
        try:
            for cell in cells:
                self._run(cell)
        finally:
            self._names, self._flags = before

    def _run_file(self, line: str) -> None:
        """`%run helpers.py`: as if it were typed here."""
        path = next((word for word in shlex.split(line) if not word.startswith("-")), "")
        cells = self._files.at(path) or self._files.at(f"{path}.py") or self._files.at(f"{path}.ipynb")
        if not cells:
            raise FileNotFoundError(2, "No such file", path)
        self._run_module(cells, self._main)

    def _take(self, chunk: Chunk) -> None:
        """Run a statement, and remember what it did."""
        self._count += 1
        if chunk.node is None:
            self._fail(chunk, chunk.error)
            return
        used = uses(chunk.node)
        self._alarm.next_statement()
        self._definitions_only = self._definitions_only or self._alarm.is_spent
        if end := self._ended.get(self._count):
            error = Raised(end.reason.name, end.detail)
            self._leave_out(chunk.label, chunk.line, used, StatementFate.ENDED, error)
            return
        if self._definitions_only and not defines(chunk.node):
            self._leave_out(chunk.label, chunk.line, used, StatementFate.NOT_RUN)
            return
        node, skipped = without_training(chunk.node, used)
        for taken in skipped:
            self._leave_out(chunk.label, taken.lineno, uses(taken), StatementFate.SKIPPED)
        if node is None:
            return
        self._progress(self._count)
        names, passed = self._names, self._execute(chunk, node, used)
        if names is not self._main:
            return
        executed = self._executed
        # A variable that raises when looked at is the student's own loss.
        with suppress(BaseException), self._alarm.guard():
            self._moments.look(used, *self._kept, passed=passed, executed=executed)
            self._snapshots.look(chunk.node, used, names, self._unknown, executed=executed)

    def _execute(self, chunk: Chunk, node: ast.stmt, used: Uses) -> bool:
        """Whether the statement ran to its end."""
        try:
            code = compile(ast.Module([node], []), chunk.label, "exec", self._flags, dont_inherit=True)
            self._flags |= code.co_flags & _FUTURE_FLAGS
            while True:
                try:
                    with self._alarm.guard():
                        exec(code, self._names)  # noqa: S102 this is what the sandbox is for
                    break
                except ModuleNotFoundError as error:
                    if not stubs.stand_in(error):
                        raise
        except OutOfTime as error:
            places = own_places(error.__traceback__, self._labels)
            line = next((place.line for place in places if place.label == chunk.label), chunk.line)
            self._leave_out(chunk.label, line, used, StatementFate.STOPPED)
        except BaseException as error:
            missing = missing_name(error)
            self._missing.setdefault(chunk.label, set()).add(missing)
            if missing in self._unknown:  # it needs what a statement that was left out would give
                self._leave_out(chunk.label, chunk.line, used, StatementFate.SKIPPED)
            elif not (issubclass(type(error), OSError) and writes_log(node)):
                self._fail(chunk, error)
                if issubclass(type(error), ModuleNotFoundError):
                    self._unknown |= used.stored
        else:
            if used.loaded & self._unknown:
                self._unknown |= used.stored
            else:
                self._unknown -= used.stored
            return True
        return False

    def _leave_out(
        self, label: str, line: int, used: Uses, fate: StatementFate, error: Raised | None = None
    ) -> None:
        """A statement that did not run to its end: what it would have set is not known."""
        self._unknown |= used.stored
        if fate is not StatementFate.SKIPPED:  # by a call or an item, it may have changed what it names
            self._unknown |= used.loaded & set(MATRICES)
        report = StatementReport(Place(label, line, ""), fate, error)
        if not self._reports or self._reports[-1] != report:
            self._reports.append(report)

    def _fail(self, chunk: Chunk, error: BaseException | None) -> None:
        failure = raised(error, self._labels, self._request.limits.text) if error is not None else None
        self._reports.append(
            StatementReport(Place(chunk.label, chunk.line, ""), StatementFate.FAILED, failure)
        )


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
