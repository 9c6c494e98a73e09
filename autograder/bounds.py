"""Bounds of the grader's own work: CPU time for each part of it, memory and time for its process.

What reads, chooses, judges or explains runs inside `within`, so that an upload made to be slow costs its own
file or check alone. `limit_memory` makes what is made to be large a MemoryError, in the same place.
`ends_within` is the last resort: whatever happens, the process ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from autograder.errors import GraderFault

_AGAIN: Final = 0.1
"""Share of its time after which a part that swallowed OutOfTime is told again."""
_SOON: Final = 0.01
"""Seconds after which the clock is looked at again where it rang between two parts."""
_UNHEARD_SECONDS: Final = 3.0
"""How long a process may go on after its last resort was raised in it."""


class OutOfTime(BaseException):
    """A part of the grader's work used up its CPU time. No Exception: whoever bounds a part catches it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it took more than {seconds:g} s")
        self.seconds = seconds


TOO_MUCH: Final = (OutOfTime, MemoryError, RecursionError)
"""What the bounds raise: more time, memory or nesting than a part may have."""


class within:  # noqa: N801 (used as a statement, like contextlib's own)
    """`with within(seconds):` raises OutOfTime inside once the block has used so much CPU time.

    Parts may lie in one another: each keeps its own time and that of those around it. In the main thread
    only, where signals arrive; in another one it bounds nothing.
    """

    _open: Final[list[within]] = []

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._deadline = 0.0

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not within._open:
            signal.signal(signal.SIGPROF, _ring)
        self._deadline = time.process_time() + self.seconds
        within._open.append(self)
        _set_clock()

    def __exit__(self, *_: object) -> None:
        if self in within._open:
            del within._open[within._open.index(self) :]
            _set_clock()


def _set_clock() -> None:
    deadlines = [part._deadline for part in within._open]
    left = max(min(deadlines) - time.process_time(), _SOON) if deadlines else 0.0
    signal.setitimer(signal.ITIMER_PROF, left)


def _ring(number: int, frame: FrameType | None) -> None:
    if frame is not None and frame.f_globals is globals():  # between two parts: not the moment to raise
        signal.setitimer(signal.ITIMER_PROF, _SOON)
        return
    now = time.process_time()
    late = next((part for part in within._open if part._deadline <= now), None)
    if late is not None:
        late._deadline = now + _AGAIN * late.seconds
    _set_clock()
    if late is not None:
        raise OutOfTime(late.seconds)


@contextlib.contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Raise GraderFault inside after so many seconds by the clock; where that goes unheard, end the process.

    It then ends with status 1 and its stack on stderr, without Python's help. In the main thread only.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise GraderFault(f"grading was not finished within {seconds:g} s, and was given up")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + _UNHEARD_SECONDS, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def limit_memory(extra_bytes: int) -> None:
    """Let this process map at most so much more than it has now, where the system can tell how much that is.

    The limit is soft: a process started from here may lift it for itself.
    """
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except OSError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = pages * resource.getpagesize() + extra_bytes
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
