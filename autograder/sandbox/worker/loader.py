"""Runs the student's program, statement by statement, in a fresh module that is `__main__`.

A statement that fails is recorded, and the next one runs. Statements that train or compare are skipped.
When the CPU time is used up, the running statement is stopped, and only definitions run from then on.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any, Final

import torch

from autograder.sandbox.calls import Cell, LoadReport, Place, StatementFate, StatementReport
from autograder.sandbox.wire import LoadLevel, Request, source_lines
from autograder.sandbox.worker.errors import missing_name, own_places, raised
from autograder.sandbox.worker.shadowed import LATER_NAMES, Shadowed
from autograder.sandbox.worker.snapshots import Snapshots
from autograder.sandbox.worker.statements import (
    FUTURE_FLAGS,
    Chunk,
    cut,
    markers,
    names_stored,
    runs_at,
    uses,
    without_training,
    writes_log,
)

_Module: Final = torch.nn.Module
_setitimer = signal.setitimer
_set_grad_enabled = torch.set_grad_enabled
_mro_of = type.__dict__["__mro__"].__get__
_module_of = type.__dict__["__module__"].__get__
STRICTER: Final = {
    LoadLevel.ALL: LoadLevel.DEFINITIONS,
    LoadLevel.DEFINITIONS: LoadLevel.NAMES,
    LoadLevel.NAMES: LoadLevel.NAMES,
}


class OutOfTime(BaseException):
    """The CPU time for loading is used up. No Exception, so that `except Exception` lets it through."""


@dataclass(frozen=True)
class Program:
    """A program that was run: its variables, its matrices, and what became of its statements."""

    namespace: dict[str, Any]
    snapshots: Snapshots
    report: LoadReport


class Alarm:
    """Raises OutOfTime in the student's statement once the CPU time is used up, and again, sooner,
    for what runs after it. Between statements it waits."""

    def __init__(self, seconds: float) -> None:
        self._running = False
        self.rang = False
        signal.signal(signal.SIGPROF, self._ring)
        _setitimer(signal.ITIMER_PROF, seconds, seconds / 10)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self.rang = True
        if self._running:
            raise OutOfTime

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Student code runs inside."""
        self._running = True
        try:
            yield
        finally:
            self._running = False

    def stop(self) -> None:
        """No more rings."""
        _setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)


class Loader:
    """One run of a program."""

    def __init__(self, request: Request, labels: Mapping[str, int]) -> None:
        self._limits = request.limits
        self._labels = labels
        self._level = request.level
        self._flags = 0
        self._skipped_names: set[str] = set()
        self._missing: dict[str, set[str]] = {}
        self._reports: list[StatementReport] = []
        self._snapshots = Snapshots(request.limits.items)
        self._shadowed = Shadowed()
        self._module = ModuleType("__main__")
        self._namespace = self._module.__dict__
        self._namespace["__builtins__"] = builtins
        if len(request.cells) == 1 and request.cells[0].label.endswith(".py"):
            self._namespace["__file__"] = request.cells[0].label

    def load(self, cells: Sequence[Cell]) -> Program:
        """Run them all."""
        sys.modules["__main__"] = self._module
        for cell in cells:
            lines = [f"{line}\n" for line in source_lines(cell.source)]
            linecache.cache[cell.label] = (len(cell.source), None, lines, cell.label)
        alarm = Alarm(self._limits.load_cpu)
        try:
            for cell in cells:
                self._run(cell, alarm)
            for cell in self._run_too_soon(cells):
                self._reports = [report for report in self._reports if report.place.label != cell.label]
                self._run(cell, alarm)
        finally:
            alarm.stop()
        self._shadowed.restore(self._namespace)
        _set_grad_enabled(True)  # a cell may have switched gradients off for good
        report = LoadReport(tuple(self._reports), self._classes(), self._level is not LoadLevel.ALL)
        return Program(self._namespace, self._snapshots, report)

    def _run(self, cell: Cell, alarm: Alarm) -> None:
        for chunk in cut(cell):
            self._take(chunk, alarm)

    def _run_too_soon(self, cells: Sequence[Cell]) -> list[Cell]:
        """Cells that lacked a name which a cell below them defines: the student ran that one first."""
        known = self._namespace.keys() - LATER_NAMES
        return [cell for cell in cells if self._missing.get(cell.label, set()) & known]

    def _take(self, chunk: Chunk, alarm: Alarm) -> None:
        if chunk.node is None:
            self._record(chunk.label, chunk.line, StatementFate.FAILED, chunk.error)
            return
        if not runs_at(chunk.node, self._level):
            self._record(chunk.label, chunk.line, StatementFate.NOT_RUN)
            return
        used = uses(chunk.node)
        marks = markers(chunk.node, used)
        node, skipped = without_training(chunk.node, used)
        for taken in skipped:
            self._skip(chunk.label, taken.lineno, taken)
        if node is None:
            return
        try:
            code = compile(ast.Module([node], []), chunk.label, "exec", self._flags, dont_inherit=True)
            self._flags |= code.co_flags & FUTURE_FLAGS
            with alarm.guard():
                exec(code, self._namespace)  # noqa: S102 this is what the sandbox is for
        except OutOfTime as error:
            self._record(chunk.label, chunk.line, StatementFate.STOPPED, stopped_at=error)
        except BaseException as error:
            self._missing.setdefault(chunk.label, set()).add(missing_name(error))
            if missing_name(error) in self._skipped_names:
                self._skip(chunk.label, chunk.line, node)  # it needs what a skipped statement would give
            elif not (issubclass(type(error), OSError) and writes_log(node)):
                self._record(chunk.label, chunk.line, StatementFate.FAILED, error)
        if alarm.rang:
            alarm.rang = False
            self._level = STRICTER[self._level]
        self._shadowed.look(node, used, self._namespace)
        try:
            with alarm.guard():
                self._snapshots.look(self._namespace, marks)
        except OutOfTime:
            self._level = STRICTER[self._level]
        except BaseException:  # noqa: S110 a variable that raises when looked at is the student's own loss
            pass

    def _skip(self, label: str, line: int, node: ast.stmt) -> None:
        self._skipped_names |= names_stored(node) - self._namespace.keys()
        last = self._reports[-1] if self._reports else None
        if last is None or last != StatementReport(Place(label, line, ""), StatementFate.SKIPPED):
            self._record(label, line, StatementFate.SKIPPED)

    def _record(
        self,
        label: str,
        line: int,
        fate: StatementFate,
        error: BaseException | None = None,
        stopped_at: BaseException | None = None,
    ) -> None:
        failure = raised(error, self._labels, self._limits.text) if error is not None else None
        if stopped_at is not None:
            line = next((place.line for place in own_places(stopped_at.__traceback__, self._labels)), line)
        self._reports.append(StatementReport(Place(label, line, ""), fate, failure))

    def _classes(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, value in list(self._namespace.items())
            if type(name) is str
            and issubclass(type(value), type)
            and _Module in _mro_of(value)
            and _module_of(value) == "__main__"
        )
