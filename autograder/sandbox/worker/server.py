"""The fork server: imports torch once, then forks one child per attempt and tells the host how each ended.

The contract with the host, over one socket. Host to server: FORK with two file descriptors, those of the
request and of the answers; or KILL. Server to host: HELLO once torch is there, STARTED after a FORK and
exactly one ENDED after it, however the child went; TROUBLE with a text, when the server cannot go on. End of
file from the host ends the server and its child. It keeps no state between children.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final

REPORT: Final = struct.Struct("<cqqdqq")
"""Tag, pid, wait status, CPU seconds, peak memory in KiB, the number of the statement that the child came to.
After TROUBLE: pid is the length of the text."""
FORK, KILL = b"F", b"K"
HELLO, STARTED, ENDED, TROUBLE = b"H", b"S", b"E", b"T"
_SWEEP_SECONDS: Final = 5.0


def main(control_fd: int, root: str) -> None:
    """Be the fork server, until the host closes the socket."""
    control = socket.socket(fileno=control_fd)
    try:
        server = _Server(control, root)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:4000]
        control.sendall(REPORT.pack(TROUBLE, len(text), 0, 0.0, 0, 0) + text)
        os._exit(1)
    try:
        server.serve()
    finally:
        os._exit(0)  # without torch's teardown, which takes as long as a third of its import


class _Server:
    def __init__(self, control: socket.socket, root: str) -> None:
        self._control = control
        self._child = 0
        gc.disable()  # importing torch makes a million objects, and no garbage
        from autograder.sandbox.jail.confine import environment_paths, guard_grader, prepare
        from autograder.sandbox.jail.linux import PR_SET_CHILD_SUBREAPER, Lacking, prctl
        from autograder.sandbox.worker.torch_import import import_torch

        guard_grader()
        import_torch()
        from autograder.sandbox.worker import child, model, stubs

        model.prewarm()
        self._run = child.run_child
        self._progress = mmap.mmap(-1, 8)  # shared with the child: what it wrote outlives it
        self._plan = prepare(environment_paths())
        with contextlib.suppress(OSError, Lacking):  # the child's orphans are ours then, and ended here
            prctl(PR_SET_CHILD_SUBREAPER, 1)
        stubs.install_stand_ins()
        _hide(root)
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        gc.freeze()
        control.sendall(REPORT.pack(HELLO, os.getpid(), 0, 0.0, 0, 0))

    def serve(self) -> None:
        """Until the host is gone."""
        order = FORK
        while order:
            ready, _, _ = select.select([self._control.fileno(), self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 512)
                self._reap()
            if self._control.fileno() in ready:
                order, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
                if order == FORK:
                    self._fork(*descriptors)
                elif self._child:
                    os.kill(self._child, signal.SIGKILL)
        _sweep()

    def _fork(self, request_fd: int, answer_fd: int) -> None:
        self._progress[:8] = bytes(8)
        self._child = os.fork()
        if self._child == 0:
            self._run(request_fd, answer_fd, self._plan, self._progress)
        os.close(request_fd)
        os.close(answer_fd)
        self._report(STARTED, self._child)

    def _reap(self) -> None:
        """Wait for whoever died. When it was the child, end what it may have left behind."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._child = 0
                    _sweep()
                    self._report(ENDED, *ended)

    def _report(
        self, tag: bytes, pid: int, status: int = 0, usage: resource.struct_rusage | None = None
    ) -> None:
        seconds = usage.ru_utime + usage.ru_stime if usage else 0.0
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # what a fork has to begin with
        peak = max(0, usage.ru_maxrss - own) if usage else 0
        statement = int.from_bytes(self._progress[:4], "little")
        self._control.sendall(REPORT.pack(tag, pid, status, seconds, peak, statement))


def _sweep() -> None:
    """Kill what a child left behind, where the jail could not keep it from forking."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for pid in children.read_text(encoding="ascii").split() if children.exists() else ():
                    os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.001)


def _hide(root: str) -> None:
    """From here on the rest of the grader cannot be imported."""
    sys.path[:] = [entry for entry in sys.path if entry not in ("", root)]
    sys.argv[:] = [""]
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.partition(".")[0] == "autograder"]:
        del sys.modules[name]
    sys.path_importer_cache.pop(root, None)
