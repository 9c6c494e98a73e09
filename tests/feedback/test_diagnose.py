"""Every single mistake is named, and nearly every pair; a right model gets no diagnosis."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable

import numpy as np
import pytest

from autograder.feedback.diagnose import (
    CHOICES,
    RIGHT,
    VARIANTS,
    Diagnosis,
    combinations_of,
    diagnose,
    mistakes_of,
)
from autograder.feedback.messages import Run
from autograder.feedback.mistakes import BIAS, MISTAKES, Mistake
from autograder.sandbox.calls import Gradients
from reference.transformer import NumpyTransformer
from tests.feedback.planted import giving, graded_cases, outputs_of

Combination = tuple[int, ...]


def rows(combinations: Iterable[np.ndarray]) -> list[Combination]:
    return [tuple(int(option) for option in combination) for combination in combinations]


def label(combination: Combination) -> str:
    return " + ".join(
        f"{choice.name.lower()}: {VARIANTS[choice][index][0]}"
        for choice, index in zip(CHOICES, combination, strict=True)
        if index
    )


def same_outputs(some: tuple[Run, ...], others: tuple[Run, ...]) -> bool:
    """Where both ran: an output that is not there tells nothing."""
    return all(
        not a.ran
        or not b.ran
        or (a.output.shape == b.output.shape and np.allclose(a.output, b.output, 1e-4, 1e-6, equal_nan=True))
        for a, b in zip(some, others, strict=True)
    )


def one_variant_per_mistake(pairs: Iterable[Combination]) -> list[Combination]:
    """The most common variant of each pair of mistakes."""
    first: dict[tuple[Mistake, ...], Combination] = {}
    for pair in pairs:
        first.setdefault(mistakes_of(pair), pair)
    return list(first.values())


def the_mistake(key: str) -> Mistake:
    """The one with a variant of this key."""
    return next(row for rows in MISTAKES.values() for row in rows if key in row.variants)


def test_a_right_model_gets_no_diagnosis():
    assert diagnose(outputs_of(RIGHT)) == Diagnosis()


def test_no_outputs_give_no_diagnosis():
    assert diagnose([giving(case, None) for case in graded_cases()]) == Diagnosis()


@pytest.mark.parametrize("combination", rows(combinations_of(1)), ids=label)
def test_every_single_mistake_is_named_alone(combination):
    found = diagnose(outputs_of(combination))
    (mistake,) = mistakes_of(combination)
    assert found.mistakes == (mistake,)
    assert found.remark == ""


@pytest.mark.slow
def test_pairs_of_mistakes_are_named():
    singles = {mistakes_of(single)[0]: single for single in reversed(rows(combinations_of(1)))}
    pairs = [
        pair
        for pair in one_variant_per_mistake(rows(combinations_of(2)))
        if not any(
            same_outputs(outputs_of(pair), outputs_of(singles[mistake])) for mistake in mistakes_of(pair)
        )
    ]
    missed = {}
    for pair in pairs:
        found = diagnose(outputs_of(pair))
        if found.mistakes != mistakes_of(pair):
            missed[label(pair)] = [mistake.what for mistake in found.mistakes]
    named = 1 - len(missed) / len(pairs)
    lines = "\n".join(f"  {pair}: {named}" for pair, named in missed.items())
    logging.getLogger(__name__).warning(
        "named: %.1f %% of %d pairs; not:\n%s", 100 * named, len(pairs), lines
    )
    assert named >= 0.98


def test_a_mistake_that_shows_only_with_positions_is_told_from_one_that_shows_everywhere():
    wrong = (1, 0, 0, 0, 0, 0, 0, 0, 0)
    only = [case for case in outputs_of(wrong) if case.call.weights.pos is not None]
    assert diagnose(only).mistakes == diagnose(outputs_of(wrong)).mistakes == (the_mistake("prepended"),)


def test_two_mistakes_that_amount_to_a_transpose_are_explained_so():
    pair = (0, 0, 1, 0, 1, 0, 0, 0, 0)
    found = diagnose(outputs_of(pair))
    assert found.mistakes == (the_mistake("KQV"), the_mistake("queries"))
    assert "transposed" in found.remark


def attention_with(case: Run, factor: float) -> np.ndarray:
    x, w = case.call.seq, case.call.weights
    if w.pos is not None:
        x = np.concatenate([x, w.pos[: len(x)]], axis=1)
    powers = np.exp(factor * (x @ w.Qm) @ (x @ w.Km).T / math.sqrt(case.call.sizes.qk_dim))
    return powers / powers.sum(axis=1, keepdims=True), x @ w.Vm


def unknown(model) -> Diagnosis:
    return diagnose([giving(case, model(case)) for case in graded_cases()])


def test_an_unknown_scale_is_given_as_a_factor():
    def model(case):
        attention, values = attention_with(case, 0.7)
        return attention @ values

    found = unknown(model)
    assert found.mistakes == ()
    assert "0.7 times the expected" in found.remark


def test_unknown_attention_weights_are_told_from_wrong_values():
    def model(case):
        attention, values = attention_with(case, 1.0)
        return np.sqrt(attention) / np.sqrt(attention).sum(axis=1, keepdims=True) ** 2 @ values

    assert "sum to" in unknown(model).remark


def test_wrong_scores_are_told_from_wrong_values():
    def model(case):
        attention, values = attention_with(case, 1.0)
        return (attention + attention**2) / (attention + attention**2).sum(axis=1, keepdims=True) @ values

    assert "Look at the queries, the keys and the scores" in unknown(model).remark


def test_values_that_are_wrong_are_the_first_to_depart():
    def model(case):
        attention, values = attention_with(case, 1.0)
        return np.tanh(attention @ values)

    assert "not weighted sums of the values" in unknown(model).remark


def test_dropout_is_named():
    def model(case):
        attention, values = attention_with(case, 1.0)
        kept = np.random.RandomState(len(case.call.seq)).rand(*attention.shape) > 0.5
        return 2 * kept * attention @ values

    assert "dropout" in unknown(model).remark


def test_a_shape_that_nothing_explains_is_told_with_the_one_expected():
    found = unknown(lambda case: np.zeros((2, 3, 5)))
    assert "(2, 3, 5); expected (" in found.remark


def test_nan_that_nothing_explains_is_told():
    assert "NaN" in unknown(lambda case: np.full((len(case.call.seq), case.call.sizes.v_dim), np.nan)).remark


HOSTILE = [
    np.full((4, 4), 1e308) * np.array([1, -1, 1, -1]),
    np.array([[np.inf, -np.inf], [np.nan, 0.0]]),
    np.zeros((0, 4)),
    np.array(1.5),
    np.zeros((2,) * 12),
    np.ones((3, 2), dtype=np.float16),
    np.zeros(100_000, dtype=np.float32),
]


@pytest.mark.parametrize("output", HOSTILE, ids=lambda output: str(output.shape))
def test_any_output_gets_some_words(output):
    assert unknown(lambda case: output).remark


@pytest.mark.parametrize("size", [1e30, 1e300, 1e-300])
def test_numbers_of_any_size_get_some_words(size):
    assert unknown(lambda case: size * (-1.0) ** np.arange(len(case.call.seq) * case.call.sizes.v_dim)).remark
    assert unknown(lambda case: np.full((len(case.call.seq), case.call.sizes.v_dim), size)).remark


def test_biases_are_named_when_the_layers_have_them_and_nothing_else_fits():
    cases = [giving(case, case.output + 0.25 * np.sin(case.call.seq[:, :1] + 1)) for case in graded_cases()]
    assert diagnose(cases, has_bias=True).mistakes == (BIAS,)


def test_a_mistake_is_named_before_the_biases():
    single = rows(combinations_of(1))[0]
    assert diagnose(outputs_of(single), has_bias=True).mistakes == mistakes_of(single)


def test_the_same_outputs_give_the_same_diagnosis_in_any_order():
    seen = outputs_of((1, 0, 0, 1, 0, 0, 0, 0, 0))
    assert diagnose(seen) == diagnose(seen[::-1])


def test_every_mistake_says_where_to_mend_it_in_a_line():
    for mistake in (BIAS, *(row for rows in MISTAKES.values() for row in rows[1:])):
        assert mistake.do.startswith(("In forward, ", "At the end of forward, ", "In __init__, "))
        assert len(mistake.what) < 90
        assert len(mistake.do) < 110


def test_every_mistake_has_a_name_of_its_own():
    names = [row.what for rows in MISTAKES.values() for row in rows[1:]]
    assert len(set(names)) == len(names)


def test_a_diagnosis_takes_well_below_its_budget():
    """Its share of CPU time is logged, not asserted: machines differ."""
    noise = np.random.RandomState(0)
    cases = [giving(case, case.output + noise.randn(*case.output.shape)) for case in graded_cases()]
    start = time.process_time()
    found = diagnose(cases)
    spent = 1000 * (time.process_time() - start)
    logging.getLogger(__name__).warning("a diagnosis that finds nothing: %.0f ms", spent)
    assert found.mistakes == ()


def test_each_mistake_shows_where_it_changes_something():
    prepended_and_unscaled = outputs_of((1, 0, 0, 1, 0, 0, 0, 0, 0))
    found = diagnose(prepended_and_unscaled)
    without = [case for case in prepended_and_unscaled if case.call.weights.pos is None]
    assert [mistake.what for mistake in found.showing(without)] == ["The scores are not scaled"]
    assert len(found.showing(prepended_and_unscaled)) == 2
    assert found.explains(prepended_and_unscaled)
    assert not found.explains([giving(case, None) for case in without])


def test_gradients_follow_from_a_mistake_only_if_they_are_the_ones_it_has():
    case = next(case for case in outputs_of((0, 0, 0, 1, 0, 0, 0, 0, 0)) if case.call.weights.pos is None)
    unscaled = diagnose(outputs_of((0, 0, 0, 1, 0, 0, 0, 0, 0)))
    call = Gradients(
        case.call.sizes,
        case.call.weights,
        case.call.seq,
        np.ones((len(case.call.seq), case.call.sizes.v_dim)),
    )
    grown = math.sqrt(case.call.sizes.qk_dim)  # an unscaled model is a right one with a larger Km
    of_right = NumpyTransformer(grown * case.call.weights.Km, case.call.weights.Qm, case.call.weights.Vm)
    right = of_right.gradients(case.call.seq, call.upstream)
    assert unscaled.gives_gradients(call, {"Km": right["Km"] * grown, "Vm": right["Vm"]})
    assert not unscaled.gives_gradients(call, {"Km": right["Km"] * grown, "Vm": 0 * right["Vm"]})
