from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.errors import SandboxFault
from autograder.regrade.types import GradingTask, PackedFile, Record
from autograder.regrade.uploads import unpack
from autograder.regrade.workers import graded, local_workers
from tests.regrade.fakes import broken_grader, fake_grader, grade


def upload(name: str, **files: str) -> GradingTask:
    texts = {file.replace("_", " "): text.encode() for file, text in {"log": name, **files}.items()}
    return GradingTask(name, f"key of {name}", [PackedFile(*one, len(one[1])) for one in texts.items()])


def run(
    tasks: list[GradingTask], workdir: Path, *, jobs: int = 2, watchdog: float = 60.0
) -> dict[str, Record]:
    return {done.id: done for done in graded(tasks, local_workers(fake_grader, jobs, workdir, watchdog))}


def test_every_task_comes_back_with_the_verdict_it_gets_alone(tmp_path: Path) -> None:
    tasks = [upload(f"s{i}") for i in range(7)]
    done = run(tasks, tmp_path)
    assert done == {t.id: replace(grade(unpack(t.files, tmp_path / t.id)), id=t.id, key=t.key) for t in tasks}


def test_an_exception_of_the_grader_is_a_fault_with_its_place(tmp_path: Path) -> None:
    done = run([upload("bad", raises=""), upload("good")], tmp_path)
    assert done["bad"].results is None
    assert "KeyError" in done["bad"].faults[0]
    assert "fakes.py, line" in done["bad"].faults[0]
    assert done["good"].results is not None


def test_a_worker_that_dies_is_replaced_and_its_submission_tried_again(tmp_path: Path) -> None:
    task = upload("unlucky", dies_once=str(tmp_path / "mark"))
    done = run([task, upload("good")], tmp_path)
    assert done["unlucky"].results is not None
    assert done["good"].results is not None


def test_a_submission_that_kills_two_workers_is_a_fault_and_costs_nobody_else(tmp_path: Path) -> None:
    tasks = [upload("deadly", dies=""), *(upload(f"s{i}") for i in range(5))]
    done = run(tasks, tmp_path, jobs=1)
    assert "died twice (exit status 9)" in done["deadly"].faults[0]
    assert sum(one.results is not None for one in done.values()) == 5


def test_a_grader_that_hangs_meets_the_watchdog(tmp_path: Path) -> None:
    done = run([upload("stuck", hangs=""), upload("good")], tmp_path, watchdog=8.0)
    assert "did not come back" in done["stuck"].faults[0]
    assert done["good"].results is not None


def test_a_worker_that_cannot_start_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(SandboxFault, match="there is no torch"):
        list(graded([upload("s")], local_workers(broken_grader, 2, tmp_path)))


def test_a_worker_has_the_grader_s_limit_on_memory() -> None:
    code = (
        "import resource\nfrom autograder.regrade.workers import real_grader\n"
        "with real_grader():\n    print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert 0 < int(done.stdout) < 8 << 30


def test_tasks_are_taken_only_as_workers_get_free(tmp_path: Path) -> None:
    tasks = [upload(f"s{i}") for i in range(9)]
    taken: list[str] = []

    def source():  # type: ignore[no-untyped-def]  # a generator of tasks
        for task in tasks:
            taken.append(task.id)
            yield task

    finished = graded(source(), local_workers(fake_grader, 2, tmp_path))
    next(finished)
    assert len(taken) == 2
    finished.close()
