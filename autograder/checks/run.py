"""What the checks judge: one upload, and what its code answered. No check runs student code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autograder.sandbox.calls import Ended, LoadReport, Outcome
from autograder.submission.types import Submission


@dataclass(frozen=True, eq=False)
class StudentRun:
    """Everything known of one upload.

    load: how loading the program went; None if there is no program.
    outcomes: what came of each question, by its name in `questions`; empty if there is no program.
    """

    submission: Submission
    load: LoadReport | Ended | None
    outcomes: Mapping[str, Outcome]
