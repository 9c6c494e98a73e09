"""The trusted side of the sandbox: runs a program, and turns every ending of a child into an outcome.

Whatever comes is an ending, never an exception. Only the fork server's own failure is raised.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from autograder import settings
from autograder.errors import SandboxFault
from autograder.sandbox.calls import (
    Answer,
    Call,
    Cell,
    End,
    Ended,
    LoadReport,
    Moment,
    Outcome,
    RunLimits,
    Transcript,
    accepts,
)
from autograder.sandbox.isolation import Isolation, canary, read_findings
from autograder.sandbox.launch import Launched, cpu_seconds_of, handed_over, hear, launch, receive_exactly
from autograder.sandbox.wire import LOAD_INDEX, FrameError, Reply, Request, encode_order, next_message
from autograder.sandbox.worker.server import ENDED, HELLO, KILL, STARTED

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


@dataclass
class Allowance:
    """What is left of one upload's time, for all its programs, attempts and calls together, in seconds."""

    wall_left: float = settings.UPLOAD_WALL_SECONDS
    cpu_left: float = settings.UPLOAD_CPU_SECONDS

    def __post_init__(self) -> None:
        self._wall, self._cpu = self.wall_left, self.cpu_left

    def end_at(self, wall: float = 0.0, cpu: float = 0.0) -> Ended | None:
        """What a call comes to once so much more uses up the time; None while there is more."""
        if cpu >= self.cpu_left:
            return Ended(End.USED_UP, f"{self._cpu:g} s of CPU time")
        return Ended(End.USED_UP, f"{self._wall:g} s") if wall >= self.wall_left else None


class ForkServer:
    """The sandbox: a process that has imported torch, and forks one child per attempt.

    `with ForkServer() as fork_server:` starts it and returns at once; the first `run` waits for it.
    launched: a process from `launch`, if the caller started one before it imported this module.
    A fork server that died is started again by the next `run`. One run at a time; not for threads.
    """

    def __init__(self, launched: Launched | None = None) -> None:
        self._launched = launched
        self._ready = False

    def run(
        self,
        cells: Sequence[Cell],
        calls: Sequence[Call],
        limits: RunLimits | None = None,
        allowance: Allowance | None = None,
        *,
        moment: Moment = Moment.TESTED,
    ) -> Transcript:
        """Load the cells and make the calls, in order, in a child that is gone when this returns.

        Whatever the student's code does is an Outcome. limits: for this run only. allowance: what
        is left of the upload's time; None: no bound but those of the calls. moment: see `Moment`. Raises
        SandboxFault if the sandbox itself fails.

        Attempt follows attempt until every call has its outcome: one that ended while loading is followed by
        one without the statement that it ended in, and in the last resort by one with definitions alone.
        """
        limits = limits or DEFAULT_LIMITS
        allowance = allowance or Allowance(math.inf, math.inf)
        request = Request(tuple(cells), limits, 0, moment)
        load: LoadReport | None = None
        outcomes: list[Outcome] = []
        end: Ended | None = None
        with self._control() as control:
            for attempts_left in reversed(range(limits.failed_attempts)):
                if (end := allowance.end_at()) is not None:
                    break
                left = calls[len(outcomes) :]
                seconds = min(2 * limits.load_cpu + len(left) * limits.call_cpu, allowance.cpu_left)
                request = replace(request, cpu_seconds=math.ceil(seconds) + 1)
                attempt = _Attempt(control, request, left, allowance)
                attempt.run()
                load = load or attempt.load
                outcomes += attempt.outcomes
                end = attempt.end
                if end is None or end.reason is End.USED_UP:
                    break
                if attempt.load is None:
                    ended = (*request.ended, (attempt.statement, end))
                    request = replace(request, ended=ended, definitions_only=attempts_left == 1)
                else:
                    outcomes.append(end)
        not_run = end if end is not None and end.reason is End.USED_UP else Ended(End.NOT_RUN)
        outcomes += [not_run] * (len(calls) - len(outcomes))
        return Transcript(load or end or not_run, tuple(outcomes))

    def probe(self, uploads: Sequence[Path] = ()) -> Isolation:
        """What a jail on this machine holds, tried from inside one; uploads: those that are there, or the
        folder of all. Raises SandboxFault."""
        with canary(uploads) as call:
            return read_findings(self.run([], [call]).outcomes[0])

    def isolation_line(self, uploads: Sequence[Path] = ()) -> str:
        """`probe` in a line for staff. Never raises: a result is not lost for want of this line."""
        try:
            return self.probe(uploads).line
        except (SandboxFault, OSError) as error:
            return f"isolation: not known ({error})"

    def close(self) -> None:
        """End the fork server, and with it whatever it runs."""
        launched, self._launched, self._ready = self._launched, None, False
        if launched is not None:
            launched.end()

    def __enter__(self) -> ForkServer:
        self._launched = self._launched or launch()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _control(self) -> Iterator[socket.socket]:
        """The socket of a fork server that is ready; an OSError inside is the sandbox's fault. The socket is
        closed where anything is raised: what is still on its way would be taken for the next run's."""
        launched = self._launched = self._launched or launch()
        control = launched.control
        try:
            if not self._ready:
                tag, length, *_ = hear(control, _START_SECONDS)
                if tag != HELLO:
                    text = receive_exactly(control, length).decode("utf-8", "replace")
                    raise SandboxFault(f"the fork server cannot start: {text}")
                self._ready = True
            yield control
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise SandboxFault(f"the fork server is gone: {error}") from error
            raise


