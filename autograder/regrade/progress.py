"""Shows how far a regrade is: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, Protocol, TextIO

_SECONDS_BETWEEN_LINES: Final = 5.0


class Progress(Protocol):
    """Told of each submission as it is done. graded: now; else it stood already."""

    def done(self, *, graded: bool) -> None:
        """One more."""
        ...


@contextmanager
def shown(total: int, stream: TextIO = sys.stderr) -> Iterator[Progress]:
    """Progress over total submissions, on stream, until the block is left."""
    if not stream.isatty():
        lines = Lines(total, stream)
        yield lines
        lines.last()
        return
    # Imported here: nobody else needs rich.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (TextColumn("Regrading"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Bar(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=total)

        class OnBar:
            def done(self, *, graded: bool) -> None:
                bar.advance(task)

        yield OnBar()


class Lines:
    """A line now and then."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total, self._stream = total, stream
        self._done = self._graded = 0
        self._start = self._last = monotonic()

    def done(self, *, graded: bool) -> None:
        """One more; says so if the last line is some seconds old."""
        self._done += 1
        self._graded += graded
        now = monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            rate = self._graded / (now - self._start)
            left = (self._total - self._done) / rate if rate else 0.0
            self._say(f"{self._done} of {self._total}, {rate:.1f}/s, about {_duration(left)} left")

    def last(self) -> None:
        """The closing line."""
        seconds = monotonic() - self._start
        self._say(f"{self._done} of {self._total} done, {self._graded} graded now, in {_duration(seconds)}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
