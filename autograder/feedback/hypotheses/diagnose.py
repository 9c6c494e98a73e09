"""Which known mistake explains a model's outputs: the simplest combination that reproduces them.

Nothing here changes a score; imported by the failing path only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from autograder.feedback.hypotheses.compute import BoolArray, Observation, evaluate, output_of
from autograder.feedback.hypotheses.departure import departure
from autograder.feedback.hypotheses.space import RIGHT, Fault, IntArray, combinations_of, faults_of
from autograder.feedback.wording.model import sentence, together
from autograder.sandbox.calls import FloatArray
from autograder.settings import MODEL_ATOL, RTOL

__all__ = ["Diagnosis", "Fault", "Observation", "diagnose"]

MAX_FAULTS = 3

FIT_RTOL = 1e-4
"""Of the largest number of the output: ten times tighter than the grade's, a hundred times float32's."""
FIT_ATOL = 2e-6

FIRST_ITEMS = 3, 10
"""Sequence lengths of the cases that rule out most combinations: the shortest tell nothing, the longest
cost most."""


@dataclass(frozen=True)
class Diagnosis:
    """Why the outputs differ. faults: empty if no known mistake explains them all.

    sentences: for the student, one per fault; without a fault, the first intermediate that departs.
    alternatives: other explanations, as simple, that these cases cannot tell from the first.
    """

    faults: tuple[Fault, ...]
    sentences: tuple[str, ...]
    alternatives: tuple[tuple[Fault, ...], ...] = ()


def diagnose(observations: Sequence[Observation], *, has_bias: bool = False) -> Diagnosis | None:
    """Name the simplest combination of faults that reproduces every output; None if all are right.

    Pass every case, those that are right too: they rule explanations out. has_bias: the model's
    layers are known to have biases, whose numbers nobody knows: said when nothing else fits.
    """
    with np.errstate(all="ignore"):  # outputs may hold anything, the largest numbers too
        return _diagnose(observations, has_bias)


def _diagnose(observations: Sequence[Observation], has_bias: bool) -> Diagnosis | None:
    cases = [case for case in observations if case.output is not None and case.output.dtype.kind in "fiu"]
    if not cases or all(_is_right(case) for case in cases):
        return None
    cases.sort(key=_tells_most)
    raised = [case for case in observations if case.output is None]
    # Where float32 overflows, what is left depends on how the softmax is written: such cases count
    # in the first round (a masked row gives NaN in float64 too), not in the second.
    finite = [case for case in cases if np.isfinite(output_of(case)).all()]
    rounds = [cases, finite] if 0 < len(finite) < len(cases) else [cases]
    if not any(np.isfinite(output_of(case)).any() for case in cases):
        rounds = []  # NaN everywhere looks the same whatever the mistake
    for used, count in product(rounds, range(1, MAX_FAULTS + 1)):
        fitting = _fitting(used, combinations_of(count))
        if len(fitting):
            return _named(_raising(raised, fitting))
    if has_bias:
        return Diagnosis((Fault.BIAS,), (sentence(Fault.BIAS),))
    return Diagnosis((), departure(cases))


def _fitting(cases: Sequence[Observation], combinations: IntArray) -> IntArray:
    for case in cases:
        if not len(combinations):
            break
        combinations = combinations[fits(case, combinations)]
    return combinations


def _raising(raised: Sequence[Observation], fitting: IntArray) -> IntArray:
    """Of several that fit, those that raise where the student's code did, if there are any."""
    for case in raised:
        if len(fitting) == 1:
            break
        runs = np.zeros(len(fitting), dtype=bool)
        for rows, _ in evaluate(case, fitting):
            runs[rows] = True
        if not runs.all():
            fitting = fitting[~runs]
    return fitting


def _named(fitting: IntArray) -> Diagnosis:
    explanations = (faults_of(tuple(int(option) for option in row)) for row in fitting)
    faults, *others = dict.fromkeys(explanations)
    return Diagnosis(faults, tuple(map(sentence, faults)) + together(faults), tuple(others))


def fits(case: Observation, combinations: IntArray) -> BoolArray:
    """Which combinations (c, choices) reproduce the output of this case."""
    result = np.zeros(len(combinations), dtype=bool)
    output = output_of(case)
    for rows, predicted in evaluate(case, combinations, output.shape):
        result[rows] = _close(predicted, output, FIT_RTOL, FIT_ATOL)
    return result


def _close(predicted: FloatArray, output: FloatArray, rtol: float, atol: float) -> BoolArray:
    """Per prediction (c, ...): equal to output, NaN and infinities included.

    The tolerance is relative to the largest number: where large terms cancel, float32 keeps no more.
    """
    flat = predicted.reshape(len(predicted), -1)
    size = np.where(np.isfinite(flat), np.abs(flat), 0.0).max(axis=1, initial=0.0)
    near = np.abs(flat - output.reshape(-1)) <= (atol + rtol * size)[:, None]
    same = near | (flat == output.reshape(-1)) | (np.isnan(flat) & np.isnan(output.reshape(-1)))
    whole: BoolArray = np.all(same, axis=1)
    return whole


def _is_right(case: Observation) -> bool:
    """By the grade's own tolerance."""
    output = output_of(case)
    for _, expected in evaluate(case, np.array([RIGHT]), output.shape):
        # As the grade has it: relative to the student's number.
        return bool(np.allclose(expected[0], output, rtol=RTOL, atol=MODEL_ATOL))
    return False


def _tells_most(case: Observation) -> tuple[bool, bool, int]:
    """Sort key: with positions and of middling length first, those that cost most last."""
    shortest, longest = FIRST_ITEMS
    n = len(case.seq)
    return (not shortest <= n <= longest, case.weights.pos is None, n)