# --- One attempt. ---

_CHUNK: Final = 1 << 16
_ANSWERS_TOGETHER: Final = 4
"""All answers of an attempt are at most so many of the largest ones."""
_LOOK_SECONDS: Final = 0.02
"""How often the child's CPU clock is looked at; what it writes wakes us in any case."""
_DEATH_SECONDS: Final = 30.0
"""How long the fork server may take to end a child."""
_LOAD_GRACE: Final = 2.0
"""The child stops its own loading at the CPU limit; at this multiple of it, the host ends the child."""


@dataclass
class _Attempt:
    """One fork, and what came of it.

    load None: it died before the program was loaded. end None: it gave all. statement: the number of the one
    that it came to, while loading.
    """

    _control: socket.socket
    _request: Request
    _calls: Sequence[Call]
    _allowance: Allowance
    load: LoadReport | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    end: Ended | None = None
    statement: int = 0
    _came: bytearray = field(default_factory=bytearray)
    _received: int = 0
    _child: int = 0
    _gone: bool = False
    _open: bool = True

    def __post_init__(self) -> None:
        self._limits = self._request.limits
        self._begun = time.monotonic()
        self._unsent = memoryview(encode_order(self._request))
        self._begin_phase()

    def run(self) -> None:
        """Fork, talk, and return when the child is gone. Raises OSError if the fork server fails."""
        with handed_over(self._control) as (self._write_fd, self._read_fd):
            os.set_blocking(self._write_fd, False)
            os.set_blocking(self._read_fd, False)
            while not self._gone:
                self._wait()
                if not self._finished:
                    self._check_limits()
                if self._finished and not self._gone:
                    self._control.sendall(KILL)
                    while not self._gone:
                        self._hear(_DEATH_SECONDS)

    @property
    def _complete(self) -> bool:
        return self.load is not None and len(self.outcomes) == len(self._calls)

    @property
    def _finished(self) -> bool:
        return self._complete or self.end is not None

    def _begin_phase(self) -> None:
        """Loading, or a call: each has its own limits."""
        loading = self.load is None
        self._limit = self._limits.load_cpu if loading else self._limits.call_cpu
        self._cpu_limit = cpu_seconds_of(self._child) + self._limit * (_LOAD_GRACE if loading else 1.0)
        allowed = self._begun + self._allowance.wall_left
        self._deadline = min(time.monotonic() + self._limit * self._limits.wall_factor, allowed)

    def _wait(self) -> None:
        """Until the fork server reports, more of the request can go out, or it is time for a look."""
        readers = [self._control.fileno(), *([self._read_fd] if self._open else [])]
        writers = [self._write_fd] if self._unsent else []
        timeout = max(0.0, min(self._deadline - time.monotonic(), _LOOK_SECONDS))
        readable, writable, _ = select.select(readers, writers, [], timeout)
        if writable:
            self._send()
        if self._read_fd in readable:
            self._receive()
        if self._control.fileno() in readable:
            self._hear()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._write_fd, self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the child is gone, or closed its end: the control socket will tell
            self._unsent = memoryview(b"")

    def _receive(self) -> bool:
        """Take one chunk of what the child wrote; whether there was one."""
        try:
            data = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return False
        self._open = bool(data)
        if self._finished:
            return self._open
        self._received += len(data)
        self._came += data
        try:
            if self._received > _ANSWERS_TOGETHER * self._limits.answer:
                raise FrameError("more than all answers together can be")
            while not self._complete:
                due = LOAD_INDEX if self.load is None else len(self.outcomes)
                message = next_message(self._came, due, self._request.cells, self._limits)
                if message is None:
                    break
                self._accept(message)
        except FrameError as error:
            self.end = Ended(End.GARBAGE, str(error))
        return self._open

    def _accept(self, message: Reply) -> None:
        if isinstance(message, LoadReport):
            self.load = message
        else:
            call = self._calls[len(self.outcomes)]
            if isinstance(message, Answer) and not accepts(call, message, self._limits.items):
                raise FrameError("the answer has not the form of its call")
            self.outcomes.append(message)
        if not self._complete:
            self._unsent = memoryview(encode_order(self._calls[len(self.outcomes)]))
            self._send()
        self._begin_phase()

    def _check_limits(self) -> None:
        cpu, now = cpu_seconds_of(self._child), time.monotonic()
        self.end = self._allowance.end_at(now - self._begun, cpu)
        if self.end is None and cpu > self._cpu_limit:
            self.end = Ended(End.CPU_TIME, f"{self._limit:g} s")
        elif self.end is None and now >= self._deadline:
            self.end = Ended(End.WALL_TIME, f"{self._limit * self._limits.wall_factor:g} s")

    def _hear(self, seconds: float | None = None) -> None:
        tag, pid, status, cpu_seconds, peak_kib, self.statement = hear(self._control, seconds)
        if tag == STARTED:
            self._child = pid
        elif tag == ENDED:
            self._gone = True
            self._allowance.wall_left -= time.monotonic() - self._begun
            self._allowance.cpu_left -= cpu_seconds
            while not self._finished and self._receive():
                pass
            if not self._finished:
                self.end = self._autopsy(status, cpu_seconds, peak_kib)
        else:
            raise ConnectionError("it is in trouble")

    def _autopsy(self, status: int, cpu_seconds: float, peak_kib: int) -> Ended:
        """How a child ended that the host did not end."""
        if self._came:
            return Ended(End.GARBAGE, "the last frame is cut short")
        if os.WIFEXITED(status):
            return Ended(End.EXIT, f"exit status {os.WEXITSTATUS(status)}")
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        if number == signal.SIGSYS:
            return Ended(End.FORBIDDEN, name)
        if number == signal.SIGXCPU and (used_up := self._allowance.end_at()) is not None:
            return used_up
        if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_seconds >= self._cpu_limit):
            return Ended(End.CPU_TIME, f"{self._limit:g} s")
        if number == signal.SIGKILL and peak_kib * 1024 > self._limits.memory // 2:
            return Ended(End.MEMORY, "killed by the system, which was out of memory")
        return Ended(End.SIGNAL, name)
