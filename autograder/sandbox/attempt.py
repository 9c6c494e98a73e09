"""One attempt, seen from the trusted side: sends the request, reads answers, ends the child.

Waits for the process, and looks at the pipe now and then: to wake at every answer would cost the grader
a sixth of its CPU time. Whatever comes is an ending, never an exception. Only the fork server's own failure
is raised.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from autograder.errors import SandboxFault
from autograder.sandbox import frames, messages
from autograder.sandbox.forms import has_form
from autograder.sandbox.frames import FrameError, FrameReader
from autograder.sandbox.requests import Request
from autograder.sandbox.requests import encode as encode_request
from autograder.sandbox.types import Answer, End, Ended, LoadReport, Outcome
from autograder.sandbox.worker.server import ENDED, FORK, KILL, REPORT, STARTED

_CHUNK: Final = 1 << 16
_MUCH: Final = 1 << 12
"""The least that a pipe holds: where so much came at once, a child may be waiting to write more."""
_ANSWERS_TOGETHER: Final = 4
"""All answers of an attempt are at most so many of the largest ones."""
_LOOK_SECONDS: Final = 0.02
"""How often the answers and the child's CPU clock are looked at, before the end wakes us in any case."""
_DEATH_SECONDS: Final = 30.0
"""How long the fork server may take to end a child."""
LOAD_GRACE: Final = 2.0
"""The child stops its own loading at the CPU limit; at this multiple of it, the host ends the child."""


@dataclass
class Attempt:
    """What one fork gave. load None: it died before the program was loaded. end None: it gave all."""

    load: LoadReport | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    end: Ended | None = None


def run_attempt(control: socket.socket, request: Request, heard: Callable[[], None] | None = None) -> Attempt:
    """Fork, talk, and return when the child is gone. Raises SandboxFault if the fork server fails.

    heard: called at each call's outcome.
    """
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    try:
        try:
            socket.send_fds(control, [FORK], [request_read, answer_write])
        except OSError as error:
            raise SandboxFault(f"the fork server is gone: {error}") from error
        finally:
            os.close(request_read)
            os.close(answer_write)
        os.set_blocking(request_write, False)
        os.set_blocking(answer_read, False)
        return _Talk(control, request, request_write, answer_read, heard).run()
    finally:
        os.close(request_write)
        os.close(answer_read)


