"""StudentRun of an upload, from a real sandbox, and what one check makes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autograder.checks import rubric
from autograder.checks.run import StudentRun
from autograder.grade import read_upload, run_student_code
from autograder.results.runner import run_checks
from autograder.sandbox.calls import RunLimits
from autograder.sandbox.host import ForkServer
from autograder.submission.types import Log, Submission, TaskRecord
from reference.tasks import TASKS, drawn_sequences
from reference.transformer import NumpyTransformer
from tests.answers.every import BY_NAME
from tests.answers.upload import FORMS, Files, write

SEEDS = {"attention_by_content": 1997, "attention_by_position": 2017}


@cache
def evidence_of(answer: str, fork_server: ForkServer, form: str = "log and notebook") -> StudentRun:
    """What an answer's upload gives, by the answer's name."""
    return evidence_of_files(FORMS[form](BY_NAME[answer]), fork_server)


def evidence_of_files(files: Files, fork_server: ForkServer, limits: RunLimits | None = None) -> StudentRun:
    with tempfile.TemporaryDirectory() as folder:
        submission = read_upload(write(files, Path(folder) / "upload"))
    return run_student_code(submission, fork_server, limits)


def result(evidence: StudentRun, number: str) -> dict[str, Any]:
    """What the check of that number says, as results.json has it."""
    outcome = run_checks(rubric(evidence))
    assert outcome.faults == ()
    (test,) = (test for test in outcome.results["tests"] if test["number"] == number)
    return test


def full(test: dict[str, Any]) -> bool:
    return bool(test["score"] == test["max_score"])


def with_log(evidence: StudentRun, **changes: Any) -> StudentRun:
    """The same evidence with other parts of the log."""
    assert evidence.submission.log is not None
    log = replace(evidence.submission.log, **changes)
    return replace(evidence, submission=replace(evidence.submission, log=log))


def log_of_design(task: str, design: NumpyTransformer) -> StudentRun:
    """A log that holds nothing but one hand-designed answer, recorded as the notebook does."""

    def flat(array: np.ndarray) -> np.ndarray:
        return np.asarray(array, dtype=np.float64).reshape(-1)

    output = design.plain(next(drawn_sequences(TASKS[task], SEEDS[task])).inputs[0]).output
    pos = None if design.pos is None else flat(design.pos)
    record = TaskRecord(flat(output), flat(design.Qm), flat(design.Km), flat(design.Vm), pos)
    places = {"content": None, "position": None, task.removeprefix("attention_by_"): record}
    log = Log("submission_log.json", True, None, None, **places, problems=())
    return StudentRun(Submission(log, None, ()))


def told(tests: Sequence[dict[str, Any]]) -> str:
    return "\n".join(test.get("output", "") for test in tests)
