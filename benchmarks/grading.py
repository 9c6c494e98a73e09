"""What one grade costs, against `python -c "import torch"` of the same environment in the same run.

    .venv/bin/python -m benchmarks.grading [--rounds N]

Whole commands, from their start to their end: wall time on two processors and on one, and the memory of all
processes together at the peak (as root: see measure.peak_memory). Each figure is the median of the rounds'
ratios, with the least and the greatest of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import FLOOR, ROOT, Ratio, first_processors, grade, in_turn, peak_memory, ratio

UPLOADS = ROOT / "tests" / "submissions"
PERFECT = UPLOADS / "perfect"
FAILING = UPLOADS / "wrong_position_soft"
"""A wrong answer that is diagnosed, with a picture."""
MEMORY_ROUNDS = 3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmark of one grade.")
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    two, one = first_processors(2), first_processors(1)
    with tempfile.TemporaryDirectory() as folder:
        perfect, failing = (grade(upload, Path(folder) / "results.json") for upload in (PERFECT, FAILING))
        floor, right, wrong = in_turn([FLOOR, perfect, failing], rounds, two)
        print(f"import torch, {len(two)} processors: {median(floor):.2f} s")
        _row("perfect upload, wall time", 0.80, ratio(right, floor))
        _row("failing upload, wall time", 1.20, ratio(wrong, floor))
        floor, right = in_turn([FLOOR, perfect], rounds, one)
        print(f"import torch, 1 processor: {median(floor):.2f} s")
        _row("perfect upload, wall time", 0.90, ratio(right, floor))
        pairs = [(peak_memory(FLOOR), peak_memory(perfect)) for _ in range(MEMORY_ROUNDS)]
    bare, mine = zip(*pairs, strict=True)
    print(f"import torch, all processes at the peak: {median(bare) / 2**20:.0f} MiB")
    _row("perfect upload, memory", 1.60, ratio(mine, bare))
    return 0


def _row(what: str, target: float, found: Ratio) -> None:
    print(f"  {what:26} {found}   target {target:.2f}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
