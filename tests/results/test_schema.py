from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from autograder.errors import ResultsFault
from autograder.results.schema import RESULTS_SCHEMA, validate


def results(**test: Any) -> dict[str, Any]:
    return {"score": 0.0, "tests": [{"name": "it", "score": 0.0, "max_score": 5.0, **test}]}


def violations(of: Any) -> list[str]:
    with pytest.raises(ResultsFault) as caught:
        validate(of)
    return str(caught.value).splitlines()[1:]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(RESULTS_SCHEMA)


def test_everything_gradescope_knows_is_valid() -> None:
    validate(
        {
            "score": 44.0,
            "execution_time": 136,
            "output": "text",
            "output_format": "simple_format",
            "test_output_format": "text",
            "test_name_format": "text",
            "visibility": "after_due_date",
            "stdout_visibility": "visible",
            "extra_data": {"a": [1, None, True]},
            "tests": [
                {
                    "score": 44,
                    "max_score": 50.0,
                    "status": "failed",
                    "name": "it",
                    "name_format": "text",
                    "number": "1.1",
                    "output": "\x1b[31mred",
                    "output_format": "ansi",
                    "tags": ["a", "b"],
                    "visibility": "visible",
                    "extra_data": {},
                }
            ],
            "leaderboard": [
                {"name": "Accuracy", "value": 0.926},
                {"name": "Time", "value": "*", "order": "asc"},
            ],
        }
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["score", "max_score"])
def test_a_number_that_is_not_finite_is_refused(key: str, number: float) -> None:
    assert f"- results.tests[0].{key}: expected a finite number, got {number}" in violations(
        results(**{key: number})
    )


def test_a_number_that_is_not_finite_is_found_in_extra_data() -> None:
    assert "results.extra_data.a[0]" in violations({**results(), "extra_data": {"a": [math.nan]}})[0]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"score": 6.0}, "results.tests[0].score: expected at most 5 points, got 6"),
        ({"score": -1.0}, "results.tests[0].score: -1.0 is less than the minimum of 0"),
        ({"score": "5"}, "results.tests[0].score: '5' is not of type 'number'"),
        ({"score": True}, "results.tests[0].score: True is not of type 'number'"),
        ({"status": "skipped"}, "results.tests[0].status: 'skipped' is not one of"),
        ({"visibility": "hiden"}, "results.tests[0].visibility: 'hiden' is not one of"),
        ({"output_format": "pdf"}, "results.tests[0].output_format: 'pdf' is not one of"),
        ({"number": 1.1}, "results.tests[0].number: 1.1 is not of type 'string'"),
        ({"tags": "a"}, "results.tests[0].tags: 'a' is not of type 'array'"),
        ({"tags": ("a",)}, "results.tests[0].tags: expected a JSON value, got tuple"),
        ({"ouput": "a"}, "'ouput' was unexpected"),
        ({"score": np.float32(1)}, "results.tests[0].score: expected a JSON value, got float32"),
        ({"output": "a\0b"}, "results.tests[0].output: expected no control characters"),
        ({"output": "\ud800"}, "results.tests[0].output: expected no control characters"),
        ({"output": '"' * 40_000}, "results.tests[0].output: expected at most 65536 bytes, got 80002"),
        ({"extra_data": {1: 2}}, "expected texts as keys, got int"),
        ({"extra_data": {"a\0": 2}}, "a key: expected no control characters"),
        (
            {"extra_data": {"a": 10**30}},
            "results.tests[0].extra_data.a: expected an integer of at most 64 bits",
        ),
    ],
)
def test_what_gradescope_would_misread_is_refused_with_its_place(wrong: dict[str, Any], says: str) -> None:
    assert says in violations(results(**wrong))[0]


def test_every_violation_is_named() -> None:
    wrong = results(status="bad", visibility="bad", score=9.0, max_score=math.nan, output="\0")
    assert len(violations({**wrong, "execution_time": "0.25"})) == 6


def test_numbers_used_twice_are_refused() -> None:
    test = {"name": "it", "number": "1.1"}
    assert violations({"score": 0, "tests": [test, test]}) == [
        "- results.tests: expected each number once, got '1.1' 2 times"
    ]


def test_a_total_above_the_points_is_refused() -> None:
    assert (
        "results.score: expected at most the tests' 5 points, got 6"
        in violations({**results(), "score": 6})[0]
    )


def test_a_file_above_a_mebibyte_is_refused() -> None:
    tests = [{"name": "it", "output": "a" * 60_000} for _ in range(20)]
    assert "results: expected at most 1048576 bytes" in violations({"score": 0, "tests": tests})[0]


def test_data_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "at most 32 levels" in violations({**results(), "extra_data": loop})[0]


@pytest.mark.parametrize("nothing", [None, [], "text", {}, {"score": 1}, {"score": 0, "tests": {}}])
def test_what_is_no_results_at_all_is_refused(nothing: Any) -> None:
    assert violations(nothing)


def test_the_bytes_do_not_depend_on_the_order_of_keys() -> None:
    one = {"score": 0, "tests": [], "output": "é"}
    assert validate(one) == validate(dict(reversed(one.items())))
    assert validate(one).endswith(b"}\n")
    assert "é".encode() in validate(one)
