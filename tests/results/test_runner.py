"""Each ending of a check makes one entry of results.json, with its points, and says whose fault it was."""

from __future__ import annotations

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
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.bounds import OutOfTime
from autograder.errors import GraderFault, SandboxFault
from autograder.results.runner import NOT_YOUR_FAULT, Graded, NotAttempted, failed, interrupted, run_checks
from autograder.results.schema import validate


def grade(*cases: type[unittest.TestCase], output: str = "") -> Graded:
    load = unittest.TestLoader().loadTestsFromTestCase
    graded = run_checks([test for case in cases for test in load(case)], output=lambda tests: output)
    validate(graded.results)
    return graded


def entry_of(case: type[unittest.TestCase]) -> dict[str, Any]:
    (entry,) = grade(case).results["tests"]
    return entry


def fault_of(case: type[unittest.TestCase]) -> str:
    """The one fault of a case whose one test is the grader's fault, after looking at its entry."""
    graded = grade(case)
    (entry,) = graded.results["tests"]
    (fault,) = graded.faults
    assert entry.get("score", 0) == 0
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

    graded = grade(Case)
    assert len(graded.faults) == 1
    assert "max_score" not in graded.results["tests"][0]
    assert graded.results["score"] == 0


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

    graded = grade(Case)
    assert (graded.results["tests"][0]["score"], graded.faults) == (0, ())


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

    graded = grade(Case)
    assert graded.results["tests"][0]["score"] == 15
    assert graded.results["leaderboard"] == [{"name": "sequences", "value": 819, "order": "asc"}]
    assert not hasattr(Case.test_it.__wrapped__, "__score__")  # type: ignore[attr-defined]  # functools.wraps


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

    graded = grade(Case)
    assert graded.results["tests"] == [
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
    assert graded.faults == ()


@pytest.mark.parametrize("points", [0, 5])
def test_an_optional_check_that_was_not_attempted_is_no_zero_whatever_it_is_worth(points: float) -> None:
    class Case(unittest.TestCase):
        @weight(points)
        @number("5.1")
        def test_it(self) -> None:
            raise NotAttempted("You did not attempt the optional part.")

    said = {"output": "You did not attempt the optional part.", "output_format": "text"}
    assert entry_of(Case) == {"name": "it", "number": "5.1", "score": 0, "max_score": 0, **said}


@pytest.mark.parametrize("points", [5, 10, 2.5, 7.5, 20])
def test_a_share_is_of_whatever_the_decorator_gives(points: float) -> None:
    class Case(unittest.TestCase):
        @weight(points)
        def test_it(self) -> None:
            self.share = 0.25
            self.fail("3 of 4 sections are missing.")

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"], entry["status"]) == (round(points / 4, 2), points, "failed")


@pytest.mark.parametrize("share", [1.1, -0.1, math.nan, "1"])
def test_a_share_that_is_none_is_the_graders_fault(share: Any) -> None:
    class Case(unittest.TestCase):
        @weight(20)
        def test_it(self) -> None:
            self.share = share

    assert "the share it earned" in fault_of(Case)


def test_a_misspelt_visibility_is_refused_with_the_words_that_there_are() -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("2.4")
        @visibility("hiden")
        def test_it(self) -> None:
            self.fail("what nobody was to see")

    fault = fault_of(Case)
    assert "expected one of visible, hidden, after_due_date, after_published" in fault
    assert "2.4, got 'hiden'" in fault
    assert "nobody was to see" not in json.dumps(entry_of(Case))


def test_the_traceback_of_a_fault_goes_to_the_staff_s_output_alone(capfd: Any) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("2.4")
        def test_it(self) -> None:
            raise KeyError("a key that only staff may see")

    entry = entry_of(Case)
    assert "only staff may see" in capfd.readouterr().err
    assert "only staff may see" not in json.dumps(entry)


def test_a_check_skipped_by_a_decorator_keeps_its_points() -> None:
    @unittest.skip("This part is not graded this year.")
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            pass

    entry = entry_of(Case)
    assert (entry["score"], entry["max_score"]) == (0, 5)
    assert entry["output"] == "This part is not graded this year."


def test_failed_subtests_make_one_entry() -> None:
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
    assert entry["output"] == "Km has a wrong shape."


def test_a_check_that_fails_and_whose_teardown_breaks_is_entered_once() -> None:
    class Case(unittest.TestCase):
        def tearDown(self) -> None:
            raise RuntimeError

        @weight(5)
        def test_it(self) -> None:
            self.fail("wrong")

    assert "RuntimeError" in fault_of(Case)


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_any_other_exception_is_the_graders_fault_and_shows_its_place_but_no_value(error: Any) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        @number("2.4")
        def test_it(self) -> None:
            raise error("expected 0.7310586")

    assert fault_of(Case).startswith(f"2.4: {error.__name__} at test_runner.py:")
    assert "0.7310586" not in json.dumps(entry_of(Case))


@pytest.mark.parametrize("error", [OutOfTime(10), MemoryError(), RecursionError()])
def test_a_check_that_takes_too_much_is_not_graded_and_no_fault(error: BaseException) -> None:
    class Case(unittest.TestCase):
        @weight(5)
        def test_it(self) -> None:
            raise error

    graded = grade(Case)
    (entry,) = graded.results["tests"]
    assert (entry["score"], entry["max_score"], graded.faults) == (0, 5, ())
    assert "more time or memory than the grader has" in entry["output"]


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


class Passing(unittest.TestCase):
    __test__ = False  # for our runner, not for pytest

    @weight(2)
    @number("1.10")
    def test_ten(self) -> None:
        pass

    @weight(3)
    @number("1.9")
    def test_nine(self) -> None:
        pass

    def test_without_a_number(self) -> None:
        pass


class Crashing(unittest.TestCase):
    __test__ = False

    @weight(5)
    @number("2.1")
    def test_it(self) -> None:
        raise ValueError("secret")


def test_tests_stand_in_the_order_of_their_numbers() -> None:
    tests = grade(Crashing, Passing).results["tests"]
    assert [test.get("number") for test in tests] == ["1.9", "1.10", "2.1", None]


def test_the_score_is_the_sum_and_the_output_stands_on_top() -> None:
    outcome = grade(Passing, output="Found a log.")
    assert outcome.faults == ()
    assert outcome.results["score"] == 5
    assert outcome.results["output"] == "Found a log."


def test_a_fault_of_the_grader_is_announced_on_top() -> None:
    outcome = grade(Passing, Crashing, output="Found a log.")
    assert len(outcome.faults) == 1
    assert "rerun the autograder" in outcome.results["output"]
    assert outcome.results["output"].endswith("\n\nFound a log.")


def test_the_same_checks_give_the_same_bytes_but_for_the_time() -> None:
    one, two = (grade(Passing, Crashing).results for _ in range(2))
    one["execution_time"] = two["execution_time"] = 0
    assert validate(one) == validate(two)


def test_many_long_outputs_together_fit_into_the_file() -> None:
    def long(self: unittest.TestCase) -> None:
        self.fail('"' * 10**5)

    names = [f"test_{index}" for index in range(100)]
    case = type("Case", (unittest.TestCase,), dict.fromkeys(names, long))
    tests = grade(case, output="x" * 10**6).results["tests"]
    assert all("too long to show" in test["output"] for test in tests)


def test_the_results_before_grading_are_valid_and_ask_for_a_regrade() -> None:
    validate(interrupted())
    assert "not your fault" in interrupted()["output"]
    assert "rerun" in interrupted()["output"]


def test_the_results_of_a_failed_grader_name_its_fault_without_a_value() -> None:
    try:
        raise ValueError("secret")
    except ValueError as error:
        results = failed(error)
    validate(results)
    assert "not your fault" in results["output"]
    assert "rerun" in results["output"]
    assert "For staff: ValueError at test_runner.py" in results["output"]
    assert "secret" not in json.dumps(results)


def test_the_results_of_a_fault_with_a_long_text_are_valid() -> None:
    results = failed(GraderFault("no room\0\ud800" * 10**5))
    validate(results)
    assert "no room" in results["output"]


texts = st.text(st.characters(), max_size=40)
scores = st.one_of(st.floats(), st.integers(-5, 25), st.none(), st.text(max_size=3))
endings = st.sampled_from(["return", "fail", "skip", "raise", "bare", "exit", "subtests"])
points = st.one_of(st.integers(0, 20), st.floats(0, 100), st.sampled_from([math.nan, math.inf, -1.0]))
formats = st.sampled_from(["text", "html", "simple_format", "md", "ansi", "other", None])


def check(ending: str, text: str, partial: bool, worth: float, scores: list[Any], index: int) -> Any:
    def test(self: unittest.TestCase, set_score: Any = None) -> None:
        print(text)
        for score in scores if partial else ():
            set_score(score)
        if ending == "fail":
            self.fail(text)
        if ending == "skip":
            self.skipTest(text)
        if ending == "raise":
            raise ValueError(text)
        if ending == "bare":
            raise AssertionError
        if ending == "exit":
            raise SystemExit(text)
        if ending == "subtests":
            for part in range(3):
                with self.subTest(text, part=part):
                    assert part != 1, text

    return number(f"1.{index}")((partial_credit if partial else weight)(worth)(test))


checks = st.tuples(endings, texts, st.booleans(), points, st.lists(scores, max_size=2))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.lists(checks, max_size=3), formats, st.booleans()), max_size=3), texts)
def test_any_mix_of_endings_gives_valid_results_within_their_points(cases: list[Any], output: str) -> None:
    classes = []
    for group, (drawn, output_format, setup_fails) in enumerate(cases):
        members: dict[str, Any] = {
            f"test_{i}": check(*one, index=10 * group + i) for i, one in enumerate(drawn)
        }
        members["output_format"] = output_format
        if setup_fails:
            members["setUp"] = lambda self: 1 // 0
        classes.append(type(f"Case{group}", (unittest.TestCase,), members))
    results = grade(*classes, output=output).results
    assert len(results["tests"]) == sum(len(drawn) for drawn, _, _ in cases)
    assert 0 <= results["score"] <= math.fsum(test.get("max_score", 0) for test in results["tests"])
