"""What is wrong with Vm, whatever the attention does: for the tasks that copy a token.

The value of a token at the place that should be attended to has to be the token itself.
"""

from __future__ import annotations

import numpy as np

from autograder.feedback.matrices.findings import Finding, Mistake
from autograder.feedback.wording import matrices as wording
from autograder.settings import RTOL, TASK_ATOL
from reference.transformer import FloatArray, NumpyTransformer

_TOKENS = np.eye(3)


def value_findings(transformer: NumpyTransformer) -> list[Finding]:
    """What makes the values differ from the tokens; empty if attention alone is to blame."""
    tokens = transformer.Vm[:3]
    first = tokens if transformer.pos is None else tokens + transformer.pos[0] @ transformer.Vm[3:]
    if _close(first, _TOKENS):
        return []
    findings = []
    if transformer.pos is not None and not _close(tokens, first):
        findings.append(Finding(Mistake.VM_POSITIONS, wording.vm_positions(transformer.pos_dim)))
    if not _close(tokens, _TOKENS):
        findings += _token_findings(tokens)
    return findings


def with_right_values(transformer: NumpyTransformer) -> NumpyTransformer:
    """The same attention with the values that the task asks for."""
    Vm = np.concatenate([_TOKENS, np.zeros((transformer.pos_dim, 3))])
    return NumpyTransformer(transformer.Km, transformer.Qm, Vm, transformer.pos)


def _token_findings(tokens: FloatArray) -> list[Finding]:
    """tokens: (3, 3), the rows of Vm for A, B, C."""
    diagonal = np.diag(tokens)
    if _close(tokens, np.diag(diagonal)) and diagonal.all():
        return [Finding(Mistake.VM_SCALED, wording.vm_scaled(diagonal))]
    largest = np.abs(tokens).argmax(axis=1)
    factors = tokens[np.arange(3), largest]
    if set(largest) == {0, 1, 2} and factors.all() and _close(tokens, factors[:, None] * _TOKENS[largest]):
        findings = [Finding(Mistake.VM_PERMUTED, wording.vm_permuted(largest))]
        if not _close(factors, np.ones(3)):
            findings.append(Finding(Mistake.VM_SCALED, wording.vm_scaled(factors)))
        return findings
    wrong = int(np.argmax([not _close(row, one) for row, one in zip(tokens, _TOKENS, strict=True)]))
    return [Finding(Mistake.VM_MIXES, wording.vm_mixes(wrong, tokens[wrong]))]


def _close(got: FloatArray, expected: FloatArray) -> bool:
    return bool(np.allclose(got, expected, rtol=RTOL, atol=TASK_ATOL))
