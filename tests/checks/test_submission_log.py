"""Section 1: a log as the notebook writes it passes, and each way of being off costs its share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autograder.checks.run import StudentRun
from autograder.sandbox.host import ForkServer
from autograder.submission.types import ModelRecord, TaskRecord
from tests.checks.run import evidence_of, evidence_of_files, full, result, with_log
from tests.test_grade_bad_input import BAD_FILES

BAD = {bad.name: bad for bad in BAD_FILES}


@pytest.fixture
def right(fork_server: ForkServer) -> StudentRun:
    return evidence_of("plain", fork_server)


def _model(evidence: StudentRun) -> ModelRecord:
    assert evidence.submission.log is not None
    assert evidence.submission.log.model is not None
    return evidence.submission.log.model


def _content(evidence: StudentRun) -> TaskRecord:
    assert evidence.submission.log is not None
    assert evidence.submission.log.content is not None
    return evidence.submission.log.content


@pytest.mark.parametrize("number", ["1.1", "1.2", "1.3"])
def test_the_log_of_a_right_answer_passes(number: str, right: StudentRun) -> None:
    assert full(result(right, number))


@pytest.mark.parametrize(
    ("mistake", "score"),
    [("log cut in half", 0), ("log of another assignment", 0), ("log of strings", 3), ("no time", 3)],
)
def test_each_missing_or_broken_section_costs_its_share(
    mistake: str, score: float, fork_server: ForkServer
) -> None:
    test = result(evidence_of_files(BAD[mistake].files(), fork_server), "1.1")
    assert test["score"] == score
    assert test["output"]


def test_a_log_without_the_model_lacks_one_share(fork_server: ForkServer) -> None:
    test = result(evidence_of("no scale", fork_server), "1.1")
    assert test["score"] == 3
    assert "torch_transformer" in test["output"]


def test_arrays_that_do_not_fit_together_fail(right: StudentRun) -> None:
    record = _content(right)
    short = with_log(right, content=replace(record, K=record.K[:8]))
    test = result(short, "1.2")
    assert test["score"] == pytest.approx(2 * 2 / 3, abs=0.01)
    assert "attention_by_content_K" in test["output"]


def test_an_output_of_another_length_fails(right: StudentRun) -> None:
    record = _content(right)
    test = result(with_log(right, content=replace(record, output=record.output[:-3])), "1.2")
    assert "expected 18" in test["output"]


def test_a_recorded_value_of_another_length_fails(right: StudentRun) -> None:
    record = _model(right)
    test = result(with_log(right, model=replace(record, value=record.value[:3])), "1.2")
    assert "torch_transformer_value has 3 numbers" in test["output"]


def test_nan_in_the_log_costs_1_2_and_not_1_1(fork_server: ForkServer) -> None:
    evidence = evidence_of("content overflow", fork_server)
    assert full(result(evidence, "1.1"))
    told = result(evidence, "1.2")
    assert not full(told)
    assert told["output"] == "attention_by_content holds NaN or infinity, as its matrices give: see 3.2."


def test_a_model_output_that_the_code_does_not_give_fails(right: StudentRun) -> None:
    record = _model(right)
    test = result(with_log(right, model=replace(record, value=record.value + 0.01)), "1.3")
    assert test["score"] == 2
    assert "torch_transformer_value is not what your code gives" in test["output"]


def test_a_task_output_that_the_matrices_do_not_give_fails(right: StudentRun) -> None:
    record = _content(right)
    test = result(with_log(right, content=replace(record, output=np.flip(record.output))), "1.3")
    assert test["score"] == 3
    assert "the sequence that the notebook draws" in test["output"]


def test_soft_matrices_recorded_faithfully_cost_the_log_nothing(fork_server: ForkServer) -> None:
    evidence = evidence_of("content soft", fork_server)
    assert all(full(result(evidence, number)) for number in ("1.1", "1.2", "1.3"))


@pytest.mark.parametrize("number", ["1.1", "1.2", "1.3"])
def test_without_a_log_nothing_is_earned(number: str, fork_server: ForkServer) -> None:
    assert result(evidence_of("plain", fork_server, "notebook alone"), number)["score"] == 0
