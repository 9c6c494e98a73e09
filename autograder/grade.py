"""The pipeline: one upload in, its results out, in results.json and as a table.

An upload is graded by its best reading. Where checks fail on it, the other fair readings that it has are
tried, and the one that passes most is graded; who passes at once pays for none.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from autograder.assignment import CLASS_NAME, Task
from autograder.bounds import ends_within, limit_memory
from autograder.checks import rubric
from autograder.checks.header import header
from autograder.checks.look import suspicious
from autograder.checks.run import StudentRun, calls
from autograder.errors import FAULT, GRADED, UploadError
from autograder.feedback.messages import with_fallback
from autograder.results.runner import Graded, failed, interrupted, run_checks
from autograder.results.schema import write
from autograder.sandbox.calls import Answer, Moment, RunLimits, met_time_limit
from autograder.sandbox.host import Allowance, ForkServer
from autograder.sandbox.jail.confine import guard_grader
from autograder.sandbox.launch import Launched
from autograder.settings import GRADE_WALL_SECONDS, GRADER_MEMORY_BYTES, MAX_TEXT_BYTES
from autograder.submission.choose import collect
from autograder.submission.types import Log, Note, NoteLevel, Origin, Submission
from autograder.table import table
from autograder.text import NAME_LIMIT, clean
from autograder.version import version_line

MORE_READINGS = 2
"""Beside the first, for an upload that fails."""


def grade(upload: Path, sandbox: ForkServer, limits: RunLimits | None = None) -> Graded:
    """Grade one upload: a folder, a .zip, or a single file.

    Whatever the upload holds or does, this gives results. limits: of its code, instead of the
    sandbox's. Raises GraderFault (SandboxFault) only for what is the grader's own.
    """
    submission = read_upload(upload)
    allowance = Allowance()
    first = run_student_code(submission, sandbox, limits, allowance)
    best = _judged(first)
    for other in islice(_other_readings(submission), MORE_READINGS):
        if not _another_may_pass(best.results, submission.log):
            break
        judged = _judged(_with_matrices(run_student_code(other, sandbox, limits, allowance), first))
        if judged.results["score"] > best.results["score"]:
            best = judged
    return best


def read_upload(upload: Path) -> Submission:
    """The upload as data; one that cannot be opened is an empty submission that says why."""
    faults: tuple[str, ...] = ()
    try:
        return collect(upload)
    except UploadError as error:
        told = str(error)
    except Exception:
        told = "Your upload could not be read; that is not your fault: please tell the course staff."
        faults = (f"The upload could not be read: {traceback.format_exc()}",)
    return Submission(None, None, (Note(NoteLevel.WARNING, told),), faults=faults)


def run_student_code(
    submission: Submission,
    sandbox: ForkServer,
    limits: RunLimits | None = None,
    allowance: Allowance | None = None,
) -> StudentRun:
    """Let the student's code answer every question of the rubric, in a child process.

    allowance: what is left of the upload's time; a whole one if it is not given.
    """
    if submission.program is None:
        return StudentRun(submission)
    transcript = sandbox.run(
        submission.program.cells, calls(), limits, allowance or Allowance(), moment=submission.moment
    )
    return StudentRun.of(submission, transcript)


def _other_readings(submission: Submission) -> Iterator[Submission]:
    """The class as it stands at the end, where the program defines it again, and what else was uploaded."""
    program = submission.program
    if program is not None and program.origin is not Origin.LOG:
        defined = [cell for cell in program.cells if cell.executed and f"class {CLASS_NAME}" in cell.source]
        if len(defined) > 1:
            where = f"stands at the end of {program.name} otherwise than tested"
            told = f"{CLASS_NAME} {where}; it was graded as it stands there."
            notices = (*submission.notices, Note(NoteLevel.FOUND, told))
            yield replace(submission, moment=Moment.END, notices=notices)
    yield from submission.others


def _judged(run: StudentRun) -> Graded:
    def output(tests: Sequence[Mapping[str, Any]]) -> str:
        told = with_fallback(lambda: header(run, tests), str)
        return f"{told}\n\nGraded by {version_line()}.".lstrip()

    graded = run_checks(rubric(run), output=output)
    graded.results["extra_data"] = {"version": version_line()}
    cells = run.submission.program.cells if run.submission.program is not None else ()
    told = [clean(fault, MAX_TEXT_BYTES, lines=True) for fault in run.submission.faults]
    told += with_fallback(lambda: suspicious(cells), list)
    if told:
        graded.results["extra_data"]["look at"] = told
    timed_out = met_time_limit(run.load, run.outcomes)
    return replace(graded, submission=run.submission, timed_out=timed_out)


def _with_matrices(run: StudentRun, first: StudentRun) -> StudentRun:
    """The run, with the matrices that only the first reading has: the class recorded in the log has none."""
    kept = {
        task: outcome
        for task, outcome in first.matrices.items()
        if isinstance(outcome, Answer) and not isinstance(run.matrices.get(task), Answer)
    }
    return replace(run, matrices={**run.matrices, **kept})


def _another_may_pass(results: dict[str, Any], log: Log | None) -> bool:
    """Whether a check failed that depends on the code: all but those of the log and of matrices in it."""
    recorded = {Task.CONTENT: log and log.content, Task.POSITION: log and log.position}
    by_log = {"submission_log", *(task.value for task, matrices in recorded.items() if matrices)}
    return any(
        test.get("score", 0.0) < test.get("max_score", 0.0) and not by_log.intersection(test.get("tags", ()))
        for test in results["tests"]
    )


# --- For a person or for Gradescope. ---


def grade_command(
    upload: Path, results: Path, html: Path | None = None, launched: Launched | None = None
) -> int:
    """Grade upload into results; gives the exit status. results always holds a whole, valid file.

    html: where a report for a person goes, if one is wanted. launched: the sandbox's process, if it was
    started already. Raises ResultsFault if results cannot be written at all, UsageError if html cannot.
    """
    guard_grader()
    limit_memory(GRADER_MEMORY_BYTES)
    with ForkServer(launched=launched) as sandbox:
        write(interrupted(), results)
        try:
            with ends_within(GRADE_WALL_SECONDS):
                graded = grade(upload, sandbox)
                isolation = sandbox.isolation_line([upload])
            graded.results["extra_data"]["isolation"] = isolation
            write(graded.results, results)
        except Exception as error:  # the grader's own fault, whatever it is: said, never a silent zero
            traceback.print_exception(error)
            told = "The grader itself failed: no verdict. The traceback says where; rerun it."
            print(told, file=sys.stderr)
            write(failed(error), results)
            return FAULT
    print(f"{isolation}; {version_line()}")
    for line in graded.results["extra_data"].get("look at", ()):
        print(f"look at: {line}")
    print(table(graded.results))
    print(f"results: {results}")
    if html is not None:
        from autograder.pages import submission_page, write_page

        title = f"Grading report: {clean(upload.resolve().name, NAME_LIMIT)}"
        write_page(submission_page(graded.results, title, files=graded.files), html, "report")
    for line in (*(graded.submission.faults if graded.submission else ()), *graded.faults):
        print(f"grader fault: {line}", file=sys.stderr)
    return GRADED
