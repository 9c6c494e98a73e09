"""How fast a class is graded again, and in how much memory.

    .venv/bin/python -m benchmarks.regrade [--sizes 100 300 1000] [--jobs N] [--hanging N]

Writes mixed classes of these sizes (see tests/regrade/exports.py; none hangs unless --hanging says so,
each of which costs its whole time limit), regrades each from nothing, and starts `python -m autograder`
alone for a few of them. Prints submissions a second, the memory of all processes together (proportional
set size; at its peak, the two greediest children are there at once), and two ratios: the time for the
largest class over a minute, and its rate over that of starting the grader for each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.regrade.exports import write_export

ROOT = Path(__file__).resolve().parents[1]
ALONE = 6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmark of `./run_autograder regrade`.")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--hanging", type=int, default=0)
    options = parser.parse_args()
    jobs = [] if options.jobs is None else ["--jobs", str(options.jobs)]
    rate = seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            export = Path(folder) / f"export {size}"
            write_export(export, size, hanging=options.hanging)
            command = ["regrade", str(export), "-o", str(Path(folder) / f"OUT {size}"), *jobs]
            seconds, memory = _measure(command)
            rate = size / seconds
            peak, middle = max(memory) / 2**20, median(memory) / 2**20
            print(
                f"{size:5} submissions: {seconds:6.1f} s, {rate:5.1f}/s, "
                f"memory {peak:4.0f} MiB at its peak, {middle:4.0f} in the middle",
                flush=True,
            )
        alone = _alone(export, Path(folder) / "results.json")
    print(f"one by one, each with a start of its own: {alone:.2f} s, {1 / alone:.2f}/s")
    print(f"ratio of the largest class's time to a minute: {seconds / 60:.2f}")
    print(f"ratio of its rate to that of starting for each: {rate * alone:.1f}")
    return 0


def _measure(arguments: list[str]) -> tuple[float, list[int]]:
    """Seconds, and samples of all its processes' memory in bytes."""
    start = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
        [sys.executable, "-m", "autograder", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=None
    )
    samples = []
    while process.poll() is None:
        samples.append(_memory(process.pid))
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"regrade ended with status {process.returncode}")
    return time.monotonic() - start, samples


def _memory(pid: int) -> int:
    """Proportional set size of a process and all below it: what they share is counted once."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return 0
    own = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own * 1024 + sum(_memory(int(child)) for child in below)


def _alone(export: Path, results: Path) -> float:
    """Mean seconds of a run of its own."""
    uploads = sorted(path for path in export.iterdir() if path.is_dir())[:ALONE]
    start = time.monotonic()
    for upload in uploads:
        command = [sys.executable, "-m", "autograder", str(upload), "--results", str(results)]
        subprocess.run(  # noqa: S603 - our own interpreter, our own arguments
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
        )
    return (time.monotonic() - start) / len(uploads)


if __name__ == "__main__":
    sys.exit(main())
