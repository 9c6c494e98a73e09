"""Starts the fork server's process. Imports next to nothing, so that the grader can do this first of all:
the fork server then imports torch while the grader imports NumPy and the rest of itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from autograder.errors import SandboxFault
from autograder.sandbox.worker.server import FORK, REPORT

_ROOT: Final = Path(__file__).resolve().parents[2]
_END_SECONDS: Final = 10.0
_BOOTSTRAP: Final = """
import resource, sys
most = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (most, most))  # the grader's own limit is not for torch
sys.path[:] = [sys.argv[2], *(entry for entry in sys.path if entry)]
from autograder.sandbox.worker.server import main
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
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # huge pages for torch's heap: fewer faults, cheaper forks
    "CUDA_VISIBLE_DEVICES": "",
    "TORCHDYNAMO_DISABLE": "1",  # torch.compile gives the function as it is: compilers cannot run here
    "TORCHINDUCTOR_CACHE_DIR": "/tmp",  # noqa: S108 exists, so that torch's optimizers make no folder
}


@dataclass(frozen=True)
class Launched:
    """A fork server that has been started; whether it is ready, it says over the socket."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    def end(self) -> None:
        """End the process, and with it whatever it runs."""
        self.control.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def launch() -> Launched:
    """Start a fork server and return at once. Raises SandboxFault if there can be no such process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        number = theirs.fileno()
        try:
            process = subprocess.Popen(  # noqa: S603 our own interpreter, our own arguments
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
            raise SandboxFault(f"the fork server cannot be started: {error}") from error
    return Launched(process, ours)


@contextlib.contextmanager
def handed_over(control: socket.socket) -> Iterator[tuple[int, int]]:
    """Order a fork that reads from one pipe and writes to another. Gives where to write to it, and where to
    read from it. Raises OSError if the fork server is gone."""
    (request_read, request_write), (answer_read, answer_write) = os.pipe(), os.pipe()
    try:
        try:
            socket.send_fds(control, [FORK], [request_read, answer_write])
        finally:
            os.close(request_read)
            os.close(answer_write)
        yield request_write, answer_read
    finally:
        os.close(request_write)
        os.close(answer_read)


def hear(control: socket.socket, seconds: float | None = None) -> tuple[Any, ...]:
    """The fork server's next `REPORT`. Raises OSError if none comes within so many seconds."""
    control.settimeout(seconds)
    return REPORT.unpack(receive_exactly(control, REPORT.size))


def receive_exactly(control: socket.socket, count: int) -> bytes:
    """So many bytes of the fork server's. Raises OSError if it is gone."""
    parts = b""
    while len(parts) < count:
        if not (part := control.recv(count - len(parts))):
            raise ConnectionError("it died")
        parts += part
    return parts


def cpu_seconds_of(pid: int) -> float:
    """CPU time a process has used; 0.0 where it is gone, or the system cannot tell (then rlimits do)."""
    try:
        # The clock is what clock_getcpuclockid(3) gives on Linux.
        return time.clock_gettime((~pid << 3) | 2) if pid else 0.0
    except OSError:
        return 0.0
