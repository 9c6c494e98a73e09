"""Shows how far something long is: a bar that is drawn anew on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, TextIO

_SECONDS_BETWEEN_LINES: Final = 5.0
_SECONDS_BETWEEN_BARS: Final = 0.1
_BAR: Final = 40


@contextmanager
def progress(total: int, label: str, stream: TextIO = sys.stderr) -> Iterator[Callable[[bool], None]]:
    """Gives what to call after each of total things: True if it was done now, False if already."""
    terminal = stream.isatty()
    finished = worked = 0
    start = last = monotonic()

    def show(rate: str, told: str) -> None:
        bar = f"\r\x1b[K{label} {'━' * (_BAR * finished // (total or 1)):{_BAR}} {finished}/{total} {rate}"
        print(bar if terminal else f"{label}: {told}", end="" if terminal else "\n", file=stream, flush=True)

    def advance(now: bool) -> None:
        nonlocal finished, worked, last
        finished, worked = finished + 1, worked + now
        if monotonic() - last >= (_SECONDS_BETWEEN_BARS if terminal else _SECONDS_BETWEEN_LINES):
            last = monotonic()
            rate = pace(total - finished, worked, last - start)
            show(rate, ", ".join(filter(None, (f"{finished} of {total}", rate))))

    try:
        yield advance
        took = f"in {_duration(monotonic() - start)}"
        show(took, f"{finished} of {total} done, {worked} of them now, {took}")
    finally:
        if terminal:
            print(file=stream)


def pace(left: int, worked: int, seconds: float) -> str:
    """How fast it goes and when it ends. worked: without what was done before, which took no time."""
    if not (worked and seconds):
        return ""
    rate = worked / seconds
    return f"{rate:.1f}/s, about {_duration(left / rate)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
