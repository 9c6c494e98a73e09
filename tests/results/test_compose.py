from __future__ import annotations

import json
import math
import unittest
from typing import Any

from gradescope_utils.autograder_utils.decorators import number, partial_credit, weight
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.errors import GraderFault
from autograder.results.compose import RunOutcome, fault, interrupted, run_checks
from autograder.results.schema import encode, validate


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


def run(*cases: type[unittest.TestCase], **options: Any) -> RunOutcome:
    load = unittest.TestLoader().loadTestsFromTestCase
    outcome = run_checks([test for case in cases for test in load(case)], **options)
    validate(outcome.results)
    return outcome


def test_tests_stand_in_the_order_of_their_numbers() -> None:
    tests = run(Crashing, Passing).results["tests"]
    assert [test.get("number") for test in tests] == ["1.9", "1.10", "2.1", None]


def test_the_score_is_the_sum_and_the_output_stands_on_top() -> None:
    outcome = run(Passing, output="<p>Found a log.</p>", output_format="html", extra_data={"version": 1})
    assert outcome.faults == ()
    assert outcome.results["score"] == 5
    assert outcome.results["output"] == "<p>Found a log.</p>"
    assert outcome.results["output_format"] == "html"
    assert outcome.results["extra_data"] == {"version": 1}


def test_a_fault_of_the_grader_is_announced_on_top() -> None:
    outcome = run(Passing, Crashing, output="Found a log.")
    assert len(outcome.faults) == 1
    assert "rerun the autograder" in outcome.results["output"]
    assert outcome.results["output"].endswith("\n\nFound a log.")


def test_the_same_checks_give_the_same_bytes_but_for_the_time() -> None:
    one, two = (run(Passing, Crashing).results for _ in range(2))
    one["execution_time"] = two["execution_time"] = 0
    assert encode(one) == encode(two)


def test_many_long_outputs_together_fit_into_the_file() -> None:
    def long(self: unittest.TestCase) -> None:
        self.fail('"' * 10**5)

    names = [f"test_{index}" for index in range(100)]
    case = type("Case", (unittest.TestCase,), dict.fromkeys(names, long))
    tests = run(case, output="x" * 10**6).results["tests"]
    assert all("too long to show" in test["output"] for test in tests)


def test_the_results_before_grading_are_valid_and_ask_for_a_rerun() -> None:
    validate(interrupted())
    assert "not your fault" in interrupted()["output"]
    assert "rerun" in interrupted()["output"]


def test_the_results_of_a_failed_grader_name_its_fault_without_a_value() -> None:
    try:
        raise ValueError("secret")
    except ValueError as error:
        results = fault(error)
    validate(results)
    assert "not your fault" in results["output"]
    assert "rerun" in results["output"]
    assert "For staff: ValueError at test_compose.py" in results["output"]
    assert "secret" not in json.dumps(results)


def test_the_results_of_a_fault_with_a_long_text_are_valid() -> None:
    results = fault(GraderFault("no room\0\ud800" * 10**5))
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
            members["setUpClass"] = classmethod(lambda cls: 1 // 0)
        classes.append(type(f"Case{group}", (unittest.TestCase,), members))
    results = run(*classes, output=output).results
    assert len(results["tests"]) == sum(len(drawn) for drawn, _, _ in cases)
    assert 0 <= results["score"] <= math.fsum(test.get("max_score", 0) for test in results["tests"])
