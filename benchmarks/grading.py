"""What one grade costs, against `python -c "import torch"` of the same environment in the same run.

    .venv/bin/python -m benchmarks.grading [--rounds N]

Whole commands, from their start to their end: wall time on two processors and on one, CPU time, and the
memory of all processes together at the peak (as root: see measure.peak_memory).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import FLOOR, ROOT, grade, in_turn, peak_memory, ratio

UPLOADS = ROOT / "tests" / "submissions"
PERFECT = UPLOADS / "perfect"
FAILING = UPLOADS / "wrong_position_soft"
"""A wrong answer that is diagnosed, with a picture."""
MEMORY_RUNS = 3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmark of one grade.")
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    processors = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        perfect, failing = (grade(upload, Path(folder) / "results.json") for upload in (PERFECT, FAILING))
        floor, right, wrong = in_turn([FLOOR, perfect, failing], rounds, set(processors[:2]))
        print(
            f"import torch, {len(processors[:2])} processors: {median(run.wall for run in floor):.2f} s wall"
        )
        _row("perfect upload, wall", 0.80, ratio([run.wall for run in right], [run.wall for run in floor]))
        _row("failing upload, wall", 1.20, ratio([run.wall for run in wrong], [run.wall for run in floor]))
        floor, right = in_turn([FLOOR, perfect], rounds, set(processors[:1]))
        print(f"import torch, 1 processor: {median(run.wall for run in floor):.2f} s wall")
        _row("perfect upload, wall", 0.90, ratio([run.wall for run in right], [run.wall for run in floor]))
        _row("perfect upload, CPU", 0.90, ratio([run.cpu for run in right], [run.cpu for run in floor]))
        bare = median(peak_memory(FLOOR) for _ in range(MEMORY_RUNS))
        mine = median(peak_memory(perfect) for _ in range(MEMORY_RUNS))
    print(f"import torch: {bare / 2**20:.0f} MiB at its peak; perfect upload: {mine / 2**20:.0f} MiB")
    _row("perfect upload, memory", 1.60, mine / bare)
    return 0


def _row(what: str, target: float, found: float) -> None:
    print(f"  {what:24} {found:5.2f}   target {target:.2f}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
