"""What every check of the rubric is: a unittest case that judges one upload.

To add a check, write a test method in the module of its section, with gradescope-utils decorators:

    @weight(5)
    @number("2.7")
    @tags("pytorch_transformer")
    def test_something(self) -> None:
        \"\"\"The name that students see\"\"\"
        self.fail("what was expected, what came, where, what to do next")

`self.fail(message)` costs the points, `self.skipTest(reason)` says why the check cannot be made,
and any other exception counts as the grader's own fault. For a part of the points, call
`self.earn(share)`, 0 to 1, before failing: the points themselves stand in the decorator alone.
"""

from __future__ import annotations

import unittest
from typing import NoReturn

from autograder.checks.run import StudentRun
from autograder.feedback.messages import Message


class Check(unittest.TestCase):
    """A section of the rubric, bound to the upload it judges.

    student is the instance's own: nothing of one upload can reach the next one. share: of the points, 0 to
    1; None: all if the check passes, none if it fails. diagnosis is the short stable name of the mistake
    that a failed check has recognised, or "".
    """

    def __init__(self, method: str, run: StudentRun) -> None:
        super().__init__(method)
        self.student = run
        self.output_format = "text"
        self.share: float | None = None
        self.diagnosis = ""

    def earn(self, share: float) -> None:
        """Have this share of the points, 0 to 1, whether the check then passes or fails."""
        self.share = share

    def explain(self, message: Message) -> NoReturn:
        """Fail with a message that carries its own format."""
        self.output_format = message.format
        raise self.failureException(message.text)
