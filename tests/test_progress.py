from __future__ import annotations

import contextlib
import io
import os
import re

import pytest

from autograder import progress as module
from autograder.progress import pace, progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_what_stood_already_does_not_count_for_rate_and_time_left(clock: list[float]) -> None:
    stream = io.StringIO()
    with progress(100, "Regrading", stream) as done:
        for _ in range(80):
            done(False)
        for _ in range(9):
            done(True)
        clock[0] += 5.0
        done(True)
    assert stream.getvalue().startswith("Regrading: 90 of 100, 2.0/s, about 5 s left\n")


def test_before_anything_is_graded_no_rate_is_made_up() -> None:
    assert pace(99, 0, 1.0) == ""


def test_where_there_is_no_terminal_plain_lines_come_now_and_then(clock: list[float]) -> None:
    stream = io.StringIO()
    with progress(100, "Regrading", stream) as done:
        for _ in range(60):
            clock[0] += 1.0
            done(True)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Regrading: 5 of 100, 1.0/s, about 1 min 35 s left"
    assert lines[-1] == "Regrading: 60 of 100 done, 60 of them now, in 1 min 0 s"
    assert len(lines) == 13
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, progress(3, "Regrading", terminal) as done:
        for _ in range(3):
            done(True)
    told = b""
    with contextlib.suppress(OSError):  # a terminal without a writer, once it is read to its end
        while part := os.read(ours, 1 << 16):
            told += part
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told.decode())
    assert re.search(r"Regrading ━+ 3/3 in 0 s", text)
