"""Where the log and the code of one upload tell different stories. It costs nothing by itself."""

from __future__ import annotations

import numpy as np

from autograder.assignment import MATRICES, Task
from autograder.checks.run import StudentRun
from autograder.sandbox.calls import Answer, LoadReport
from autograder.submission.shapes import work_out_shapes
from autograder.submission.source import same_code
from autograder.submission.types import Origin, ShapeFault

_DO = "Run all cells again, download submission_log.json again, and upload both."


def disagreements(evidence: StudentRun) -> list[str]:
    """One line per part in which log and code differ, with what was graded and what to do."""
    log, program = evidence.submission.log, evidence.submission.program
    if log is None or program is None or program.origin is Origin.LOG:
        return []
    lines = []
    if log.model is not None and same_code(program, log.model) is False:
        lines.append(
            f"PytorchTransformer in {program.name} is not the one recorded in {log.name}; "
            f"{program.name} was graded. {_DO}"
        )
    if isinstance(evidence.load, LoadReport) and evidence.load.is_cut:
        return lines  # what the grader's own limits left out may be all the difference
    for task, record in ((Task.CONTENT, log.content), (Task.POSITION, log.position)):
        outcome = evidence.matrices.get(task)
        if record is None or not isinstance(outcome, Answer):
            continue
        recorded = work_out_shapes(task, record)
        if isinstance(recorded, ShapeFault):
            continue
        different = [
            name for name in MATRICES if not _same(getattr(recorded, name), outcome.arrays.get(name))
        ]
        if different:
            lines.append(
                f"{', '.join(different)} of {task.value} differ between {log.name} and {program.name}; "
                f"{log.name} was graded. {_DO}"
            )
    return lines


def _same(recorded: np.ndarray | None, ran: np.ndarray | None) -> bool:
    if recorded is None or ran is None:
        return recorded is None  # content has no pos, whatever the code has by that name
    return recorded.shape == ran.shape and bool(np.allclose(recorded, ran, rtol=1e-6, atol=1e-9))
