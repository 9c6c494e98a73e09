"""The trusted side of the sandbox: starts the zygote, and turns every ending of a child into an outcome."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from autograder import settings
from autograder.errors import SandboxFault
from autograder.sandbox.attempt import receive_exactly, run_attempt
from autograder.sandbox.limits import RunLimits
from autograder.sandbox.requests import LoadLevel, Request
from autograder.sandbox.types import Call, Cell, End, Ended, LoadReport, Outcome, Transcript
from autograder.sandbox.worker.zygote import HELLO, REPORT

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 300.0
"""How long torch may take to import: from a cold disk, on half a CPU, it may be a minute."""
_CLOSE_SECONDS: Final = 10.0
_BOOTSTRAP: Final = """
import sys
sys.path[:] = [sys.argv[2], *(entry for entry in sys.path if entry)]
from autograder.sandbox.worker.zygote import main
main(int(sys.argv[1]), sys.argv[2])
"""
# Not `-I`: it drops PYTHONHASHSEED, and the order of a set of strings would differ from run to run. What
# `-I` keeps out is kept out by an environment that holds nothing else, `-s`, and a path without "".
_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "PYTHONSAFEPATH": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}

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


class Zygote:
    """The sandbox: a process that has imported torch, and forks one child per attempt.

    `with Zygote() as zygote:` starts it and returns at once; the first `run` waits until it is ready.
    A zygote that died is started again by the next `run`. One run at a time; not to be shared by threads.
    """

    def __init__(self, limits: RunLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False

    def start(self) -> None:
        """Start the process; it imports torch while the caller does other things."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            number = theirs.fileno()
            try:
                self._process = subprocess.Popen(  # noqa: S603 our own interpreter, our own arguments
                    [sys.executable, "-s", "-c", _BOOTSTRAP, str(number), str(_ROOT)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[number],
                    env=_ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,  # an interrupt from the keyboard is the grader's to handle
                )
            except OSError as error:
                ours.close()
                raise SandboxFault(f"the zygote cannot be started: {error}") from error
        self._control = ours

    def run(
        self, cells: Sequence[Cell], calls: Sequence[Call], limits: RunLimits | None = None
    ) -> Transcript:
        """See types.Sandbox. limits: for this run only."""
        control = self._await_ready()
        try:
            return _run(control, tuple(cells), tuple(calls), limits or self._limits)
        except BaseException:  # what is still on its way would be taken for the next run's
            self.close()
            raise

    def close(self) -> None:
        """End the zygote, and with it whatever it runs."""
        process, control = self._process, self._control
        self._process, self._control, self._ready = None, None, False
        if control is not None:
            control.close()
        if process is not None:
            try:
                process.wait(_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Zygote:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_ready(self) -> socket.socket:
        self.start()
        if self._control is None:
            raise SandboxFault("the zygote is not there")
        if not self._ready:
            try:
                self._control.settimeout(_START_SECONDS)
                tag, length, *_ = REPORT.unpack(receive_exactly(self._control, REPORT.size))
                if tag != HELLO:
                    text = receive_exactly(self._control, length).decode("utf-8", "replace")
                    raise SandboxFault(f"the zygote cannot start: {text}")
                self._control.settimeout(None)
            except SandboxFault:
                self.close()
                raise
            self._ready = True
        return self._control


def _run(
    control: socket.socket, cells: tuple[Cell, ...], calls: tuple[Call, ...], limits: RunLimits
) -> Transcript:
    """Attempt after attempt, until every call has its outcome."""
    load: LoadReport | None = None
    outcomes: list[Outcome] = []
    level = LoadLevel.ALL
    end = None
    for _ in range(limits.failed_attempts):
        attempt = run_attempt(control, Request(cells, calls[len(outcomes) :], level, limits))
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
