from __future__ import annotations

import random

import numpy as np
import pytest

from reference.tasks import COPY_FIRST, IDENTITY, TASKS, UNIQUE, drawn_sequences

from .notebook import needs_assignment, notebook

NOTEBOOK = {"rtol": 1e-3, "atol": 1e-8}
"""The tolerances of the notebook's own test."""
GENERATORS = {
    IDENTITY: "generate_test_cases_identity",
    COPY_FIRST: "generate_test_cases_first",
    UNIQUE: "generate_test_cases_unique",
}


def expected_for(task, spelt: str):
    return task.batch([["ABC".index(token) for token in spelt]]).expected[0]


@pytest.mark.parametrize(("task", "count"), [(IDENTITY, 1092), (COPY_FIRST, 120), (UNIQUE, 120)])
def test_every_sequence_is_there_once(task, count):
    spelt = [batch.spell(i) for batch in task.all_sequences() for i in range(len(batch.tokens))]
    assert len(spelt) == len(set(spelt)) == count


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_batch_has_its_shapes(task):
    for length, batch in enumerate(task.all_sequences(), start=1):
        assert batch.tokens.shape == (3**length, length)
        assert batch.inputs.shape == (3**length, length + task.has_cls, task.input_dim)
        assert batch.expected.shape == (3**length, length, task.v_dim)


def test_identity_expects_the_tokens_themselves():
    assert expected_for(IDENTITY, "CA").tolist() == [[0, 0, 1], [1, 0, 0]]


def test_copying_expects_the_first_token_everywhere():
    assert expected_for(COPY_FIRST, "CAB").tolist() == [[0, 0, 1]] * 3


def test_unique_expects_a_sign_per_token():
    assert expected_for(UNIQUE, "ABCC").ravel().tolist() == [1, 1, -1, -1]
    assert expected_for(UNIQUE, "B").ravel().tolist() == [1]
    assert expected_for(UNIQUE, "BBC").ravel().tolist() == [-1, -1, 1]


def test_cls_stands_in_front_of_the_unique_sequences():
    assert UNIQUE.batch([[0, 2]]).inputs[0].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]


def test_a_sequence_is_spelt_in_letters():
    assert IDENTITY.batch([[0, 1, 2, 2]]).spell(0) == "A B C C"


def test_the_sequences_are_made_once_and_cannot_be_changed():
    batch = IDENTITY.all_sequences()[2]
    assert batch is IDENTITY.all_sequences()[2]
    for array in (batch.tokens, batch.inputs, batch.expected):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("error", [0, 0.9e-8, 1.1e-8, 0.9e-3, 1.1e-3, -1.1e-3, np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_a_sequence_passes_as_in_allclose(error, column):
    batch = IDENTITY.batch([[0, 1], [2, 2]])
    output = batch.expected.copy()
    output[0, 0, column] += error
    judged = IDENTITY.judge(output, batch.expected, **NOTEBOOK)
    assert judged.tolist() == [np.allclose(output[0], batch.expected[0], rtol=1e-3), True]


def test_the_tolerance_is_relative_to_what_is_expected_not_to_what_came():
    # 1e-3 of 1.0010005 would just be enough, 1e-3 of 1 is not.
    assert not COPY_FIRST.judge([[[1.0010005]]], [[[1.0]]], **NOTEBOOK).any()


def test_only_the_sign_counts_for_unique_tokens():
    expected = UNIQUE.batch([[0, 1, 1]]).expected
    assert UNIQUE.judge([[[-7], [1e-9], [-3], [-1e9]]], expected, **NOTEBOOK).all()


def test_what_stands_at_cls_is_ignored():
    assert UNIQUE.judge([[[np.nan], [5]]], [[[1]]], **NOTEBOOK).all()


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan])
def test_zero_nan_and_the_other_sign_are_wrong(wrong):
    assert not UNIQUE.judge([[[1], [wrong]]], [[[1]]], **NOTEBOOK).any()


def test_every_column_of_the_output_must_have_the_sign():
    expected = [[[1], [1]], [[1], [1]]]
    output = np.ones((2, 3, 2))
    output[1, 2, 1] = -1
    assert UNIQUE.judge(output, expected, **NOTEBOOK).tolist() == [True, False]


@needs_assignment
@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_drawn_sequence_is_the_notebook_s(task):
    tokens = list(np.eye(task.input_dim, dtype=int)[:3])
    for seed in (*range(60), 1997, 2017):
        notebook_seeds(seed)
        inputs, expected = notebook()[GENERATORS[task]](tokens)
        drawn = next(drawn_sequences(task, seed))
        np.testing.assert_array_equal(drawn.inputs, inputs[None])
        np.testing.assert_array_equal(drawn.expected, expected[None])


def notebook_seeds(seed: int) -> None:
    """As set_random_seed of the notebook, but for torch, which draws no sequence."""
    random.seed(seed)
    np.random.seed(seed)


def test_drawing_leaves_the_global_generators_alone():
    notebook_seeds(5)
    undisturbed = (random.random(), np.random.rand())
    notebook_seeds(5)
    next(drawn_sequences(IDENTITY, 1997))
    assert (random.random(), np.random.rand()) == undisturbed
