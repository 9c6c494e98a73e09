"""python -m tests.fuzz: gives each reader that many inputs and tells how they ended.

    .venv/bin/python -m tests.fuzz --each 25000

Exit status 1 if any input ended in neither a valid result nor a named error; hypothesis prints the
smallest such input it finds. --seed repeats a run. "slowest" is in seconds of the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from .inputs import INPUTS
from .readers import READERS, Ending

_BATCH = 2500
"""Inputs drawn by one run of hypothesis, which keeps in memory what it has tried."""


class Tally:
    """What one reader was given, and how it ended."""

    def __init__(self) -> None:
        self.endings: Counter[Ending] = Counter()
        self.distinct: set[int] = set()
        self.slowest = 0.0
        self.failed = False

    def row(self, name: str, seconds: float) -> str:
        """One line of the report."""
        valid, named = (self.endings[ending] for ending in Ending)
        state = "FAILED" if self.failed else "ok"
        return (
            f"{name:10}{valid + named:>9,}{len(self.distinct):>10,}{valid:>9,}{named:>13,}{seconds:>8.0f} s"
            f"{self.slowest:>11.2f} s  {state}"
        )


def fuzz(name: str, inputs: int, first_seed: int) -> Tally:
    """Give a reader this many inputs, or as many as it takes until one fails."""
    tally = Tally()

    def once(data: bytes) -> None:
        started = time.process_time()
        ending = READERS[name](data)
        tally.slowest = max(tally.slowest, time.process_time() - started)
        tally.endings[ending] += 1
        tally.distinct.add(hash(data))

    for start in range(0, inputs, _BATCH):
        bounded = settings(
            max_examples=min(_BATCH, inputs - start),
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(first_seed + start)(bounded(given(INPUTS[name])(once)))()
        except Exception:
            traceback.print_exc()
            tally.failed = True
            break
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--each", type=int, default=1000, metavar="N", help="inputs for each reader (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another one draws other inputs (0)")
    parser.add_argument(
        "--reader", action="append", choices=READERS, help="only this one; may be given again"
    )
    asked = parser.parse_args(argv)
    print("reader       inputs  distinct    valid  named error      time    slowest")
    failed = False
    for name in asked.reader or READERS:
        started = time.monotonic()
        tally = fuzz(name, asked.each, asked.seed)
        print(tally.row(name, time.monotonic() - started), flush=True)
        failed |= tally.failed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
