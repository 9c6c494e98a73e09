"""The graded cases tell every two mistakes apart, but for those that are the same computation."""

from __future__ import annotations

import numpy as np

from autograder.feedback.diagnose import (
    CHOICES,
    FIT_ATOL,
    FIT_RTOL,
    RIGHT,
    VARIANTS,
    Combination,
    combinations_of,
    outputs,
)
from reference.transformer import BoolArray, FloatArray
from tests.feedback.planted import graded_cases

SQUARE = {
    "transposed KQV": "KV",
    "transposed KQ": "K",
    "transposed K": "K",
    "transposed Q": "K",
    "transposed V": "V",
}


def canonical(combination: tuple[int, ...]) -> tuple[str, ...]:
    """The variants by name, roles and values as what is multiplied by what.

    Brings combinations that are the same computation to one form, each by the algebra that says so.
    """
    positions, weights, roles, scale, softmax, mask, values, residual, output = (
        VARIANTS[choice][index][0] for choice, index in zip(CHOICES, combination, strict=True)
    )
    # The values choice stands over the roles': K, V exchanged with other values is V in the scores.
    left, right, value = "QKV" if roles == "right" else roles
    value = value if values == "right" else values

    # A fault that runs only where dimensions agree makes their names interchangeable.
    equal = {"qk_dim": "qk_dim", "v_dim": "v_dim", "total_dim": "total_dim", "input_dim": "input_dim"}
    if "K" in SQUARE.get(weights, ""):  # a weight (qk_dim, total_dim) multiplied from the right
        equal["total_dim"] = "qk_dim"
    if "V" in SQUARE.get(weights, ""):
        equal["v_dim"] = equal["total_dim"]
    if {left, right} in ({"Q", "V"}, {"K", "V"}) or residual == "Q":
        equal["v_dim"] = "qk_dim"
    if residual == "seq" and equal["v_dim"] == "v_dim":
        equal["v_dim"] = "input_dim"
    if residual == "x" and equal["v_dim"] == "v_dim":
        equal["v_dim"] = equal["total_dim"]
    name = scale.removeprefix("sqrt ")
    if name in equal:
        root = scale.startswith("sqrt ")
        scale = ("sqrt " if root else "") + equal[name]
        scale = "right" if scale == "sqrt qk_dim" else scale

    # A matrix that is not used may be transposed; what is left is that some square one is.
    if weights in ("transposed KQ", "transposed K", "transposed Q"):
        turned = [letter for letter in weights.removeprefix("transposed ") if letter in (left, right)]
        weights = "transposed " + ("".join(turned) or "nothing used")

    # Without a softmax before the values, everything is linear in the scale and in the mask.
    if softmax in ("none", "of output"):
        scale = {"after": "right", "both": "qk_dim"}.get(scale, scale)
        mask = "causal, after" if mask == "causal, zeros" else mask
    # Scores over their sum, or the largest alone: a factor before cancels.
    if softmax in ("linear", "argmax"):
        scale = "after" if scale in ("after", "both") else "right"
    # exp(-inf) and sigmoid(-inf) are 0, without a sum that would notice.
    if softmax in ("exp", "sigmoid") and mask == "causal":
        mask = "causal, after"
    # Symmetric scores have the same sums along rows and columns.
    if left == right and softmax == "misaligned":
        softmax = "queries"
    # An infinite score that is negated, or not turned into 0, spoils every row.
    if mask == "not itself" and softmax in ("linear", "of output", "negated"):
        softmax = "all NaN"
    # The rows beyond seq_len are what a causal mask hides.
    if positions == "padded, cropped" and mask == "causal" and softmax == "right":
        positions = "right"
    if positions == "padded" and output == "first":
        positions = "padded, cropped"
    # The last row sees all tokens under a causal mask, the first under the reverse one.
    if (output == "last" and mask.startswith("causal")) or (output == "first" and mask == "only later"):
        mask = "right"
    # Input and values of the same width: only without positions, where x is seq.
    if {value, residual} == {"x", "seq"}:
        value = residual = "seq"
    # Rows beyond seq_len are there in short cases alone, where no part of the input has the width of V:
    # what is added runs only without positions, where x is seq. Both are named the same.
    if (positions, residual) == ("beyond", "x"):
        residual = "seq"
    return (positions, weights, left + right, value, scale, softmax, mask, residual, output)


def close(others: FloatArray, one: FloatArray) -> BoolArray:
    """By the diagnosis's own tolerance; others: (m, size), one: (size,)."""
    size = np.where(np.isfinite(others), np.abs(others), 0.0).max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(others - one) <= (FIT_ATOL + FIT_RTOL * size)[:, None]
    return (near | (others == one) | (np.isnan(others) & np.isnan(one))).all(axis=1)


def indistinguishable(combinations: list[Combination]) -> BoolArray:
    """(c, c): on every case, both raise or both give the same numbers."""
    count = len(combinations)
    same = np.ones((count, count), dtype=bool)
    for case in graded_cases():
        here = np.zeros((count, count), dtype=bool)
        runs = np.zeros(count, dtype=bool)
        by_shape: dict[tuple[int, ...], list[tuple[int, FloatArray]]] = {}
        for row, output in enumerate(outputs(case.call, combinations)):
            if output is not None:
                runs[row] = True
                by_shape.setdefault(output.shape, []).append((row, output))
        here[np.ix_(~runs, ~runs)] = True
        for members in by_shape.values():
            index = np.array([row for row, _ in members])
            flat = np.stack([output.reshape(-1) for _, output in members])
            for row, output in zip(index, flat, strict=True):
                still = same[row, index]
                here[row, index[still]] = close(flat[still], output)
        same &= here
    return same


def name(combination: tuple[int, ...]) -> str:
    pairs = zip(CHOICES, combination, strict=True)
    return " + ".join(f"{choice.name}: {VARIANTS[choice][i][0]}" for choice, i in pairs if i) or "right"


def test_two_mistakes_that_no_case_tells_apart_are_the_same_computation():
    every = [RIGHT, *combinations_of(1), *combinations_of(2)]
    forms = [canonical(combination) for combination in every]
    unexplained = [
        f"{name(every[i])} == {name(every[j])}"
        for i, j in np.argwhere(np.triu(indistinguishable(every), k=1))
        if forms[i] != forms[j]
    ]
    assert unexplained == []


def test_no_two_single_mistakes_are_the_same():
    every = [RIGHT, *combinations_of(1)]
    assert np.array_equal(indistinguishable(every), np.eye(len(every), dtype=bool))
