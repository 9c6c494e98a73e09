"""Points and scores: finite, within their range, and of this run alone."""

from __future__ import annotations

import math
import unittest
from typing import Any

import numpy as np
import pytest
from gradescope_utils.autograder_utils.decorators import (
    leaderboard,
    number,
    partial_credit,
    tags,
    visibility,
    weight,
)

from tests.results.grading import entry_of, fault_of, grade


def test_a_check_that_returns_earns_its_points() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("2.1")
        @tags("pytorch_transformer")
        @visibility("visible")
        def test_it(self) -> None:
            """2.1 The model builds

            and more.
            """

    assert entry_of(Case) == {
        "name": "The model builds",
        "number": "2.1",
        "score": 5,
        "max_score": 5,
        "status": "passed",
        "tags": ["pytorch_transformer"],
        "visibility": "visible",
    }


def test_the_score_set_before_a_failure_is_kept() -> None:
    class Case(unittest.TestCase):
        @partial_credit(20)
        def test_it(self, set_score: Any = None) -> None:
            set_score(np.float32(7.5))
            self.fail("3 of 8 sequences are wrong.")

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"], entry["status"]) == (7.5, 20, "failed")


def test_a_check_that_passes_with_a_part_of_its_points_is_failed() -> None:
    class Case(unittest.TestCase):
        @partial_credit(20)
        def test_it(self, set_score: Any = None) -> None:
            set_score(19)

    assert entry_of(Case)["status"] == "failed"


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, -math.inf, -1, 20.1, "20", None, True, pytest.param(10**400, id="huge")]
)
def test_a_score_that_is_no_number_of_points_is_the_graders_fault(score: Any) -> None:
    class Case(unittest.TestCase):
        @partial_credit(20)
        @number("3.2")
        def test_it(self, set_score: Any = None) -> None:
            set_score(score)

    assert fault_of(Case).startswith("3.2: GraderFault")


def test_a_score_above_its_points_by_rounding_alone_is_full() -> None:
    class Case(unittest.TestCase):
        @partial_credit(0.3)
        def test_it(self, set_score: Any = None) -> None:
            set_score(0.1 + 0.2)

    entry = entry_of(Case)
    assert (entry["score"], entry["status"]) == (0.3, "passed")


@pytest.mark.parametrize("points", [math.nan, math.inf, -1, "5"])
def test_points_that_are_no_points_are_the_graders_fault_and_not_written(points: Any) -> None:
    class Case(unittest.TestCase):
        @weight(points)
        def test_it(self) -> None:
            pass

    results, run = grade(Case)
    assert len(run.faults) == 1
    assert "max_score" not in results["tests"][0]
    assert results["score"] == 0


def test_partial_credit_that_passes_without_a_score_is_the_graders_fault() -> None:
    class Case(unittest.TestCase):
        @partial_credit(20)
        def test_it(self, set_score: Any = None) -> None:
            pass

    assert "never set its score" in fault_of(Case)


def test_partial_credit_that_fails_without_a_score_earns_nothing() -> None:
    class Case(unittest.TestCase):
        @partial_credit(20)
        def test_it(self, set_score: Any = None) -> None:
            self.fail("No sequence is right.")

    results, run = grade(Case)
    assert (results["tests"][0]["score"], run.faults) == (0, [])


def test_the_next_submission_does_not_inherit_a_score() -> None:
    submissions = iter([True, False])

    class Case(unittest.TestCase):
        @partial_credit(20)
        def test_it(self, set_score: Any = None) -> None:
            if next(submissions):
                set_score(20)
            else:
                self.fail("No sequence is right.")

    assert entry_of(Case)["score"] == 20
    assert entry_of(Case)["score"] == 0
    assert not hasattr(Case.test_it, "__score__")


def test_a_score_under_another_decorator_is_found_and_forgotten() -> None:
    class Case(unittest.TestCase):
        @leaderboard("sequences", "asc")
        @partial_credit(20)
        def test_it(self, set_score: Any = None, set_leaderboard_value: Any = None) -> None:
            set_score(15)
            set_leaderboard_value(819)

    results, _ = grade(Case)
    assert results["tests"][0]["score"] == 15
    assert results["leaderboard"] == [{"name": "sequences", "value": 819, "order": "asc"}]
    assert not hasattr(Case.test_it.__wrapped__, "__score__")  # type: ignore[attr-defined]  # functools.wraps
