from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.errors import SandboxFault
from autograder.regrade.types import Record, Task
from autograder.regrade.workers import run_jobs
from tests.regrade.fakes import broken_grader, fake_grader, grade


def upload(root: Path, name: str, **files: str) -> Task:
    folder = root / name
    folder.mkdir()
    for file, text in {"log": name, **files}.items():
        (folder / file.replace("_", " ")).write_text(text)
    return Task(name, f"key of {name}", folder)


def run(tasks: list[Task], workdir: Path, *, jobs: int = 2, watchdog: float = 60.0) -> dict[str, Record]:
    return {
        done.id: done for done in run_jobs(tasks, fake_grader, jobs=jobs, workdir=workdir, watchdog=watchdog)
    }


def test_every_task_comes_back_with_the_verdict_it_gets_alone(tmp_path: Path) -> None:
    tasks = [upload(tmp_path, f"s{i}") for i in range(7)]
    done = run(tasks, tmp_path)
    assert done == {t.id: replace(grade(tmp_path / t.id), id=t.id, key=t.key) for t in tasks}


def test_an_exception_of_the_grader_is_a_fault_with_its_place(tmp_path: Path) -> None:
    done = run([upload(tmp_path, "bad", raises=""), upload(tmp_path, "good")], tmp_path)
    assert done["bad"].results is None
    assert "KeyError" in done["bad"].faults[0]
    assert "fakes.py, line" in done["bad"].faults[0]
    assert done["good"].results is not None


def test_a_worker_that_dies_is_replaced_and_its_submission_tried_again(tmp_path: Path) -> None:
    task = upload(tmp_path, "unlucky", dies_once=str(tmp_path / "mark"))
    done = run([task, upload(tmp_path, "good")], tmp_path)
    assert done["unlucky"].results is not None
    assert done["good"].results is not None


def test_a_submission_that_kills_two_workers_is_a_fault_and_costs_nobody_else(tmp_path: Path) -> None:
    tasks = [upload(tmp_path, "deadly", dies=""), *(upload(tmp_path, f"s{i}") for i in range(5))]
    done = run(tasks, tmp_path, jobs=1)
    assert "died twice (exit status 9)" in done["deadly"].faults[0]
    assert sum(one.results is not None for one in done.values()) == 5


def test_a_grader_that_hangs_meets_the_watchdog(tmp_path: Path) -> None:
    done = run([upload(tmp_path, "stuck", hangs=""), upload(tmp_path, "good")], tmp_path, watchdog=3.0)
    assert "did not come back" in done["stuck"].faults[0]
    assert done["good"].results is not None


def test_a_worker_that_cannot_start_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(SandboxFault, match="there is no torch"):
        list(run_jobs([upload(tmp_path, "s")], broken_grader, jobs=2, workdir=tmp_path))


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
    tasks = [upload(tmp_path, f"s{i}") for i in range(9)]
    taken: list[str] = []

    def source():  # type: ignore[no-untyped-def]  # a generator of tasks
        for task in tasks:
            taken.append(task.id)
            yield task

    finished = run_jobs(source(), fake_grader, jobs=2, workdir=tmp_path)
    next(finished)
    assert len(taken) == 2
    finished.close()
