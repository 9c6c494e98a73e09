"""The grader's own work is bounded, part by part."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time

import pytest

from autograder.bounds import OutOfTime, ends_within, within
from autograder.errors import GraderFault


def _burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_part_that_takes_too_long_is_stopped_with_its_seconds() -> None:
    with pytest.raises(OutOfTime, match=r"more than 0\.1 s") as caught, within(0.1):
        _burn(5)
    assert caught.value.seconds == 0.1


def test_a_slow_pattern_is_stopped_inside_the_library() -> None:
    with pytest.raises(OutOfTime), within(0.2):
        re.match(r"(a*)*b", "a" * 40)


def test_what_follows_a_part_has_its_time_to_itself() -> None:
    for _ in range(3):
        with within(0.2):
            _burn(0.1)
    _burn(0.3)


def test_a_part_inside_another_is_held_to_both_times() -> None:
    with within(5), pytest.raises(OutOfTime, match=r"0\.1 s"), within(0.1):
        _burn(5)
    with pytest.raises(OutOfTime, match=r"0\.1 s"), within(0.1), within(5):
        _burn(5)


def test_a_part_that_swallows_the_news_is_told_again() -> None:
    def swallow() -> None:
        try:
            _burn(5)
        except OutOfTime:
            _burn(5)

    with pytest.raises(OutOfTime), within(0.1):
        swallow()


def test_sleeping_costs_nothing() -> None:
    with within(0.1):
        time.sleep(0.3)


def test_another_thread_is_let_alone() -> None:
    def work() -> None:
        with within(0.05):
            _burn(0.1)
        done.append(True)

    done: list[bool] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_a_grader_that_does_not_end_is_a_fault_of_its_own() -> None:
    with pytest.raises(GraderFault, match=r"not finished within 0\.2 s"), ends_within(0.2):
        time.sleep(20)


def test_a_grader_that_does_not_hear_of_it_is_ended_all_the_same() -> None:
    code = (
        "import autograder.bounds as b, time\nb._UNHEARD_SECONDS = 0.3\n"
        "with b.ends_within(0.3):\n"
        "  while True:\n    try: time.sleep(9)\n    except Exception: print('swallowed', flush=True)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (1, "swallowed\n")
    assert 'File "<string>", line 5' in run.stderr


def test_what_needs_too_much_memory_raises_and_the_process_goes_on() -> None:
    code = (
        "from autograder.bounds import limit_memory\nlimit_memory(64 << 20)\n"
        "try: bytearray(256 << 20)\nexcept MemoryError: print('refused', len(bytearray(1 << 20)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "refused 1048576\n"
