"""Sections 3, 4 and 5: designs that solve a task pass, designs with a named mistake do not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from autograder.checks import hand_designed
from autograder.checks.run import StudentRun
from autograder.feedback import hand_designed as feedback
from autograder.sandbox.host import ForkServer
from autograder.submission.types import Matrices, Submission
from reference.transformer import NumpyTransformer
from tests.answers.right_matrices import DESIGNS
from tests.checks.run import evidence_of, full, log_of_design, result

EYE = np.eye(3)
CONTENT = [(how, design) for how, design in DESIGNS["attention_by_content"].items()]
POSITION = [(how, design) for how, design in DESIGNS["attention_by_position"].items()]


@pytest.mark.parametrize(("how", "design"), CONTENT)
def test_content_designs_pass(how: str, design: NumpyTransformer) -> None:
    evidence = log_of_design("attention_by_content", design)
    assert full(result(evidence, "3.1"))
    assert full(result(evidence, "3.2"))


@pytest.mark.parametrize(("how", "design"), POSITION)
def test_position_designs_pass(how: str, design: NumpyTransformer) -> None:
    evidence = log_of_design("attention_by_position", design)
    assert full(result(evidence, "4.1"))
    assert full(result(evidence, "4.2"))


@pytest.mark.parametrize(
    ("mistake", "number"),
    [
        ("content values with 4 columns", "3.1"),
        ("content flat", "3.1"),
        ("content 4 rows", "3.1"),
        ("content blank", "3.1"),
        ("position transposed", "4.1"),
        ("position 3 rows", "4.1"),
        ("position without pos", "4.1"),
    ],
)
def test_matrices_of_another_shape_fail_and_the_next_check_points_there(
    mistake: str, number: str, fork_server: ForkServer
) -> None:
    evidence = evidence_of(mistake, fork_server)
    shapes = result(evidence, number)
    sequences = result(evidence, number.replace(".1", ".2"))
    assert shapes["score"] == sequences["score"] == 0
    assert f"see {number}" in sequences["output"]


def test_soft_attention_that_lands_right_keeps_half() -> None:
    soft = NumpyTransformer(10 * EYE, EYE, EYE)
    assert result(log_of_design("attention_by_content", soft), "3.2")["score"] == 10


def test_a_design_keeps_the_share_of_sequences_that_are_right() -> None:
    two_tokens = NumpyTransformer(np.diag([90.0, 90.0, 0.0]), EYE, EYE)
    test = result(log_of_design("attention_by_content", two_tokens), "3.2")
    # Right are those of A and B alone, 2 + 4 + ... + 64 = 126, and of C alone, 6; C looks at all tokens.
    assert test["score"] == pytest.approx(20 * 132 / 1092, abs=0.01)


def test_attention_that_lands_right_but_overflows_keeps_half() -> None:
    huge = NumpyTransformer(3000 * EYE, EYE, EYE)
    test = result(log_of_design("attention_by_content", huge), "3.2")
    assert test["score"] == 10
    assert "709" in test["output"]


def test_attention_that_overflows_and_lands_wrong_keeps_no_half() -> None:
    wrong = NumpyTransformer(np.roll(3000 * EYE, 1, axis=0), EYE, EYE)
    assert result(log_of_design("attention_by_content", wrong), "3.2")["score"] < 10


def test_matrices_of_very_many_columns_are_judged_in_little_memory() -> None:
    wide = NumpyTransformer(np.tile(0.66 * EYE, 11_111), np.tile(EYE, 11_111), EYE)
    tracemalloc.start()
    test = result(log_of_design("attention_by_content", wide), "3.2")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert full(test)
    assert peak < 64 * 2**20


def test_a_pos_without_columns_in_the_optional_part_is_no_pos() -> None:
    from autograder.assignment import Task
    from autograder.submission.types import Matrices

    verdict = hand_designed.judge(
        Task.UNIQUE, Matrices(np.eye(4), np.eye(4), np.ones((4, 1)), np.zeros((5, 0)))
    )
    assert 0 < verdict.share < 1


def test_a_score_just_below_exp_s_limit_passes() -> None:
    design = NumpyTransformer(700 * np.sqrt(3) * EYE, EYE, EYE)
    assert full(result(log_of_design("attention_by_content", design), "3.2"))


@pytest.mark.parametrize(("lead", "passes"), [(20.1, True), (19.9, False)])
def test_sharpness_is_judged_by_the_notebook_s_tolerance(lead: float, passes: bool) -> None:
    design = NumpyTransformer(lead * np.sqrt(3) * EYE, EYE, EYE)
    assert full(result(log_of_design("attention_by_content", design), "3.2")) is passes


def test_attending_to_the_last_token_keeps_the_sequences_of_one_token_kind(fork_server: ForkServer) -> None:
    test = result(evidence_of("position attends last", fork_server), "4.2")
    assert 0 < test["score"] < 20


@pytest.mark.parametrize("how", list(DESIGNS["unique_tokens"]))
def test_unique_designs_are_right(how: str) -> None:
    from autograder.assignment import Task
    from autograder.submission.types import Matrices

    design = DESIGNS["unique_tokens"][how]
    verdict = hand_designed.judge(Task.UNIQUE, Matrices(design.Km, design.Qm, design.Vm, design.pos))
    assert verdict.share == 1


def test_a_unique_design_that_solves_the_task_passes(fork_server: ForkServer) -> None:
    assert result(evidence_of("unique: a compass", fork_server), "5.1")["status"] == "passed"


@pytest.mark.parametrize("mistake", ["unique all positive", "unique repelled by nothing", "unique misshapen"])
def test_a_wrong_unique_design_fails_and_costs_nothing(mistake: str, fork_server: ForkServer) -> None:
    test = result(evidence_of(mistake, fork_server), "5.1")
    assert (test["status"], test["max_score"]) == ("failed", 0)


def test_matrices_left_over_from_the_position_task_are_not_an_attempt(fork_server: ForkServer) -> None:
    assert "Not attempted" in result(evidence_of("plain", fork_server), "5.1")["output"]


def test_a_log_alone_shows_nothing_of_the_optional_part(fork_server: ForkServer) -> None:
    test = result(evidence_of("unique: a compass", fork_server, "log alone"), "5.1")
    assert "only the notebook holds this part; upload it" in test["output"]


def test_an_explanation_that_fails_leaves_the_count_and_the_points(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(feedback, "find", broken)
    check = hand_designed.AttentionByContent("test_every_sequence", StudentRun(Submission(None, None, ())))
    with pytest.raises(AssertionError, match=r"^18 of 1092 sequences are right\.$"):
        check.judge(Matrices(6 * np.eye(3), np.eye(3), np.eye(3)))
    assert (check.share, check.diagnosis) == (0.5, "")
    assert "ZeroDivisionError" in capfd.readouterr().err
