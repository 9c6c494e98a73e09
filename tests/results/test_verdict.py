"""Each ending of a check makes one entry, and says whose fault it was."""

from __future__ import annotations

import json
import unittest
from typing import Any

import pytest
from gradescope_utils.autograder_utils.decorators import (
    number,
    tags,
    weight,
)

from autograder.errors import SandboxFault
from tests.results.grading import entry_of, fault_of, grade


def test_a_failed_check_shows_its_message_alone() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("Km has 3 rows, expected 4.")

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"], entry["status"]) == (0, 5, "failed")
    assert (entry["output"], entry["output_format"]) == ("Km has 3 rows, expected 4.", "text")


def test_a_skipped_check_keeps_its_points_number_and_reason() -> None:
    class Case(unittest.TestCase):
        @weight(10)
        @number("2.2")
        @tags("pytorch_transformer")
        def test_it(self) -> None:
            """Equals the reference."""
            self.skipTest("Not graded, because the model does not build (2.1).")

    results, run = grade(Case)
    assert results["tests"] == [
        {
            "name": "Equals the reference.",
            "number": "2.2",
            "score": 0,
            "max_score": 10,
            "status": "failed",
            "tags": ["pytorch_transformer"],
            "output": "Not graded, because the model does not build (2.1).",
            "output_format": "text",
        }
    ]
    assert run.faults == []


def test_an_optional_check_that_was_not_attempted_has_no_status() -> None:
    class Case(unittest.TestCase):
        @weight(0)
        def test_it(self) -> None:
            self.skipTest("You did not attempt the optional part.")

    entry = entry_of(Case)
    assert "status" not in entry
    assert (entry["score"], entry["max_score"]) == (0, 0)


def test_a_check_skipped_by_a_decorator_keeps_its_points() -> None:
    @unittest.skip("This part is not graded this year.")
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            pass

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"]) == (0, 5)
    assert entry["output"] == "This part is not graded this year."


def test_a_failure_that_was_expected_is_a_pass() -> None:
    class Case(unittest.TestCase):
        @unittest.expectedFailure
        @weight(5)
        def test_it(self) -> None:
            self.fail("as expected")

    entry = entry_of(Case)
    assert (entry["score"], entry["status"]) == (5, "passed")


def test_an_error_in_a_check_expected_to_fail_is_the_graders_fault() -> None:
    class Case(unittest.TestCase):
        @unittest.expectedFailure
        @weight(5)
        def test_it(self) -> None:
            raise KeyError

    assert "KeyError" in fault_of(Case)


def test_a_success_that_was_not_expected_is_a_failure() -> None:
    class Case(unittest.TestCase):
        @unittest.expectedFailure
        @weight(5)
        def test_it(self) -> None:
            pass

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"], entry["status"]) == (0, 5, "failed")
    assert "did not fail" in entry["output"]


def test_failed_subtests_make_one_entry_with_their_messages() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("3.1")
        def test_it(self) -> None:
            for name in ("Km", "Qm", "Vm"):
                with self.subTest(matrix=name):
                    if name != "Qm":
                        self.fail(f"{name} has a wrong shape.")

    entry = entry_of(Case)
    assert (entry["number"], entry["score"], entry["max_score"], entry["status"]) == ("3.1", 0, 5, "failed")
    assert entry["output"] == "(matrix='Km') Km has a wrong shape.\n\n(matrix='Vm') Vm has a wrong shape."


def test_many_failed_subtests_are_counted_after_the_first_five() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            for index in range(1092):
                with self.subTest(index=index):
                    self.fail("wrong")

    assert entry_of(Case)["output"].endswith("… and 1087 more.")


def test_a_broken_subtest_is_the_graders_fault_and_shows_no_parameter() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            with self.subTest(expected="0.7310586"):
                raise KeyError

    assert "KeyError" in fault_of(Case)
    assert "0.7310586" not in json.dumps(entry_of(Case))


def test_a_skipped_subtest_leaves_its_check_as_it_ends() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            with self.subTest("a part"):
                self.skipTest("This part needs more memory.")

    entry = entry_of(Case)
    assert (entry["score"], entry["output"]) == (5, "This part needs more memory.")


def test_a_check_that_fails_and_whose_teardown_breaks_is_entered_once() -> None:
    class Case(unittest.TestCase):
        def tearDown(self) -> None:
            raise RuntimeError

        @weight(5)
        def test_it(self) -> None:
            self.fail("wrong")

    assert "RuntimeError" in fault_of(Case)


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError, RecursionError, GeneratorExit])
def test_any_other_exception_is_the_graders_fault_and_shows_its_place_but_no_value(error: Any) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("2.4")
        def test_it(self) -> None:
            raise error("expected 0.7310586")

    assert fault_of(Case).startswith(f"2.4: {error.__name__} at test_verdict.py:")
    assert "0.7310586" not in json.dumps(entry_of(Case))


def test_the_text_of_a_fault_raised_on_purpose_is_shown_to_staff() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            raise SandboxFault("the sandbox could not start: no memory")

    assert "(the sandbox could not start: no memory)" in fault_of(Case)


def test_an_assertion_without_a_message_is_the_graders_fault() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            raise AssertionError

    assert "without a message" in fault_of(Case)


def test_a_check_without_points_has_a_status_and_no_score() -> None:
    class Case(unittest.TestCase):
        def test_the_file_is_there(self) -> None:
            pass

    assert entry_of(Case) == {"name": "the file is there", "status": "passed"}
