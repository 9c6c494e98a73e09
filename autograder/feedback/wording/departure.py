"""Sentences for outputs that no known mistake explains: the first intermediate that departs."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "No known mistake explains all of your outputs."


def wrong_shape(got: tuple[int, ...], expected: tuple[int, ...], seq_len: int) -> str:
    """The output's shape is wrong in a way that no fault explains."""
    return (
        f"For a sequence of length {seq_len} your output has the shape {got}; expected {expected}, "
        "that is (seq_len, v_dim). Print the shapes of Q, K, V, the scores and the attention weights "
        "in forward, and find the first that is not (seq_len, qk_dim), (seq_len, v_dim) or (seq_len, "
        "seq_len)."
    )


def not_finite(seq_len: int) -> str:
    """The output holds NaN or infinity."""
    return (
        f"For a sequence of length {seq_len} your output holds NaN or infinity. In forward, look for a"
        " division by zero, a logarithm of zero, or a row of scores that is masked entirely."
    )


def values_differ(seq_len: int) -> str:
    """Rows of the output are not weighted sums of the values."""
    return (
        f"For a sequence of length {seq_len} your output's rows are not weighted sums of the values. "
        "So look at the values first: V = self.Vm(x), where x is seq with the positions appended; "
        "then at what you do after multiplying by V."
    )


def weights_do_not_sum(seq_len: int, total: float) -> str:
    """The values are right; a row of attention weights does not sum to 1."""
    return (
        f"For a sequence of length {seq_len} your output's rows are weighted sums of the values, so "
        f"the values are right; but the weights of the first row sum to {total:.4g}, expected 1. Look "
        "at the softmax in forward: dim=-1."
    )


def scores_scaled(factor: float) -> str:
    """Values and softmax are right; the scores are the expected ones times factor."""
    return (
        f"Your values and your softmax are right; your scores are {factor:.4g} times the expected "
        "ones. In forward, look at what you divide Q @ K.T by: the square root of qk_dim is expected."
    )


def scores_differ(seq_len: int) -> str:
    """Values are right and the weights sum to 1: the scores depart first."""
    return (
        f"For a sequence of length {seq_len} your output's rows are weighted averages of the values, "
        "so the values are right; the attention weights differ. Look at the queries, the keys and the"
        " scores in forward: Q @ K.T / sqrt(qk_dim)."
    )


def nothing_to_compare() -> str:
    """Only cases from which no intermediate can be worked out."""
    return (
        "Compare your forward with the NumpyTransformer line by line on one short sequence: print the"
        " queries, keys, values, scores and attention weights, and find the first that differs."
    )
