"""Section 5, optional: the hand-designed transformer that tells unique tokens from repeated ones."""

from __future__ import annotations

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import Task
from autograder.checks.hand_designed import Absent, HandDesigned, Misshapen, find_matrices, judge
from autograder.feedback.messages import explain_matrices
from autograder.results.runner import NotAttempted
from autograder.submission.types import Origin

SECTION = Task.UNIQUE.value


class UniqueTokens(HandDesigned):
    """Km, Qm, Vm and pos of the unique-token task; it is worth no points."""

    task = Task.UNIQUE

    @weight(0)
    @number("5.1")
    @tags(SECTION)
    @visibility("visible")
    def test_signs(self) -> None:
        """Optional: the right sign for every token of every sequence of length 1 to 4"""
        program = self.evidence.submission.program
        if program is None or program.origin is Origin.LOG:
            raise NotAttempted(
                "Not graded: the log does not hold this part, upload your notebook to have it looked at."
            )
        matter = find_matrices(self.evidence, self.task)
        if isinstance(matter, Absent):
            raise NotAttempted("Not attempted, which costs nothing: this part is optional.")
        if isinstance(matter, Misshapen):
            self.fail(f"{matter.message} (Read from {matter.source}; this part is optional.)")
        verdict = judge(self.task, matter.matrices)
        if verdict.passed < verdict.total:
            explained = explain_matrices(verdict.task, verdict.transformer, verdict.right)
            self.diagnosis = explained.diagnosis
            self.explain(explained)