class _Talk:
    def __init__(
        self,
        control: socket.socket,
        request: Request,
        request_write: int,
        answer_read: int,
        heard: Callable[[], None] | None,
    ) -> None:
        self._control = control
        self._heard = heard
        self._request = request
        self._limits = request.limits
        self._write_fd = request_write
        self._read_fd = answer_read
        self._unsent = memoryview(encode_request(request))
        self._frames = FrameReader(request.limits.answer)
        self._result = Attempt()
        self._received = 0
        self._child = 0
        self._gone = False
        self._came = 0
        self._begin_phase(0.0)

    def run(self) -> Attempt:
        """Until the child is gone."""
        while not self._gone:
            self._wait()
            if not self._gone and self._result.end is None:
                self._check_limits()
            if self._finished and not self._gone:
                self._end_child()
        return self._result

    @property
    def _complete(self) -> bool:
        return self._result.load is not None and len(self._result.outcomes) == len(self._request.calls)

    @property
    def _finished(self) -> bool:
        return self._complete or self._result.end is not None

    def _begin_phase(self, cpu_now: float) -> None:
        """Loading, or a call: each has its own limits."""
        loading = self._result.load is None
        limit = self._limits.load_cpu if loading else self._limits.call_cpu
        self._cpu_limit = cpu_now + limit * (LOAD_GRACE if loading else 1.0)
        self._deadline = time.monotonic() + limit * self._limits.wall_factor

    def _wait(self) -> None:
        """Until the fork server reports, more of the request can go out, or it is time for a look."""
        writers = [self._write_fd] if self._unsent else []
        timeout = max(0.0, min(self._deadline - time.monotonic(), _LOOK_SECONDS))
        at_once = self._came >= _MUCH
        reported, writable, _ = select.select([self._control], writers, [], 0.0 if at_once else timeout)
        if writable:
            self._send()
        self._came = self._receive()
        if reported:
            self._hear()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._write_fd, self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the child is gone, or closed its end: the control socket will tell
            self._unsent = memoryview(b"")

    def _receive(self) -> int:
        """Take one chunk of what the child wrote, if there is any; gives its bytes."""
        try:
            data = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return 0
        if data and not self._finished:
            self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _ANSWERS_TOGETHER * self._limits.answer:
            self._result.end = Ended(End.GARBAGE, "more than all answers together can be")
            return
        self._frames.feed(data)
        try:
            while not self._complete and (frame := self._frames.next()) is not None:
                self._accept(frame)
        except FrameError as error:
            self._result.end = Ended(End.GARBAGE, str(error))

    def _accept(self, frame: frames.Frame) -> None:
        expected = frames.LOAD_INDEX if self._result.load is None else len(self._result.outcomes)
        if frame.index != expected:
            raise FrameError("a frame came out of turn")
        message = messages.decode(frame, self._request.cells, self._limits.text)
        if isinstance(message, LoadReport):
            self._result.load = message
        else:
            if isinstance(message, Answer) and not has_form(self._request.calls[expected], message):
                raise FrameError("the answer has not the form of its call")
            self._result.outcomes.append(message)
            if self._heard is not None:
                self._heard()
        self._begin_phase(_cpu_seconds(self._child))

    def _check_limits(self) -> None:
        if self._complete:
            return
        if _cpu_seconds(self._child) > self._cpu_limit:
            self._result.end = Ended(End.CPU_TIME, self._phase_limit(1.0))
        elif time.monotonic() >= self._deadline:
            self._result.end = Ended(End.WALL_TIME, self._phase_limit(self._limits.wall_factor))

    def _phase_limit(self, factor: float) -> str:
        limit = self._limits.load_cpu if self._result.load is None else self._limits.call_cpu
        return f"{limit * factor:g} s"

    def _end_child(self) -> None:
        """Kill, and wait for the fork server to say that the child is gone."""
        try:
            self._control.sendall(KILL)
        except OSError as error:
            raise SandboxFault(f"the fork server is gone: {error}") from error
        deadline = time.monotonic() + _DEATH_SECONDS
        while not self._gone:
            ready, _, _ = select.select([self._control], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise SandboxFault("the fork server does not end its child")
            self._hear()

    def _hear(self) -> None:
        """One report of the fork server."""
        tag, pid, status, cpu_seconds, peak_kib = REPORT.unpack(receive_exactly(self._control, REPORT.size))
        if tag == STARTED:
            self._child = pid
        elif tag == ENDED:
            self._gone = True
            while not self._finished and self._receive():
                pass
            if not self._finished:
                self._result.end = self._autopsy(status, cpu_seconds, peak_kib)
        else:
            raise SandboxFault("the fork server is in trouble")

    def _autopsy(self, status: int, cpu_seconds: float, peak_kib: int) -> Ended:
        """How a child ended that the host did not end."""
        if self._frames.pending:
            return Ended(End.GARBAGE, "the last frame is cut short")
        if os.WIFEXITED(status):
            return Ended(End.EXIT, f"exit status {os.WEXITSTATUS(status)}")
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        if number == signal.SIGSYS:
            return Ended(End.FORBIDDEN, name)
        if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_seconds >= self._cpu_limit):
            return Ended(End.CPU_TIME, self._phase_limit(1.0))
        if number == signal.SIGKILL and peak_kib * 1024 > self._limits.memory // 2:
            return Ended(End.MEMORY, "killed by the system, which was out of memory")
        return Ended(End.SIGNAL, name)


def receive_exactly(control: socket.socket, count: int) -> bytes:
    """So many bytes of the fork server's. Raises SandboxFault if it is gone."""
    parts = b""
    while len(parts) < count:
        try:
            part = control.recv(count - len(parts))
        except OSError as error:
            raise SandboxFault(f"the fork server does not answer: {error}") from error
        if not part:
            raise SandboxFault("the fork server died")
        parts += part
    return parts


def _cpu_seconds(pid: int) -> float:
    """CPU time a process has used; 0.0 where it is gone, or the system cannot tell (then rlimits do)."""
    if not pid:
        return 0.0
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) gives on Linux
    except OSError:
        return 0.0
