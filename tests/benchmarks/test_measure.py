from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measure import cpu_seconds, first_processors, in_turn, ratio, wall

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc, and pin")

SLEEPS = (sys.executable, "-c", "import time; time.sleep(0.3)")


@pytest.mark.parametrize("name", ["attempts", "environment", "grading", "regrade", "alternatives.plain"])
def test_a_benchmark_finds_what_it_measures(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").__doc__


def test_a_ratio_is_taken_within_each_round_and_shows_its_spread() -> None:
    found = ratio([1.0, 6.0, 9.0], [1.0, 2.0, 4.5])
    assert found.rounds == (1.0, 3.0, 2.0)
    assert found.middle == 2.0
    assert str(found) == " 2.00 (1.00 to 3.00)"


def test_wall_time_is_that_of_the_whole_command() -> None:
    assert wall(SLEEPS, first_processors(1)) >= 0.3


def test_a_command_that_fails_is_no_measurement(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        wall((sys.executable, "-c", "raise SystemExit(3)"), first_processors(1))
    assert "exit code 3" in capfd.readouterr().err


def test_commands_run_in_turn_after_a_round_that_is_not_counted(tmp_path: Path) -> None:
    order = tmp_path / "order"
    commands = [(sys.executable, "-c", f"open({str(order)!r}, 'a').write({name!r})") for name in ("a", "b")]
    found = in_turn(commands, 2, first_processors(2))
    assert [len(column) for column in found] == [2, 2]
    assert order.read_text() == "ababab"


def test_a_command_runs_on_the_processors_that_it_is_given(tmp_path: Path) -> None:
    where = tmp_path / "where"
    code = f"import os; open({str(where)!r}, 'w').write(str(len(os.sched_getaffinity(0))))"
    wall((sys.executable, "-c", code), first_processors(1))
    assert where.read_text() == "1"


def test_cpu_seconds_hold_those_of_processes_below_while_they_run_and_after() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    before = cpu_seconds()
    process = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    running = cpu_seconds()
    process.communicate(b"\n")
    assert before + 0.4 < running <= cpu_seconds() + 0.05
