"""One test for each fault of gradescope-utils' runner that ours repairs, and for the rules it keeps."""

from __future__ import annotations

import io
import json
import math
import sys
import unittest
from typing import Any

import numpy as np
import pytest
from gradescope_utils.autograder_utils.decorators import (
    hide_errors,
    leaderboard,
    number,
    partial_credit,
    tags,
    visibility,
    weight,
)

from autograder.errors import SandboxFault
from autograder.results.blame import NOT_YOUR_FAULT
from autograder.results.runner import GradingResult, GradingRunner


def grade(*cases: type[unittest.TestCase]) -> tuple[dict[str, Any], GradingResult]:
    load = unittest.TestLoader().loadTestsFromTestCase
    runner = GradingRunner()
    result = runner.run(unittest.TestSuite(load(case) for case in cases))
    return runner.json_data, result


def entry_of(case: type[unittest.TestCase]) -> dict[str, Any]:
    results, _ = grade(case)
    (entry,) = results["tests"]
    return entry


def fault_of(case: type[unittest.TestCase]) -> str:
    """Return the one fault of a case whose one test is the grader's fault, after looking at its entry."""
    results, run = grade(case)
    (entry,) = results["tests"]
    (fault,) = run.faults
    assert entry["score"] == 0
    assert entry["status"] == "failed"
    assert entry["output"].startswith(NOT_YOUR_FAULT)
    return fault


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


def test_a_failed_check_shows_its_message_alone() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("Km has 3 rows, expected 4.")

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"], entry["status"]) == (0, 5, "failed")
    assert (entry["output"], entry["output_format"]) == ("Km has 3 rows, expected 4.", "text")


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


def test_the_execution_time_is_a_number() -> None:
    results, _ = grade()
    assert isinstance(results["execution_time"], float)


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

    assert fault_of(Case).startswith(f"2.4: {error.__name__} at test_runner.py:")
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


def test_the_output_format_of_a_check_is_passed_on() -> None:
    class Case(unittest.TestCase):
        output_format = "html"

        @weight(5)
        def test_it(self) -> None:
            print("1 < 2")
            self.fail("<b>wrong</b>")

    entry = entry_of(Case)
    assert entry["output_format"] == "html"
    assert entry["output"] == "<pre>1 &lt; 2\n</pre>\n\n<b>wrong</b>"


def test_an_output_format_that_gradescope_does_not_know_becomes_text() -> None:
    class Case(unittest.TestCase):
        output_format = "pdf"

        @weight(5)
        def test_it(self) -> None:
            self.fail("wrong")

    assert entry_of(Case)["output_format"] == "text"


def test_what_a_check_prints_stands_before_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            print("trying 3 sequences")
            self.fail("wrong")

    assert entry_of(Case)["output"] == "trying 3 sequences\n\nwrong"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [None, AssertionError("secret"), ValueError("secret")])
def test_prints_do_not_leak_past_hide_errors(error: Exception | None, capsys: Any) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @hide_errors("An input that is not shown gives a wrong output.")
        def test_it(self) -> None:
            print("secret")
            print("secret", file=sys.stderr)
            if error:
                raise error

    entry = entry_of(Case)
    assert "secret" not in json.dumps(entry)
    assert ("is not shown" in entry.get("output", "")) == isinstance(error, AssertionError)
    assert capsys.readouterr() == ("", "")


def test_a_long_text_is_cut_and_says_so() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("é\n" * 10**6)

    output = entry_of(Case)["output"]
    assert len(json.dumps(output, ensure_ascii=False).encode()) <= 64 * 1024
    assert output.endswith("it was too long to show)")


def test_long_html_is_replaced_rather_than_cut() -> None:
    class Case(unittest.TestCase):
        output_format = "html"

        @weight(5)
        def test_it(self) -> None:
            self.fail("<p>" * 10**6)

    entry = entry_of(Case)
    assert entry["output_format"] == "text"
    assert "too long" in entry["output"]


def test_bytes_that_a_database_refuses_are_escaped() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            self.fail("a\0b\ud800c\x1b[31m\r\n\td")

    assert entry_of(Case)["output"] == "a\\x00b\\ud800c\\x1b[31m\n\td"


def test_a_check_without_points_has_a_status_and_no_score() -> None:
    class Case(unittest.TestCase):
        def test_the_file_is_there(self) -> None:
            pass

    assert entry_of(Case) == {"name": "the file is there", "status": "passed"}


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
