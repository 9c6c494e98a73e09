"""What one more upload costs where torch is there already, as when a class is regraded.

    .venv/bin/python -m benchmarks.attempts [--repeat N]

CPU time of the grader, the zygote and the child of each attempt, per upload; and the cost of twice and four
times as many uploads over as many times the cost of few, which is 1 where cost grows in proportion.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

from autograder.grade import grade
from autograder.sandbox.host import Zygote
from autograder.sandbox.launch import launch
from benchmarks.grading import UPLOADS
from benchmarks.measure import cpu_of

WARM_UP = 3


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmark of fork and grade.")
    parser.add_argument("--repeat", type=int, default=25)
    repeat = parser.parse_args().repeat
    launched = launch()
    with Zygote(launched=launched) as sandbox:
        pid = launched.process.pid
        for name, target in (("perfect", 100), ("perfect_log_alone", 50)):
            _cost(UPLOADS / name, sandbox, pid, WARM_UP)
            gc.freeze()  # as the workers of regrade do
            few = _cost(UPLOADS / name, sandbox, pid, repeat)
            print(f"{name:20} {1e3 * few / repeat:5.1f} ms of CPU per upload   target {target} ms")
            for times in (2, 4):
                many = _cost(UPLOADS / name, sandbox, pid, times * repeat)
                print(
                    f"  {times * repeat} uploads over {times} times {repeat}: {many / few / times:.2f}",
                    flush=True,
                )
    return 0


def _cost(upload: Path, sandbox: Zygote, pid: int, repeat: int) -> float:
    """CPU seconds of grading an upload so many times."""
    mine, theirs = time.process_time(), cpu_of(pid)
    for _ in range(repeat):
        grade(upload, sandbox)
    return time.process_time() - mine + cpu_of(pid) - theirs


if __name__ == "__main__":
    raise SystemExit(main())
