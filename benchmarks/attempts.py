"""What one more upload costs where torch is there already, as when a class is regraded.

    .venv/bin/python -m benchmarks.attempts

pytest-benchmark, its clock being the CPU time of the grader, the fork server and the child of each attempt.
The floor is an attempt that does nothing: a fork of the same server, jailed, that runs one empty cell and
answers no call. Below pytest-benchmark's table stand the figures that have a target, and what an upload costs
among twice and four times as many over what it costs among few, which is 1 where cost grows in proportion.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from autograder.grade import grade
from autograder.sandbox.calls import Cell
from autograder.sandbox.host import ForkServer
from benchmarks.grading import UPLOADS
from benchmarks.measure import cpu_seconds

FEW, ROUNDS, WARM_UP = 25, 3, 3
"""Uploads per round, rounds, and uploads that are not counted. A round outlasts many ticks of the clock."""
FORKS = 100
TARGETS = {"perfect": 100, "perfect_log_alone": 50}
"""By upload, the most milliseconds of CPU that one may cost."""
ARGUMENTS = (
    "--quiet",
    "--numprocesses=0",
    "--no-header",
    "--benchmark-group-by=func",
    "--benchmark-sort=name",
    "--benchmark-columns=median,min,max,rounds,iterations",
)

pytestmark = pytest.mark.benchmark(timer=cpu_seconds, disable_gc=False)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ForkServer]:
    """A fork server that has forked before."""
    with ForkServer() as fork_server:
        for _ in range(WARM_UP):
            for name in TARGETS:
                grade(UPLOADS / name, fork_server)
        gc.freeze()  # as the workers of regrade do
        yield fork_server


def test_floor(benchmark: BenchmarkFixture, sandbox: ForkServer) -> None:
    """An attempt that does nothing."""
    nothing = ((Cell("nothing", ""),), ())
    benchmark.pedantic(sandbox.run, nothing, rounds=ROUNDS, iterations=FORKS)


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("name", TARGETS)
def test_upload(benchmark: BenchmarkFixture, sandbox: ForkServer, name: str, times: int) -> None:
    """One upload among a number of them."""
    benchmark.pedantic(grade, (UPLOADS / name, sandbox), rounds=ROUNDS, iterations=times * FEW)


def main() -> int:
    """Run pytest on this file, and print the figures that have a target."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "benchmarks.json"
        status = pytest.main([__file__, *ARGUMENTS, f"--benchmark-json={file}"])
        if status:
            return int(status)
        found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    costs = {item["name"]: 1e3 * item["stats"]["median"] for item in found}
    floor = costs["test_floor"]
    print(f"\nfloor: {floor:.1f} ms of CPU")
    for name, target in TARGETS.items():
        few, *more = (costs[f"test_upload[{name}-{times}]"] for times in (1, 2, 4))
        print(f"{name:18} {few:6.1f} ms, {few / floor:4.1f} times the floor   target {target} ms")
        for times, cost in zip((2, 4), more, strict=True):
            print(f"  {times * FEW} uploads over {times} times {FEW}: {cost / few:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
