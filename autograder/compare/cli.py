"""`run_autograder compare SUBMISSION -o DIR`: trains on every task, writes the pictures and the page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder import settings
from autograder.assignment import Task
from autograder.checks.hand_designed import find_matrices
from autograder.checks.run import StudentRun
from autograder.compare.learn import learn
from autograder.compare.page import Comparison, write
from autograder.compare.plan import PART_STEPS, SETTINGS, sizes_of
from autograder.compare.progress import shown
from autograder.errors import UsageError
from autograder.grade import read
from autograder.sandbox.calls import TaskMatrices
from autograder.sandbox.host import ForkServer
from autograder.submission.types import Submission
from autograder.text import NAME_LIMIT, clean
from reference.tasks import TASKS
from reference.transformer import NumpyTransformer

DONE = 0


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises UsageError and SandboxFault."""
    parser = argparse.ArgumentParser(
        prog="run_autograder compare",
        description="Train the student's own model on each task, as the notebook does, and draw it below "
        "the hand-designed one.",
    )
    parser.add_argument("submission", type=Path, help="a folder, .ipynb, .py, .json or .zip")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a folder to write")
    parser.add_argument(
        "--steps", type=int, default=settings.TRAIN_STEPS, help="of each training (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if not os.path.lexists(options.submission):
        raise UsageError(f"there is no {options.submission}: name a folder, .ipynb, .py, .json or .zip")
    if not 1 <= options.steps <= 1_000_000:
        raise UsageError(f"--steps {options.steps}: give a number from 1 to 1,000,000")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{options.output} cannot be made a folder: {error.strerror}") from error
    with ForkServer() as fork_server:
        compared = compare(read(options.submission), fork_server, options.steps)
    title = clean(options.submission.resolve().name, NAME_LIMIT)
    print(f"page: {write(compared, title, options.output)}")
    return DONE


def compare(submission: Submission, fork_server: ForkServer, steps: int) -> list[Comparison]:
    """Every task's hand-designed matrices and learned ones; the optional task only if it was attempted."""
    cells = submission.program.cells if submission.program is not None else ()
    transcript = fork_server.run(cells, [TaskMatrices(task) for task in Task])
    matrices = dict(zip(Task, transcript.outcomes, strict=True))
    evidence = StudentRun(submission, transcript.load if cells else None, matrices)
    hands = {task: _by_hand(evidence, task) for task in Task}
    attempted = [task for task in Task if task is not Task.UNIQUE or hands[task][0] is not None]
    parts = len(attempted) * -(-steps // PART_STEPS)
    with shown(parts, sys.stderr) as step:
        return [
            Comparison(
                TASKS[task.value],
                SETTINGS[task],
                hands[task][0],
                hands[task][1],
                learn(fork_server, cells, task, sizes_of(task, hands[task][0]), steps, step),
            )
            for task in attempted
        ]


def _by_hand(evidence: StudentRun, task: Task) -> tuple[NumpyTransformer | None, str]:
    """The hand-designed transformer, or None and why there is none."""
    if evidence.submission.log is None and evidence.submission.program is None:
        return None, "the upload holds neither a log nor code"
    found = find_matrices(evidence, task)
    if found.matrices is None:
        return None, found.problem
    m = found.matrices
    try:
        return NumpyTransformer(m.Km, m.Qm, m.Vm, m.pos), ""
    except ValueError as error:
        return None, str(error)
