"""Which mistakes explain hand-designed matrices that fail, the one to mend first in front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograder.assignment import MATRICES
from autograder.feedback.matrices.attention import attention_findings
from autograder.feedback.matrices.findings import Finding, Mistake
from autograder.feedback.matrices.unique import unique_findings
from autograder.feedback.matrices.values import value_findings, with_right_values
from autograder.feedback.wording import matrices as wording
from reference.tasks import Batch, SequenceTask
from reference.transformer import BoolArray, NumpyTransformer


def find(task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray]) -> list[Finding]:
    """The mistakes that are recognised; empty if none is. right: which sequences pass, not all do."""
    for name in MATRICES:
        matrix = getattr(transformer, name)
        if matrix is not None and not np.isfinite(matrix).all():
            return [Finding(Mistake.NOT_FINITE, wording.not_finite(name))]
    if task.only_sign:
        findings = unique_findings(task, transformer)
    else:
        findings = attention_findings(task, with_right_values(transformer)) + value_findings(transformer)
    return findings or failing_pattern(task, right)


def failing_pattern(task: SequenceTask, right: Sequence[BoolArray]) -> list[Finding]:
    """What the sequences that fail have in common and those that pass have not."""
    lengths = [index + 1 for index, passes in enumerate(right) if not passes.all()]
    if len(lengths) == 1:
        return [Finding(Mistake.AT_LENGTH, wording.at_length(lengths[0]))]
    for batch, passes in zip(task.all_sequences(), right, strict=True):
        repeats = np.array([len(set(tokens)) < len(tokens) for tokens in batch.tokens.tolist()])
        if not passes[~repeats].all():
            return []
    return [Finding(Mistake.ON_REPEATS, wording.on_repeats())]


def shortest_failure(task: SequenceTask, right: Sequence[BoolArray]) -> tuple[Batch, int]:
    """The batch and the index in it of the first sequence, in order of length, that fails."""
    for batch, passes in zip(task.all_sequences(), right, strict=True):
        if not passes.all():
            return batch, int(np.argmin(passes))
    raise ValueError("every sequence passes: there is nothing to explain")
