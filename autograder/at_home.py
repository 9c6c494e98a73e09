"""What `check.py` of the students' kit runs: the checks that are not withheld, in this very process.

There is no jail and no time limit here, since it is the student's own code on the student's own machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder.assignment import LOG_NAME
from autograder.grade import grade
from autograder.sandbox.calls import Call, Cell, Moment, RunLimits, Transcript
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.sandbox.wire import Request
from autograder.table import table


def main(arguments: Sequence[str], about: str) -> int:
    """Check one submission and print the table; 2 if there is no such file, else 0. about: printed last."""
    parser = argparse.ArgumentParser(prog="check.py", description="Check your homework before you upload it.")
    parser.add_argument(
        "submission", type=Path, help="your notebook (the log beside it is read too), or a folder"
    )
    submission = parser.parse_args(arguments).submission
    if not submission.exists():
        print(f"check.py: there is no {submission}: name your notebook, or its folder", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        upload = submission
        if submission.suffix in (".ipynb", ".py"):
            upload = Path(folder)
            for file in (submission, submission.with_name(LOG_NAME)):
                if file.is_file():
                    shutil.copy(file, folder)
        results = grade(upload, InThisProcess()).results
    results["output"] = results["output"].rpartition("Graded by ")[0]  # about says whose kit this is
    print(table(results))
    print(about)
    return 0


class InThisProcess(ForkServer):
    """Runs a program where it is, as the sandbox's child does, without the child."""

    def run(
        self,
        cells: Sequence[Cell],
        calls: Sequence[Call],
        limits: RunLimits | None = None,
        *ignored: Any,
        moment: Moment = Moment.TESTED,
        **ignored_too: Any,
    ) -> Transcript:
        """As the sandbox's, but for endings: code that hangs or leaves the process takes this one along."""
        from autograder.sandbox.worker import child, model, stubs
        from autograder.sandbox.worker.loader import LoadedProgram

        stubs.install_stand_ins()
        limits = limits or DEFAULT_LIMITS
        here, own_main = Path.cwd(), sys.modules["__main__"]
        try:
            with (
                tempfile.TemporaryDirectory() as folder,  # a notebook writes its log to where it is
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                os.chdir(folder)
                model.seed_all(0)
                program = LoadedProgram(Request(tuple(cells), limits, 0, moment), bytearray(4))
                report = program.load()
                outcomes = tuple(child.answer(program, call, limits) for call in calls)
        finally:
            os.chdir(here)
            sys.modules["__main__"] = own_main
        return Transcript(report, outcomes)
