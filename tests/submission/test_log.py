from __future__ import annotations

import json
import math

import numpy as np
import pytest

from autograder.assignment import Section
from autograder.settings import MAX_LOG_BYTES
from autograder.submission.log import TOLD_PER_SECTION, read_log
from autograder.submission.types import Log, Problem, ProblemKind

from .samples import INIT, log_bytes, log_values, notebook_bytes

NAME = "submission_log.json"


def only_problem(log: Log) -> Problem:
    assert len(log.problems) == 1, log.problems
    return log.problems[0]


def test_a_whole_log_has_every_section_and_no_problem() -> None:
    log = read_log(NAME, log_bytes())
    assert log.readable
    assert log.problems == ()
    assert log.time == 1700000000.5
    assert log.model is not None
    assert log.model.shape == (8, 3)
    assert log.model.init == INIT
    assert log.content is not None
    assert log.content.pos is None
    assert log.content.Q.tolist() == log_values()["attention_by_content_Q"]
    assert log.position is not None
    assert log.position.pos is not None
    assert log.position.pos.dtype == np.float64


def test_integers_and_booleans_are_numbers() -> None:
    eye = np.eye(3, dtype=bool).reshape(-1).tolist()
    log = read_log(NAME, log_bytes(attention_by_content_V=eye, attention_by_content_K=[1] * 9))
    assert log.problems == ()
    assert log.content is not None
    assert log.content.V.tolist() == [float(flag) for flag in eye]


def test_unknown_keys_and_a_byte_order_mark_are_fine() -> None:
    data = b"\xef\xbb\xbf" + log_bytes(my_note={"a": [1, {"b": None}]})
    assert read_log(NAME, data).problems == ()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"[1, 2]", "holds a list of 2"),
        (b'"text"', 'holds the text "text"'),
        (b"null", "holds null"),
        (log_bytes()[:292], "stops in the middle, at line 1, column 293"),
        (b'{"time": 1,\n"torch_tr', "stops in the middle, at line 2, column 10"),
        (log_bytes().decode().encode("utf-16")[:-1], "saved as UTF-16 and is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b'{"time": 1, "caf\xe9": 1}', "is not UTF-8 text: byte 0xe9 at position 16"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (notebook_bytes("x = 1"), "is a notebook under another name"),
        (b"%PDF-1.7 ...", "not JSON but a PDF"),
        (b"<!DOCTYPE html><html></html>", "not JSON but a web page"),
        (b"{'time': 1}", "single quotes at line 1, column 2"),
        (b'{"time": 1} {"time": 2}', "goes on after its end, from line 1, column 13"),
        (b'{"time": 1,\n "b": oops}', "cannot be read on from line 2, column 7, near 'oops}'"),
        (b"x" * (MAX_LOG_BYTES + 1), "is larger than 4 MiB"),
    ],
)
def test_a_file_that_is_no_log_says_what_it_is(data: bytes, told: str) -> None:
    log = read_log(NAME, data)
    assert not log.readable
    assert (log.time, log.model, log.content, log.position) == (None, None, None, None)
    problem = only_problem(log)
    assert problem.section is None
    assert problem.kind is ProblemKind.BROKEN
    assert told in problem.message
    assert "download submission_log.json again" in problem.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_log_in_any_unicode_encoding_is_read(encoding: str) -> None:
    assert read_log(NAME, log_bytes().decode().encode(encoding)).problems == ()


def test_a_log_for_another_assignment_shows_its_keys() -> None:
    log = read_log(NAME, b'{"hw1_part_a": 1, "q2\\u202e": [2]}')
    assert log.readable
    problem = only_problem(log)
    assert '"hw1_part_a", "q2\\u202e"' in problem.message
    assert "another assignment" in problem.message
    assert problem.section is None


def test_a_failed_equivalence_test_costs_the_model_section_alone() -> None:
    model = {key: None for key in log_values() if key.startswith("torch_transformer")}
    log = read_log(NAME, log_bytes(**model))
    assert log.model is None
    assert log.content is not None
    assert log.position is not None
    problem = only_problem(log)
    assert (problem.section, problem.kind) == (Section.MODEL, ProblemKind.MISSING)
    assert "test()" in problem.message


def test_a_single_missing_key_is_named() -> None:
    log = read_log(NAME, log_bytes(attention_by_position_pos=None))
    assert log.position is None
    problem = only_problem(log)
    assert (problem.where, problem.kind) == ("attention_by_position_pos", ProblemKind.MISSING)


