"""How two arrays differ, in one line."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.feedback.messages import agree, difference, shape_text

RIGHT = np.array([[1.0, 2.0], [3.0, 4.0]])
TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}


def test_numbers_within_the_tolerance_agree() -> None:
    assert agree(RIGHT * 1.0009, RIGHT)


def test_numbers_beyond_the_tolerance_do_not() -> None:
    assert not agree(RIGHT * 1.0012, RIGHT)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_agrees(value: float) -> None:
    got = RIGHT.copy()
    got[0, 1] = value
    assert not agree(got, RIGHT)
    assert not agree(got, got)


def test_nothing_is_broadcast() -> None:
    assert not agree(np.array(1.0), np.ones((2, 2)))
    assert not agree(np.ones((1, 2, 2)), np.ones((2, 2)))


def test_the_tolerance_is_relative_to_what_came_as_in_the_notebook() -> None:
    expected, got = np.array([1.0]), np.array([1.0 + 1e-3 + 1.05e-5])
    assert agree(got, expected) == np.allclose(expected, got, **TOLERANCE)
    assert not np.allclose(got, expected, **TOLERANCE)


def test_the_worst_place_is_named() -> None:
    got = RIGHT + np.array([[0.1, 0.0], [0.0, -0.5]])
    told = difference(got, RIGHT)
    assert told == (
        "2 of 4 numbers are off; worst at [1, 1]: got 3.5, expected 4 (allowed: 0.001 relative plus 1e-05)."
    )


def test_hidden_numbers_are_not_told() -> None:
    told = difference(RIGHT + 1, RIGHT, show=False)
    assert told == "All numbers are off (allowed: 0.001 relative plus 1e-05)."


def test_a_wrong_shape_is_named_first() -> None:
    assert difference(RIGHT.T[:1], RIGHT) == "The shape is (1, 2), expected (2, 2)."


def test_nan_is_named_with_its_place() -> None:
    got = RIGHT.copy()
    got[1, 0] = np.nan
    assert difference(got, RIGHT).startswith("1 of 4 numbers is NaN or infinite, the first at [1, 0]")


def test_a_shape_without_dimensions_is_a_single_number() -> None:
    assert shape_text(()) == "a single number"
    assert shape_text((3,)) == "(3,)"
