"""When no known mistake fits: the first intermediate of the student's model that can be compared.

Where a sequence is shorter than v_dim, the values determine the attention weights from the output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograder.feedback.hypotheses.compute import Observation, output_of
from autograder.feedback.wording import departure as wording
from autograder.sandbox.calls import FloatArray

_NEAR = 1e-3
"""Above what float32 leaves after the least squares, below any fault worth naming."""
_WORST_CONDITION = 100.0


def departure(cases: Sequence[Observation]) -> tuple[str, ...]:
    """Two sentences: that no known mistake fits, and what departs first."""
    return wording.UNKNOWN, _first_departure(cases)


def _first_departure(cases: Sequence[Observation]) -> str:
    for case in cases:
        got, expected = output_of(case).shape, (len(case.seq), case.sizes.v_dim)
        if got != expected:
            return wording.wrong_shape(got, expected, len(case.seq))
    for case in cases:
        if not np.isfinite(output_of(case)).all():
            return wording.not_finite(len(case.seq))
    for case in cases:
        found = _compare(case)
        if found is not None:
            return found
    return wording.nothing_to_compare()


def _compare(case: Observation) -> str | None:
    """None if this case's attention weights cannot be worked out, or are right."""
    weights, n = case.weights, len(case.seq)
    x = case.seq if weights.pos is None else np.concatenate([case.seq, weights.pos[:n]], axis=1)
    values = x @ weights.Vm  # (n, v_dim)
    if n < 2 or n >= case.sizes.v_dim or np.linalg.cond(values) > _WORST_CONDITION:
        return None
    output = output_of(case)
    attention = output @ np.linalg.pinv(values)  # (n, n)
    size = max(1.0, float(np.abs(output).max()))
    if np.abs(attention @ values - output).max() > _NEAR * size:
        return wording.values_differ(n)
    sums = attention.sum(axis=1)
    if np.abs(sums - 1).max() > _NEAR:
        return wording.weights_do_not_sum(n, float(sums[0]))
    scores = (x @ weights.Qm) @ (x @ weights.Km).T / case.sizes.qk_dim**0.5
    factor = _factor(attention, scores)
    if factor is None:
        return wording.scores_differ(n)
    return None if abs(factor - 1) < _NEAR else wording.scores_scaled(factor)


def _factor(attention: FloatArray, scores: FloatArray) -> float | None:
    """The c for which attention is softmax(c * scores), if there is one."""
    if (attention < _NEAR).any():
        return None
    got = np.log(attention)
    got -= got.mean(axis=1, keepdims=True)
    expected = scores - scores.mean(axis=1, keepdims=True)
    if not expected.any():
        return None
    factor = float((got * expected).sum() / (expected**2).sum())
    return factor if np.abs(got - factor * expected).max() < 10 * _NEAR else None
