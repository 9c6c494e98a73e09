"""Grade one submission for a person or for Gradescope: results.json is written, a table printed."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from autograder.grade import Graded, grade
from autograder.results.compose import fault, interrupted
from autograder.results.write import write
from autograder.sandbox.host import Zygote
from autograder.sandbox.lockdown import guard_grader
from autograder.table import table

GRADED, FAULT = 0, 1


def grade_command(upload: Path, results: Path) -> int:
    """Grade upload into results; gives the exit status. results always holds a whole, valid file.

    Raises ResultsFault if results cannot be written at all.
    """
    guard_grader()
    with Zygote() as sandbox:
        write(interrupted(), results)
        try:
            graded = grade(upload, sandbox)
            write(graded.results, results)
        except Exception as error:  # the grader's own fault, whatever it is: said, never a silent zero
            return _failed(error, results)
    print(table(graded.results))
    print(f"results: {results}")
    return _report_faults(graded)


def _failed(error: Exception, results: Path) -> int:
    traceback.print_exception(error)
    print(
        "The grader itself failed: this is no verdict. The traceback says where; rerun it.", file=sys.stderr
    )
    write(fault(error), results)
    return FAULT


def _report_faults(graded: Graded) -> int:
    for line in graded.faults:
        print(f"grader fault: {line}", file=sys.stderr)
    return FAULT if graded.faults else GRADED
