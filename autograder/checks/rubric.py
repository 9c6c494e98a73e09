"""The rubric: every check of every section, bound to one upload's evidence.

A new section is a module with a `Check` subclass, named in `SECTIONS`.
"""

from __future__ import annotations

import unittest

from autograder.checks.attention_by_content import AttentionByContent
from autograder.checks.attention_by_position import AttentionByPosition
from autograder.checks.base import Check
from autograder.checks.pytorch_transformer import PytorchTransformer
from autograder.checks.run import StudentRun
from autograder.checks.submission_log import SubmissionLog
from autograder.checks.unique_tokens import UniqueTokens

SECTIONS: tuple[type[Check], ...] = (
    SubmissionLog,
    PytorchTransformer,
    AttentionByContent,
    AttentionByPosition,
    UniqueTokens,
)


def rubric(evidence: StudentRun) -> tuple[Check, ...]:
    """One instance per check; results order them by their numbers."""
    loader = unittest.TestLoader()
    return tuple(
        section(method, evidence) for section in SECTIONS for method in loader.getTestCaseNames(section)
    )
