"""Sections 3, 4 and 5: finding the hand-designed matrices, judging them on every sequence of their task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder import settings
from autograder.assignment import Task
from autograder.checks.run import Check, StudentRun
from autograder.feedback.messages import Message, Verdict, judged, with_fallback
from autograder.results.runner import NotAttempted
from autograder.sandbox.calls import Answer, Outcome, Raised, Refusal, Refused
from autograder.submission.shapes import check_shapes, work_out_shapes
from autograder.submission.types import Matrices, Origin
from reference.tasks import TASKS
from reference.transformer import NumpyTransformer

MAX_COLUMNS = 256
"""Of Km and Qm, before they are replaced by narrow ones with the same scores."""


@dataclass(frozen=True)
class Found:
    """The matrices of a task, in shapes that fit; or the problem with them, in a student's words.

    source: the file that they come from, "" if there are none anywhere.
    """

    source: str = ""
    matrices: Matrices | None = None
    problem: str = ""


def find_matrices(run: StudentRun, task: Task) -> Found:
    """The matrices of a task: from the log when it has them, else as the code left them."""
    log, program = run.submission.log, run.submission.program
    if log is not None and (record := log.record(task)) is not None:
        source, shaped = log.name, work_out_shapes(task, record)
    elif program is None:
        return Found(problem="There are no matrices: upload submission_log.json, and your notebook with it.")
    elif not isinstance(outcome := run.matrices[task], Answer):
        return Found(problem=_why_absent(outcome, program.name))
    elif any(array.size > settings.MAX_MATRIX_ITEMS for array in outcome.arrays.values()):
        return Found(problem=f"The matrices in {program.name} are far larger than any that solve the task.")
    else:
        source, shaped = program.name, check_shapes(task, Matrices(**outcome.arrays))
    return Found(source, problem=shaped) if isinstance(shaped, str) else Found(source, shaped)


def _why_absent(outcome: Outcome, name: str) -> str:
    reason = getattr(outcome, "reason", None)
    if isinstance(outcome, Refused) and reason is Refusal.NOT_NUMERIC:
        return (
            f"The matrices in {name} are not arrays of numbers ({outcome.detail}). "
            "Make Km, Qm and Vm NumPy arrays of numbers."
        )
    if isinstance(outcome, (Refused, Raised)) and reason is not Refusal.NOT_KNOWN:
        return (
            f"{name} holds no Km, Qm and Vm for this part. Fill in its matrices, run the cell, run the cell "
            "that writes submission_log.json, and upload both files."
        )
    return f"{name} could not be run to its end, so these matrices are not known. Upload the log too."


def judge(task: Task, matrices: Matrices) -> Verdict:
    """Run matrices, whose shapes fit, on every sequence of the task, in batches."""
    return Verdict.of(TASKS[task.value], _transformer(matrices))


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
        found = find_matrices(self.student, self.task)
        if found.problem:
            self.fail(found.problem + (f" (Read from {found.source}.)" if found.source else ""))

    def check_sequences(self, shapes_number: str) -> None:
        """The sequences check of the rubric; shapes_number: the check that says why there is no verdict."""
        found = find_matrices(self.student, self.task)
        if found.matrices is None:
            why = "matrices' shapes do not fit" if found.source else "matrices are not there"
            self.skipTest(f"Not graded because the {why}: see {shapes_number}.")
        self.judge(found.matrices)

    def judge(self, matrices: Matrices) -> None:
        """Earn the share of the sequences that are right, or half if attention lands on the right tokens
        everywhere and only its sharpness is off: too soft, or past what the plain exp can hold."""
        verdict = judge(self.task, matrices)
        lands = (right.all() for right in judged(verdict.task, verdict.transformer.sharp))
        half = verdict.share < 0.5 and all(lands)
        self.earn(0.5 if half else verdict.share)
        if verdict.share < 1:

            def explained() -> Message:
                from autograder.feedback.hand_designed import explain_matrices  # the failing path's alone

                return explain_matrices(verdict, half=half)

            self.explain(with_fallback(explained, lambda: Message(verdict.count)))


class AttentionByContent(HandDesigned):
    """Section 3: copies each token, attending by content."""

    task = Task.CONTENT

    @weight(5)
    @number("3.1")
    @tags(Task.CONTENT.value)
    @visibility("visible")
    def test_shapes(self) -> None:
        """Attention by content: the matrices have the right shapes"""
        self.check_shapes()

    @weight(20)
    @number("3.2")
    @tags(Task.CONTENT.value)
    @visibility("visible")
    def test_every_sequence(self) -> None:
        """Attention by content: copies each token of every sequence of length 1 to 6"""
        self.check_sequences("3.1")


class AttentionByPosition(HandDesigned):
    """Section 4: copies the first token, attending by position."""

    task = Task.POSITION

    @weight(5)
    @number("4.1")
    @tags(Task.POSITION.value)
    @visibility("visible")
    def test_shapes(self) -> None:
        """Attention by position: the matrices and position encodings have the right shapes"""
        self.check_shapes()

    @weight(20)
    @number("4.2")
    @tags(Task.POSITION.value)
    @visibility("visible")
    def test_every_sequence(self) -> None:
        """Attention by position: copies the first token of every sequence of length 1 to 4"""
        self.check_sequences("4.1")


class UniqueTokens(HandDesigned):
    """Section 5, optional: tells tokens that occur once from those that repeat."""

    task = Task.UNIQUE

    @weight(0)
    @number("5.1")
    @tags(Task.UNIQUE.value)
    @visibility("visible")
    def test_signs(self) -> None:
        """Optional: the right sign for every token of every sequence of length 1 to 4"""
        program = self.student.submission.program
        if program is None or program.origin is Origin.LOG:
            raise NotAttempted(
                "Not graded: only the notebook holds this part; upload it to have it looked at."
            )
        found = find_matrices(self.student, self.task)
        if not found.source:
            raise NotAttempted("Not attempted: optional.")
        if found.matrices is None:
            self.fail(f"{found.problem} (Read from {found.source}; this part is optional.)")
        self.judge(found.matrices)
