"""The graded cases tell every two hypotheses apart, but for those that are the same computation."""

from __future__ import annotations

import numpy as np

from autograder.feedback.hypotheses.compute import BoolArray, FloatArray, IntArray, evaluate
from autograder.feedback.hypotheses.diagnose import FIT_ATOL, FIT_RTOL
from autograder.feedback.hypotheses.space import CHOICES, RIGHT, SPACE, combinations_of
from tests.feedback.cases import graded_cases
from tests.feedback.identities import canonical


def close(others: FloatArray, one: FloatArray) -> BoolArray:
    """By the diagnosis's own tolerance; others: (m, size), one: (size,)."""
    size = np.where(np.isfinite(others), np.abs(others), 0.0).max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(others - one) <= (FIT_ATOL + FIT_RTOL * size)[:, None]
    return (near | (others == one) | (np.isnan(others) & np.isnan(one))).all(axis=1)


def indistinguishable(combinations: IntArray) -> BoolArray:
    """(c, c): on every case, both raise or both give the same numbers."""
    count = len(combinations)
    same = np.ones((count, count), dtype=bool)
    for case in graded_cases():
        here = np.zeros((count, count), dtype=bool)
        runs = np.zeros(count, dtype=bool)
        by_shape: dict[tuple[int, ...], list[tuple[int, FloatArray]]] = {}
        for rows, outputs in evaluate(case, combinations):
            runs[rows] = True
            by_shape.setdefault(outputs.shape[1:], []).extend(zip(rows, outputs, strict=True))
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
    return " + ".join(f"{choice.name}: {SPACE[choice][i].key}" for choice, i in pairs if i) or "right"


def test_two_hypotheses_that_no_case_tells_apart_are_the_same_computation():
    every = np.concatenate([np.array([RIGHT]), combinations_of(1), combinations_of(2)])
    combinations = [tuple(int(option) for option in row) for row in every]
    forms = [canonical(combination) for combination in combinations]
    unexplained = [
        f"{name(combinations[i])} == {name(combinations[j])}"
        for i, j in np.argwhere(np.triu(indistinguishable(every), k=1))
        if forms[i] != forms[j]
    ]
    assert unexplained == []


def test_no_two_single_faults_are_the_same():
    every = np.concatenate([np.array([RIGHT]), combinations_of(1)])
    assert np.array_equal(indistinguishable(every), np.eye(len(every), dtype=bool))
