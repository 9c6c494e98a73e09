"""What the three hand-designed sections share: finding the matrices, judging them on every sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np

from autograder import settings
from autograder.assignment import Section, Task
from autograder.checks.base import Check
from autograder.checks.questions import matrices as matrices_question
from autograder.checks.run import StudentRun
from autograder.feedback.messages import explain_matrices
from autograder.feedback.sequences import passes
from autograder.sandbox.calls import Answer, Raised, Refusal, Refused
from autograder.submission.shapes import check_shapes, work_out_shapes
from autograder.submission.types import Matrices, ShapeFault
from reference.tasks import TASKS, Batch, SequenceTask
from reference.transformer import NumpyTransformer

MAX_COLUMNS = 256
"""Of Km and Qm, before they are replaced by narrow ones with the same scores."""


@dataclass(frozen=True)
class Found:
    """The matrices to judge, in shapes that fit. source: the file they come from."""

    matrices: Matrices
    source: str


@dataclass(frozen=True)
class Misshapen:
    """There are matrices, but their shapes do not fit the task."""

    message: str
    source: str


@dataclass(frozen=True)
class Absent:
    """There are no matrices of this task anywhere, and why."""

    reason: str


Matter = Union[Found, Misshapen, Absent]


@dataclass(frozen=True, eq=False)
class Verdict:
    """How matrices do on every sequence of a task.

    right: the notebook's own test passes, one bool array (n,) per batch.
    """

    task: SequenceTask
    transformer: NumpyTransformer
    batches: tuple[Batch, ...]
    right: tuple[np.ndarray, ...]

    @property
    def total(self) -> int:
        """Number of sequences."""
        return sum(len(r) for r in self.right)

    @property
    def passed(self) -> int:
        """Number of sequences that are right."""
        return int(sum(r.sum() for r in self.right))

    @property
    def credit(self) -> float:
        """The share of the points: of the sequences that are right, or half if attention lands on the right
        tokens everywhere and only its sharpness is off: too soft, or past what the plain exp can hold."""
        share = self.passed / self.total
        return 0.5 if share < 0.5 and self.lands else share

    @property
    def lands(self) -> bool:
        """In the limit of sharp attention every sequence would be right: it lands on the right tokens."""
        return all(
            passes(self.task, self.transformer.sharp_output(batch.inputs), batch.expected).all()
            for batch in self.batches
        )


def find_matrices(evidence: StudentRun, task: Task) -> Matter:
    """The matrices of a task: from the log when it has them, else as the code left them."""
    log = evidence.submission.log
    section = {Task.CONTENT: Section.CONTENT, Task.POSITION: Section.POSITION}.get(task)
    if log is not None and section is not None:
        record = log.content if section is Section.CONTENT else log.position
        if record is not None:
            return _shaped(work_out_shapes(task, record), log.name)
    program = evidence.submission.program
    if program is None:
        return Absent("There are no matrices: upload submission_log.json, and your notebook with it.")
    outcome = evidence.outcomes[matrices_question(task)]
    if isinstance(outcome, Answer):
        arrays = outcome.arrays
        if any(array.size > settings.MAX_MATRIX_ITEMS for array in arrays.values()):
            return Absent(f"The matrices in {program.name} are larger than any answer: see the assignment.")
        given = Matrices(arrays["Km"], arrays["Qm"], arrays["Vm"], arrays.get("pos"))
        return _shaped(check_shapes(task, given), program.name)
    return Absent(_why_absent(outcome, program.name, task))


def judge(task: Task, matrices: Matrices) -> Verdict:
    """Run matrices, whose shapes fit, on every sequence of the task, in batches."""
    of_reference = TASKS[task.value]
    transformer = _transformer(matrices)
    batches = of_reference.all_sequences()
    right = (
        passes(of_reference, transformer.plain_output(batch.inputs), batch.expected) for batch in batches
    )
    return Verdict(of_reference, transformer, batches, tuple(right))


def _transformer(matrices: Matrices) -> NumpyTransformer:
    """The matrices' transformer; one of very many columns as one that has the same scores with few.

    Queries and keys of 33,333 columns would need 2.3 GB for all sequences; their scores need
    Qm Kmᵀ alone.
    """
    Km, Qm = matrices.Km.astype(np.float64), matrices.Qm.astype(np.float64)
    rows, qk_dim = Km.shape
    if qk_dim > MAX_COLUMNS:
        with np.errstate(all="ignore"):
            Qm = Qm @ Km.T * np.sqrt(rows / qk_dim)  # (total_dim, total_dim); see the root of qk_dim
        Km = np.eye(rows)
    pos = matrices.pos if matrices.pos is not None and matrices.pos.size else None  # (5, 0): no positions
    return NumpyTransformer(Km, Qm, matrices.Vm, pos)


class HandDesigned(Check):
    """A hand-designed section; `task` is set by the section's own class."""

    task: Task

    def check_shapes(self) -> None:
        """The shapes check of the rubric."""
        matter = find_matrices(self.evidence, self.task)
        if isinstance(matter, Absent):
            self.fail(matter.reason)
        if isinstance(matter, Misshapen):
            self.fail(f"{matter.message} (Read from {matter.source}.)")

    def check_sequences(self, shapes_number: str) -> None:
        """The sequences check of the rubric; shapes_number: the check that says why there is no verdict."""
        matter = find_matrices(self.evidence, self.task)
        if isinstance(matter, Absent):
            self.skipTest(f"Not graded because the matrices are not there: see {shapes_number}.")
        if isinstance(matter, Misshapen):
            self.skipTest(f"Not graded because the matrices' shapes do not fit: see {shapes_number}.")
        verdict = judge(self.task, matter.matrices)
        credit = verdict.credit
        self.earn(credit)
        if verdict.passed < verdict.total:
            half = credit > verdict.passed / verdict.total
            explained = explain_matrices(verdict.task, verdict.transformer, verdict.right, half=half)
            self.diagnosis = explained.diagnosis
            self.explain(explained)


def _shaped(shaped: Matrices | ShapeFault, source: str) -> Found | Misshapen:
    return Misshapen(shaped.message, source) if isinstance(shaped, ShapeFault) else Found(shaped, source)


def _why_absent(outcome: object, name: str, task: Task) -> str:
    if isinstance(outcome, Refused) and outcome.reason is Refusal.NOT_NUMERIC:
        return (
            f"The matrices in {name} are not arrays of numbers ({outcome.detail}). "
            "Make Km, Qm and Vm NumPy arrays of numbers."
        )
    not_known = isinstance(outcome, Refused) and outcome.reason is Refusal.NOT_KNOWN
    if isinstance(outcome, (Refused, Raised)) and not not_known:
        return (
            f"{name} holds no Km, Qm and Vm for this part. Fill in its matrices, run the cell, run the cell "
            "that writes submission_log.json, and upload both files."
        )
    return (
        f"{name} could not be run to its end, so the matrices of this part are not known. Upload the log too."
    )
