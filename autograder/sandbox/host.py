"""The trusted side of the sandbox: turns every ending of a child into an outcome."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

from autograder import settings
from autograder.errors import SandboxFault
from autograder.sandbox.attempt import receive_exactly, run_attempt
from autograder.sandbox.jail.isolation import Isolation
from autograder.sandbox.launch import Launched, launch
from autograder.sandbox.limits import RunLimits
from autograder.sandbox.probe import probe
from autograder.sandbox.requests import LoadLevel, Request
from autograder.sandbox.types import Call, Cell, End, Ended, LoadReport, Outcome, Transcript
from autograder.sandbox.worker.server import HELLO, REPORT

_START_SECONDS: Final = 300.0
"""How long torch may take to import: from a cold disk, on half a CPU, it may be a minute."""

DEFAULT_LIMITS: Final = RunLimits(
    load_cpu=settings.LOAD_CPU_SECONDS,
    call_cpu=settings.CALL_CPU_SECONDS,
    wall_factor=settings.WALL_FACTOR,
    failed_attempts=settings.MAX_FAILED_ATTEMPTS,
    memory=settings.MEMORY_BYTES,
    answer=settings.MAX_ANSWER_BYTES,
    text=settings.MAX_TEXT_BYTES,
    items=settings.MAX_MATRIX_ITEMS,
)

_NEXT_LEVEL: Final = {LoadLevel.ALL: LoadLevel.DEFINITIONS, LoadLevel.DEFINITIONS: LoadLevel.NAMES}


class ForkServer:
    """The sandbox: a process that has imported torch, and forks one child per attempt.

    `with ForkServer() as fork_server:` starts it and returns at once; the first `run` waits for it.
    launched: a process from `launch`, if the caller started one before it imported this module.
    A fork server that died is started again by the next `run`. One run at a time; not for threads.
    """

    def __init__(self, limits: RunLimits = DEFAULT_LIMITS, launched: Launched | None = None) -> None:
        self._limits = limits
        self._launched = launched
        self._ready = False

    def start(self) -> None:
        """Start the process; it imports torch while the caller does other things."""
        self._launched = self._launched or launch()

    def run(
        self,
        cells: Sequence[Cell],
        calls: Sequence[Call],
        limits: RunLimits | None = None,
        heard: Callable[[], None] | None = None,
    ) -> Transcript:
        """See types.Sandbox. limits: for this run only. heard: called at each call's outcome."""
        control = self._await_ready()
        try:
            return _run(control, tuple(cells), tuple(calls), limits or self._limits, heard)
        except BaseException:  # what is still on its way would be taken for the next run's
            self.close()
            raise

    def probe(self) -> Isolation:
        """What a jail on this machine holds, tried by a canary in one. Raises SandboxFault."""
        control = self._await_ready()
        try:
            return probe(control)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the fork server, and with it whatever it runs."""
        launched, self._launched, self._ready = self._launched, None, False
        if launched is not None:
            launched.end()

    def __enter__(self) -> ForkServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_ready(self) -> socket.socket:
        launched = self._launched = self._launched or launch()
        control = launched.control
        if not self._ready:
            try:
                control.settimeout(_START_SECONDS)
                tag, length, *_ = REPORT.unpack(receive_exactly(control, REPORT.size))
                if tag != HELLO:
                    text = receive_exactly(control, length).decode("utf-8", "replace")
                    raise SandboxFault(f"the fork server cannot start: {text}")
                control.settimeout(None)
            except SandboxFault:
                self.close()
                raise
            self._ready = True
        return control


def _run(
    control: socket.socket,
    cells: tuple[Cell, ...],
    calls: tuple[Call, ...],
    limits: RunLimits,
    heard: Callable[[], None] | None,
) -> Transcript:
    """Attempt after attempt, until every call has its outcome."""
    load: LoadReport | None = None
    outcomes: list[Outcome] = []
    level = LoadLevel.ALL
    end = None
    for _ in range(limits.failed_attempts):
        attempt = run_attempt(control, Request(cells, calls[len(outcomes) :], level, limits), heard)
        load = load or attempt.load
        outcomes += attempt.outcomes
        end = attempt.end
        if end is None:
            break
        if attempt.load is None:
            level = _NEXT_LEVEL.get(level, level)
        else:
            outcomes.append(end)
    missing = len(calls) - len(outcomes)
    outcomes += [Ended(End.NOT_RUN)] * missing
    return Transcript(load or end or Ended(End.NOT_RUN), tuple(outcomes))
