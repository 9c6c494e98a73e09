"""python -m tests.fuzz: gives each reader that many inputs and tells how they ended.

    .venv/bin/python -m tests.fuzz --each 25000
    .venv/bin/python -m tests.fuzz --each 20000 --reader pipeline

Exit status 1 if any input ended in neither a valid result nor a named error, or took too long; hypothesis
prints the smallest such input it finds. --seed repeats a run. "slowest" is in seconds of the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings

from .test_readers import INPUTS, READERS, Ending

_BATCH = 2500
"""Inputs drawn by one run of hypothesis, which keeps in memory what it has tried."""


def fuzz(name: str, inputs: int, first_seed: int) -> bool:
    """Give a reader this many inputs, or as many as it takes until one fails; tell how it went."""
    began, slowest, endings = time.monotonic(), 0.0, Counter[Ending]()

    def once(data: bytes) -> None:
        nonlocal slowest
        started = time.process_time()
        endings[READERS[name](data)] += 1
        slowest = max(slowest, time.process_time() - started)

    failed = False
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
            failed = True
            break
    counts = ", ".join(f"{endings[ending]:,} {ending.value}" for ending in Ending)
    state = "FAILED" if failed else "ok"
    print(f"{name}: {counts}; {time.monotonic() - began:.0f} s, slowest {slowest:.2f} s: {state}", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--each", type=int, default=1000, metavar="N", help="inputs for each reader (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another one draws other inputs (0)")
    parser.add_argument("--reader", action="append", choices=READERS, help="only this; may be given again")
    asked = parser.parse_args()
    return int(sum(fuzz(name, asked.each, asked.seed) for name in asked.reader or READERS) > 0)


if __name__ == "__main__":
    sys.exit(main())
