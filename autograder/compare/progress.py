"""Shows how far the trainings are: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def shown(total: int, stream: TextIO) -> Iterator[Callable[[], None]]:
    """Gives what is to be called after each of total parts."""
    if not stream.isatty():
        done = 0

        def line() -> None:
            nonlocal done
            done += 1
            print(f"training: {min(done, total)} of {total} parts", file=stream, flush=True)

        yield line
        return
    # Imported here: nothing else of this command needs rich.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Training"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
