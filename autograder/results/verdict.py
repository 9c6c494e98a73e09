"""How a test ends, and whose fault that is.

    it returns                          full points, or the score it set
    AssertionError with a message       the student's: the message, 0 or the score it set
    SkipTest                            not graded: the reason, 0
    anything else                       the grader's

An AssertionError without a message gives a student nothing to act on: it is a bare `assert` of the
grader's own code, and counts as the grader's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from unittest import SkipTest

from autograder.results.blame import describe


class Verdict(IntEnum):
    """How a test ended; of several endings of one test, the greatest counts."""

    PASSED = 0
    NOT_GRADED = 1
    FAILED = 2
    FAULT = 3


@dataclass(frozen=True)
class Ending:
    """One ending of a test. text: for the student; with FAULT for staff."""

    verdict: Verdict
    text: str = ""


def ending_of(error: BaseException) -> Ending:
    """Return the ending that an exception leaving a test gives it."""
    if isinstance(error, SkipTest):
        return Ending(Verdict.NOT_GRADED, str(error))
    if isinstance(error, AssertionError):
        if error.args not in ((), (None,), ("",)):
            return Ending(Verdict.FAILED, str(error))
        return Ending(Verdict.FAULT, f"{describe(error)}, without a message")
    return Ending(Verdict.FAULT, describe(error))