@pytest.mark.parametrize(
    ("key", "value", "where", "told"),
    [
        ("attention_by_content_Q", [[1, 0], [0, 1]], ", item 1", "flat"),
        ("attention_by_content_Q", [1, [0, 1], 2], ", item 2", "flat"),
        ("attention_by_content_Q", [1, 2, "3"], ", item 3", 'the text "3" came'),
        ("attention_by_content_Q", [1, {}], ", item 2", "an object came"),
        ("attention_by_content_Q", "[1, 2]", "", "A list of 1 to 100,000 numbers was expected"),
        ("attention_by_content_Q", [], "", "a list of 0 came"),
        ("attention_by_content_Q", [0] * 100_001, "", "a list of 100,001 came"),
        (
            "torch_transformer_init",
            5,
            "",
            "The source text of a method, at most 262,144 characters, was expected, and the number 5",
        ),
        ("torch_transformer_init", "", "", 'the text "" came'),
        ("torch_transformer_shape", [8, 3.5], ", item 2", "A whole number from 0 to 2³¹ was expected"),
        ("torch_transformer_shape", [-1, 3], ", item 1", "A whole number from 0"),
        ("time", "noon", "", 'A number was expected, and the text "noon" came'),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_by_its_place(
    key: str, value: object, where: str, told: str
) -> None:
    log = read_log(NAME, log_bytes(**{key: value}))
    problem = only_problem(log)
    assert problem.where == key + where
    assert problem.kind is ProblemKind.BROKEN
    assert told in problem.message
    sections = {Section.MODEL: log.model, Section.CONTENT: log.content, Section.TIME: log.time}
    assert problem.section is not None
    assert sections[problem.section] is None
    assert log.position is not None


def test_items_with_one_problem_are_told_once_with_their_number() -> None:
    log = read_log(NAME, log_bytes(attention_by_content_K=["x"] * 40))
    assert "39 more items of it are like that" in only_problem(log).message


def test_what_a_section_tells_is_bounded() -> None:
    broken: dict[str, object] = {
        key: [1, "a", [1], None] + [{}] * 20_000
        for key in log_values()
        if key.startswith("attention_by_position")
    }
    log = read_log(NAME, log_bytes(**broken))
    told = [problem for problem in log.problems if problem.section is Section.POSITION]
    assert 0 < len(told) <= TOLD_PER_SECTION + 1


@pytest.mark.parametrize(
    ("number", "told", "value"),
    [
        ("NaN", "NaN came", math.nan),
        ("Infinity", "Infinity came", math.inf),
        ("-Infinity", "-Infinity came", -math.inf),
        ("1e400", "beyond 1.8e308", math.inf),
        ("-1e400", "beyond 1.8e308", -math.inf),
        ("9" * 309, "beyond 1.8e308", math.inf),
        ("-" + "9" * 1_000_000, "beyond 1.8e308", -math.inf),
    ],
)
def test_a_number_that_is_not_finite_stays_and_is_told(number: str, told: str, value: float) -> None:
    data = log_bytes(attention_by_content_K=["HERE", 1, 2]).replace(b'"HERE"', number.encode())
    log = read_log(NAME, data)
    problem = only_problem(log)
    assert (problem.where, problem.kind) == ("attention_by_content_K, item 1", ProblemKind.NOT_FINITE)
    assert told in problem.message
    assert log.content is not None
    np.testing.assert_array_equal(log.content.K, [value, 1, 2])


def test_a_key_that_stands_twice_breaks_its_section() -> None:
    data = log_bytes().replace(b'{"time"', b'{"attention_by_content_Q": [1], "time"')
    log = read_log(NAME, data)
    assert log.content is None
    assert "more than once" in only_problem(log).message


def test_the_validators_own_words_are_never_shown() -> None:
    values = {key: {"x": []} for key in log_values()}
    log = read_log(NAME, json.dumps(values).encode())
    told = " ".join(problem.message for problem in log.problems)
    assert log.problems
    for word in ("instance", "schema", "is not of type", "required property", "'x'"):
        assert word not in told


def test_a_list_of_millions_of_numbers_is_told_once() -> None:
    log = read_log(NAME, b'{"attention_by_content": [' + b"0," * 2_000_000 + b"0]}")
    told = [problem.message for problem in log.problems if problem.kind is ProblemKind.BROKEN]
    assert len(told) == 1
    assert "A list of 1 to 100,000 numbers was expected, and a list of 2,000,001 came" in told[0]
