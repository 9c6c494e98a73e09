"""Whole runs: broken setups, and what the runner keeps from one run to the next."""

from __future__ import annotations

import io
import json
import sys
import unittest

import pytest
from gradescope_utils.autograder_utils.decorators import (
    number,
    weight,
)

from autograder.results.blame import NOT_YOUR_FAULT
from autograder.results.runner import GradingRunner
from tests.results.grading import grade


def test_the_same_runner_starts_afresh_at_each_run() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            pass

    runner = GradingRunner(visibility="after_published")
    runner.run(Case("test_it"))
    runner.run(Case("test_it"))
    assert len(runner.json_data["tests"]) == 1
    assert (runner.json_data["score"], runner.json_data["visibility"]) == (5, "after_published")


def test_a_class_whose_setup_fails_has_its_checks_entered_as_not_graded() -> None:
    class Broken(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            raise OSError("secret")

        @weight(5)
        @number("1.1")
        def test_it(self) -> None:
            pass

        @weight(7)
        @number("1.2")
        def test_too(self) -> None:
            pass

    class Sound(unittest.TestCase):
        @weight(3)
        @number("2.1")
        def test_it(self) -> None:
            pass

    results, run = grade(Broken, Sound)
    found = {test["number"]: (test["score"], test["max_score"]) for test in results["tests"]}
    assert found == {"1.1": (0, 5), "1.2": (0, 7), "2.1": (3, 3)}
    assert all(NOT_YOUR_FAULT in test["output"] for test in results["tests"] if test["score"] == 0)
    assert run.faults[0].startswith("setUpClass (tests.results.test_runner.")
    assert len(run.faults) == 3
    assert "secret" not in json.dumps(results)


def test_a_class_that_skips_itself_gives_its_reason_and_no_fault() -> None:
    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            raise unittest.SkipTest("Not graded, because there is no code in the upload.")

        @weight(5)
        def test_it(self) -> None:
            pass

    results, run = grade(Case)
    assert results["tests"][0]["output"] == "Not graded, because there is no code in the upload."
    assert (results["tests"][0]["max_score"], run.faults) == (5, [])


def test_a_module_whose_setup_fails_has_its_checks_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            pass

    def broken() -> None:
        raise OSError

    monkeypatch.setattr(sys.modules[__name__], "setUpModule", broken, raising=False)
    results, run = grade(Case)
    assert (results["tests"][0]["score"], results["tests"][0]["max_score"]) == (0, 5)
    assert "OSError" in run.faults[0]


def test_a_class_whose_teardown_fails_keeps_its_scores_and_is_a_fault() -> None:
    class Case(unittest.TestCase):
        @classmethod
        def tearDownClass(cls) -> None:
            raise OSError

        @weight(5)
        def test_it(self) -> None:
            pass

    results, run = grade(Case)
    assert results["score"] == 5
    assert run.faults[0].startswith("tearDownClass")


def test_a_runner_with_a_stream_writes_json_as_gradescope_utils_does() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            pass

    stream = io.StringIO()
    result = GradingRunner(stream).run(Case("test_it"))
    assert json.loads(stream.getvalue())["score"] == 5
    assert result.wasSuccessful()


def test_a_failed_check_makes_the_run_unsuccessful() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("wrong")

    assert not grade(Case)[1].wasSuccessful()


def test_the_execution_time_is_a_number() -> None:
    results, _ = grade()
    assert isinstance(results["execution_time"], float)
