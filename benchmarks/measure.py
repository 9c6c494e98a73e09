"""How the benchmarks measure: commands in turn, so that a machine whose speed drifts spoils no ratio.

hyperfine and pyperf run all of one command and then all of the next, and count neither the memory of all
processes together nor the CPU time of those below; hence these few lines on os.wait4.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
FLOOR = (sys.executable, "-c", "import torch")
"""What everybody pays who uses torch at all."""
_SAMPLE_SECONDS = 0.01

Command = Sequence[str]


@dataclass(frozen=True)
class Run:
    """One run of a command, its children included. wall, cpu: seconds."""

    wall: float
    cpu: float


def grade(upload: Path, results: Path) -> Command:
    """The command that grades an upload."""
    return (str(ROOT / "run_autograder"), str(upload), "--results", str(results))


def run(command: Command, processors: set[int] | None = None) -> Run:
    """Run a command to its end. processors: where it may run. Raises CalledProcessError if it fails."""
    started = time.perf_counter()
    process = _start(command, processors)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Run(wall, usage.ru_utime + usage.ru_stime)


def in_turn(commands: Sequence[Command], rounds: int, processors: set[int] | None = None) -> list[list[Run]]:
    """Run the commands one after the other, `rounds` times after one that is not counted."""
    for command in commands:
        run(command, processors)
    runs = [[run(command, processors) for command in commands] for _ in range(rounds)]
    return [list(column) for column in zip(*runs, strict=True)]


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return median(a / b for a, b in zip(mine, theirs, strict=True))


def peak_memory(command: Command) -> int:
    """Proportional set size of a command and all its processes together at the peak, in bytes.

    Sampled. The sandbox's processes close their memory to others of their user: only root sees them all.
    """
    process = _start(command, None)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_pss(pid) for pid in _tree(process.pid)))
        time.sleep(_SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return peak


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _start(command: Command, processors: set[int] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - commands of our own
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=None if processors is None else lambda: os.sched_setaffinity(0, processors),
    )


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
