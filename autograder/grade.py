"""The pipeline: one upload in, its results out. Everything it calls is a room of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autograder.checks.preamble import preamble
from autograder.checks.questions import questions
from autograder.checks.rubric import rubric
from autograder.checks.run import StudentRun
from autograder.errors import UploadError
from autograder.feedback.messages import with_fallback
from autograder.results.runner import Graded, run_checks
from autograder.sandbox.calls import RunLimits, met_time_limit
from autograder.sandbox.host import Allowance, ForkServer
from autograder.submission.collect import collect
from autograder.submission.types import Note, NoteLevel, Submission
from autograder.version import version_line


def grade(upload: Path, sandbox: ForkServer, limits: RunLimits | None = None) -> Graded:
    """Grade one upload: a folder, a .zip, or a single file.

    Whatever the upload holds or does, this gives results. limits: of its code, instead of the
    sandbox's. Raises GraderFault (SandboxFault) only for what is the grader's own.
    """
    submission = read(upload)
    evidence = run_student_code(submission, sandbox, limits)
    header = with_fallback(lambda: preamble(evidence), str)
    graded = run_checks(rubric(evidence), output=f"{header}\n\nGraded by {version_line()}.".lstrip())
    graded.results["extra_data"] = {"version": version_line()}
    timed_out = met_time_limit(evidence.load, evidence.outcomes.values())
    return replace(graded, submission=submission, timed_out=timed_out)


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
