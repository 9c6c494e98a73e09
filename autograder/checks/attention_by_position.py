"""Section 4: the hand-designed transformer that copies the first token, attending by position."""

from __future__ import annotations

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import Task
from autograder.checks.hand_designed import HandDesigned

SECTION = Task.POSITION.value


class AttentionByPosition(HandDesigned):
    """Km, Qm, Vm and pos of the copy-the-first-token task."""

    task = Task.POSITION

    @weight(5)
    @number("4.1")
    @tags(SECTION)
    @visibility("visible")
    def test_shapes(self) -> None:
        """Attention by position: the matrices and position encodings have the right shapes"""
        self.check_shapes()

    @weight(20)
    @number("4.2")
    @tags(SECTION)
    @visibility("visible")
    def test_every_sequence(self) -> None:
        """Attention by position: copies the first token of every sequence of length 1 to 4"""
        self.check_sequences("4.1")
