"""When no known mistake fits: the first intermediate of the student's model that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from autograder.feedback.mistakes import softmax
from autograder.sandbox.calls import FloatArray

if TYPE_CHECKING:
    from autograder.feedback.diagnose import Observation

_NEAR = 1e-3
"""Above what float32 leaves after the least squares, below any mistake worth naming."""
_WORST_CONDITION = 100.0


def first_divergence(cases: Sequence[Observation]) -> str:
    """What departs first, in the first of the cases that tells it, and where to look."""
    for case in cases:
        got, expected, length = case.numbers.shape, (len(case.seq), case.sizes.v_dim), len(case.seq)
        if got != expected:
            return (
                f"For a sequence of length {length} your output has the shape {got}; expected {expected}, "
                "that is (seq_len, v_dim). Print the shapes of Q, K, V, the scores and the attention weights "
                "in forward, and find the first that is not (seq_len, qk_dim), (seq_len, v_dim) or (seq_len, "
                "seq_len)."
            )
    for case in cases:
        if not np.isfinite(case.numbers).all():
            return (
                f"For a sequence of length {len(case.seq)} your output holds NaN or infinity. Look for a "
                "division by zero, a logarithm of zero, or a row of scores that is masked entirely."
            )
    return next(
        filter(None, map(_compare, cases)),
        "Compare your forward with the NumpyTransformer line by line on one short sequence: print the"
        " queries, keys, values, scores and attention weights, and find the first that differs.",
    )


def _compare(case: Observation) -> str | None:
    """None if this case's attention weights cannot be worked out, or are right.

    Where a sequence is shorter than v_dim, the values determine the attention weights from the output.
    """
    weights, n = case.weights, len(case.seq)
    x = case.seq if weights.pos is None else np.concatenate([case.seq, weights.pos[:n]], axis=1)
    values = x @ weights.Vm  # (n, v_dim)
    if n < 2 or n >= case.sizes.v_dim or np.linalg.cond(values) > _WORST_CONDITION:
        return None
    output = case.numbers
    attention = output @ np.linalg.pinv(values)  # (n, n)
    if np.abs(attention @ values - output).max() > _NEAR * max(1.0, float(np.abs(output).max())):
        return (
            f"For a sequence of length {n} your output's rows are not weighted sums of the values. "
            "So look at the values first: V = self.Vm(x), where x is seq with the positions appended; "
            "then at what you do after multiplying by V."
        )
    scores = (x @ weights.Qm) @ (x @ weights.Km).T / case.sizes.qk_dim**0.5
    kept = _kept(attention, softmax(scores)) or _kept(output, softmax(scores) @ values)
    if kept:
        return (
            f"Some numbers are 0 and all others {kept:.4g} times the expected ones: that is dropout. "
            "Remove it from forward: the NumpyTransformer has none."
        )
    sums = attention.sum(axis=1)
    if np.abs(sums - 1).max() > _NEAR:
        return (
            f"For a sequence of length {n} your output's rows are weighted sums of the values, so "
            f"the values are right; but the weights of the first row sum to {sums[0]:.4g}, expected 1. Look "
            "at the softmax in forward: dim=-1."
        )
    factor = _factor(attention, scores)
    if factor is None:
        return (
            f"For a sequence of length {n} your output's rows are weighted averages of the values, "
            "so the values are right; the attention weights differ. Look at the queries, the keys and the"
            " scores in forward: Q @ K.T / sqrt(qk_dim)."
        )
    if abs(factor - 1) < _NEAR:
        return None
    return (
        f"Your values and your softmax are right; your scores are {factor:.4g} times the expected "
        "ones. In forward, look at what you divide Q @ K.T by: the square root of qk_dim is expected."
    )


def _kept(got: FloatArray, expected: FloatArray) -> float:
    """The factor above 1 of all numbers that are not 0, as dropout leaves them; 0.0 if that is not so."""
    ratio = got / expected
    zero = np.abs(ratio) < _NEAR
    left = ratio[~zero]
    if not zero.any() or not left.size or np.ptp(left) > 10 * _NEAR:
        return 0.0
    return float(left.mean()) if left.mean() > 1 + _NEAR else 0.0


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
