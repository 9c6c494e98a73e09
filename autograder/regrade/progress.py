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


class Pace:
    """How fast it goes. What stood already is done at once and would make the rate look better than it is."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = self.graded = 0
        self._start = monotonic()

    def count(self, *, graded: bool) -> None:
        """One more."""
        self.finished += 1
        self.graded += graded

    @property
    def seconds(self) -> float:
        """Since the start."""
        return monotonic() - self._start

    def __str__(self) -> str:
        if not (self.graded and self.seconds):
            return ""
        rate = self.graded / self.seconds
        left = (self.total - self.finished) / rate
        return f"{rate:.1f}/s, about {_duration(left)} left"


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
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    pace = Pace(total)

    class PaceColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(str(pace) if not task.finished else f"in {_duration(pace.seconds)}")

    columns = (TextColumn("Regrading"), BarColumn(), MofNCompleteColumn(), PaceColumn())
    with Bar(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=total)

        class OnBar:
            def done(self, *, graded: bool) -> None:
                pace.count(graded=graded)
                bar.advance(task)

        yield OnBar()


class Lines:
    """A line now and then."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._pace, self._stream = Pace(total), stream
        self._last = monotonic()

    def done(self, *, graded: bool) -> None:
        """One more; says so if the last line is some seconds old."""
        self._pace.count(graded=graded)
        now = monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            self._say(", ".join(filter(None, (self._so_far, str(self._pace)))))

    def last(self) -> None:
        """The closing line."""
        pace = self._pace
        self._say(f"{self._so_far} done, {pace.graded} graded now, in {_duration(pace.seconds)}")

    @property
    def _so_far(self) -> str:
        return f"{self._pace.finished} of {self._pace.total}"

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
