"""The pipeline: one upload in, its results out. Everything it calls is a room of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.checks.preamble import preamble
from autograder.checks.questions import questions
from autograder.checks.rubric import rubric
from autograder.checks.run import StudentRun
from autograder.errors import UploadError
from autograder.feedback.guard import with_fallback
from autograder.results.compose import run_checks
from autograder.sandbox.calls import RunLimits, met_time_limit
from autograder.sandbox.host import Allowance, ForkServer
from autograder.submission.collect import collect
from autograder.submission.types import Note, NoteLevel, Submission
from autograder.version import version_line


@dataclass(frozen=True)
class Graded:
    """results: a complete results.json. faults: what the grader itself got wrong, for staff.

    diagnoses: short stable names of the mistakes that were recognised. timed_out: the student's code met a
    limit on time.
    """

    results: dict[str, Any]
    faults: tuple[str, ...]
    diagnoses: tuple[str, ...]
    submission: Submission
    timed_out: bool


def grade(upload: Path, sandbox: ForkServer, limits: RunLimits | None = None) -> Graded:
    """Grade one upload: a folder, a .zip, or a single file.

    Whatever the upload holds or does, this gives results. limits: of its code, instead of the
    sandbox's. Raises GraderFault (SandboxFault) only for what is the grader's own.
    """
    submission = read(upload)
    evidence = run_student_code(submission, sandbox, limits)
    checks = rubric(evidence)
    header = with_fallback(lambda: preamble(evidence), str)
    outcome = run_checks(checks, output=f"{header}\n\nGraded by {version_line()}.".lstrip())
    outcome.results["extra_data"] = {"version": version_line()}
    diagnoses = tuple(check.diagnosis for check in checks if check.diagnosis)
    timed_out = met_time_limit(evidence.load, evidence.outcomes.values())
    return Graded(outcome.results, outcome.faults, diagnoses, submission, timed_out)


def read(upload: Path) -> Submission:
    """The upload as data; one that cannot be opened is an empty submission that says why."""
    try:
        return collect(upload)
    except UploadError as error:
        return Submission(log=None, program=None, notices=(Note(NoteLevel.WARNING, str(error)),))


def run_student_code(
    submission: Submission, sandbox: ForkServer, limits: RunLimits | None = None
) -> StudentRun:
    """Let the student's code answer every question of the rubric, in a child process."""
    if submission.program is None:
        return StudentRun(submission, load=None, outcomes={})
    asked = questions()
    transcript = sandbox.run(submission.program.cells, tuple(asked.values()), limits, allowance=Allowance())
    return StudentRun(submission, transcript.load, dict(zip(asked, transcript.outcomes, strict=True)))
