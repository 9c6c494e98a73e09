"""Shows how far something long is: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, TextIO

_SECONDS_BETWEEN_LINES: Final = 5.0


class Rate:
    """How fast it goes. What was done already would make the rate look better than it is."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = self.worked = 0
        self._start = monotonic()

    def count(self, *, worked: bool = True) -> None:
        """One more. worked: just now; else it was done already."""
        self.finished += 1
        self.worked += worked

    @property
    def seconds(self) -> float:
        """Since the start."""
        return monotonic() - self._start

    def __str__(self) -> str:
        if not (self.worked and self.seconds):
            return ""
        rate = self.worked / self.seconds
        return f"{rate:.1f}/s, about {_duration((self.total - self.finished) / rate)} left"


@contextmanager
def progress(total: int, label: str, stream: TextIO = sys.stderr) -> Iterator[Callable[[bool], None]]:
    """Gives what to call after each of total things: True if it was done now, False if already."""
    rate = Rate(total)
    if stream.isatty():
        yield from _bar(rate, label, stream)
        return
    last = monotonic()

    def line(worked: bool) -> None:
        nonlocal last
        rate.count(worked=worked)
        if monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = monotonic()
            told = ", ".join(filter(None, (f"{rate.finished} of {total}", str(rate))))
            print(f"{label}: {told}", file=stream, flush=True)

    yield line
    told = f"{rate.finished} of {total} done, {rate.worked} of them now, in {_duration(rate.seconds)}"
    print(f"{label}: {told}", file=stream, flush=True)


def _bar(rate: Rate, label: str, stream: TextIO) -> Iterator[Callable[[bool], None]]:
    # Imported here: nobody else needs rich.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(str(rate) if not task.finished else f"in {_duration(rate.seconds)}")

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), RateColumn())
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=rate.total)

        def advance(worked: bool) -> None:
            rate.count(worked=worked)
            bar.advance(task)

        yield advance


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
