"""Section 3: the hand-designed transformer that copies each token, attending by content."""

from __future__ import annotations

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import Task
from autograder.checks.hand_designed import HandDesigned

SECTION = Task.CONTENT.value


class AttentionByContent(HandDesigned):
    """Km, Qm and Vm of the identity task."""

    task = Task.CONTENT

    @weight(5)
    @number("3.1")
    @tags(SECTION)
    @visibility("visible")
    def test_shapes(self) -> None:
        """Attention by content: the matrices have the right shapes"""
        self.check_shapes()

    @weight(20)
    @number("3.2")
    @tags(SECTION)
    @visibility("visible")
    def test_every_sequence(self) -> None:
        """Attention by content: copies each token of every sequence of length 1 to 6"""
        self.check_sequences("3.1")
