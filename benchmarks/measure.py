"""How the benchmarks measure: commands in turn, so that a machine whose speed drifts spoils no ratio.

pyperf times a command. By itself it runs all of one command and then all of the next, so it is asked for one
value at a time. The memory of all processes together, which it does not see, is sampled here.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyperf

ROOT = Path(__file__).resolve().parents[1]
FLOOR = (sys.executable, "-c", "import torch")
"""What everybody pays who uses torch at all."""
_SAMPLE_SECONDS = 0.01

Command = Sequence[str]


@dataclass(frozen=True)
class Ratio:
    """What was measured, as multiples of its floor: one per round, never empty."""

    rounds: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.rounds)

    def __str__(self) -> str:
        return f"{self.middle:5.2f} ({min(self.rounds):.2f} to {max(self.rounds):.2f})"


def grade(upload: Path, results: Path) -> Command:
    """The command that grades an upload."""
    return (str(ROOT / "run_autograder"), str(upload), "--results", str(results))


def first_processors(count: int) -> tuple[int, ...]:
    """At most so many of the processors that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0))[:count])


def wall(command: Command, processors: Iterable[int]) -> float:
    """Seconds from a command's start to its end, in this project's folder and on these processors.

    Raises CalledProcessError if the command fails; pyperf says why on stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        once = ("--processes=1", "--values=1", "--loops=1", "--warmups=0", "--copy-env", "--quiet")
        where = (f"--affinity={','.join(map(str, processors))}", f"--output={result}")
        subprocess.run(  # noqa: S603 - commands of our own
            [sys.executable, "-m", "pyperf", "command", *once, *where, "--", *command],
            check=True,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        (seconds,) = pyperf.Benchmark.load(str(result)).get_values()
    return float(seconds)


def in_turn(commands: Sequence[Command], rounds: int, processors: Iterable[int]) -> list[list[float]]:
    """Wall seconds of each command, run one after the other `rounds` times after one that is not counted."""
    where = tuple(processors)
    for command in commands:
        wall(command, where)
    found = [[wall(command, where) for command in commands] for _ in range(rounds)]
    return [list(column) for column in zip(*found, strict=True)]


def ratio(mine: Sequence[float], floor: Sequence[float]) -> Ratio:
    """The ratios within each round."""
    return Ratio(tuple(a / b for a, b in zip(mine, floor, strict=True)))


def peak_memory(command: Command) -> int:
    """Proportional set size of a command and all its processes together at the peak, in bytes.

    Sampled. The sandbox's processes close their memory to others of their user: only root sees them all.
    """
    process = subprocess.Popen(  # noqa: S603 - commands of our own
        list(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_pss(pid) for pid in _tree(process.pid)))
        time.sleep(_SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return peak


def cpu_seconds() -> float:
    """CPU seconds of this process and all below it, those that have ended and were waited for included.

    Those below that still run are counted in ticks of the clock, a hundredth of a second each.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [pid for pid in _tree(os.getpid()) if pid != os.getpid()]
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(_cpu_of(pid) for pid in running)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))
