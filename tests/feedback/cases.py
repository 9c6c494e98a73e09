"""The cases of checks 2.2, 2.3 and 2.4, as the observations of a student's model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from autograder import settings
from autograder.assignment import TEST_SEED
from autograder.feedback.hypotheses.diagnose import Observation
from autograder.sandbox.calls import FloatArray, Sizes, Weights
from reference.cases import (
    COINCIDING_SIZES,
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    OTHER_SIZES,
    equivalence_cases,
    random_cases,
)


@cache
def graded_cases() -> tuple[Observation, ...]:
    """With the reference's outputs."""
    drawn = (
        *equivalence_cases(TEST_SEED),
        *random_cases(EXTRA_WITHOUT_POSITIONS, settings.EXTRA_CASES_SEED),
        *random_cases(EXTRA_WITH_POSITIONS, settings.EXTRA_CASES_SEED),
        *random_cases((*OTHER_SIZES, *COINCIDING_SIZES), settings.OTHER_SIZES_SEED),
    )
    return tuple(
        Observation(
            Sizes(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len),
            Weights(*(None if matrix is None else matrix.copy() for matrix in (t.Km, t.Qm, t.Vm, t.pos))),
            case.seq,
            t.forward(case.seq).output,
        )
        for case in drawn
        for s, t in ((case.sizes, case.transformer),)
    )


def observed(model: Callable[[Observation], FloatArray]) -> list[Observation]:
    """What the model gives on every case; output None where it raises."""
    return [replace(case, output=_output(model, case)) for case in graded_cases()]


def _output(model: Callable[[Observation], FloatArray], case: Observation) -> FloatArray | None:
    try:
        return np.array(model(case))
    except (RuntimeError, IndexError, ValueError):
        return None
