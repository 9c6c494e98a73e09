"""Grade one submission for a person or for Gradescope: results.json is written, a table printed."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from autograder.bounds import ends_within, limit_memory
from autograder.grade import grade
from autograder.results.runner import failed, interrupted
from autograder.results.schema import write
from autograder.sandbox.host import ForkServer
from autograder.sandbox.jail.confine import guard_grader
from autograder.sandbox.launch import Launched
from autograder.settings import GRADE_WALL_SECONDS, GRADER_MEMORY_BYTES
from autograder.table import table
from autograder.text import NAME_LIMIT, clean
from autograder.version import version_line

GRADED, FAULT = 0, 1


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
