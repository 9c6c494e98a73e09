"""The rubric: a module per section, each check a unittest case with gradescope-utils decorators.

A new section is a `Check` subclass, named in `SECTIONS`.
"""

from __future__ import annotations

import unittest

from autograder.checks.hand_designed import AttentionByContent, AttentionByPosition, UniqueTokens
from autograder.checks.pytorch_transformer import PytorchTransformer
from autograder.checks.run import Check, StudentRun
from autograder.checks.submission_log import SubmissionLog

SECTIONS: tuple[type[Check], ...] = (
    SubmissionLog,
    PytorchTransformer,
    AttentionByContent,
    AttentionByPosition,
    UniqueTokens,
)


def rubric(run: StudentRun) -> tuple[Check, ...]:
    """One instance per check; results order them by their numbers."""
    loader = unittest.TestLoader()
    return tuple(section(method, run) for section in SECTIONS for method in loader.getTestCaseNames(section))
