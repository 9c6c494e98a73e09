"""The whole rubric: points stand in the decorators alone, tolerances in settings alone."""

from __future__ import annotations

import numpy as np
import pytest

from autograder import settings
from autograder.checks import SECTIONS, rubric
from autograder.results.runner import run_checks
from autograder.sandbox.host import ForkServer
from reference.tasks import IDENTITY
from reference.transformer import NumpyTransformer
from tests.checks.run import evidence_of, full, log_of_design, result

EYE = np.eye(3)
CHECKS = [
    (section, name)
    for section in SECTIONS
    for name in sorted(vars(section))
    if name.startswith("test_") and hasattr(vars(section)[name], "__weight__")
]


@pytest.mark.parametrize("points", [lambda worth: worth * 2, lambda worth: worth / 2, lambda worth: 7.5])
def test_any_points_give_perfect_and_wrong_uploads_the_same_share_and_no_fault(
    points: object, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ("plain", "no scale", "content soft", "position attends last", "unique all positive", "blank")
    uploads = {answer: evidence_of(answer, fork_server) for answer in answers}
    before = {answer: _shares(uploads[answer]) for answer in answers}
    for section, name in CHECKS:
        method = vars(section)[name]
        monkeypatch.setattr(method, "__weight__", points(method.__weight__))  # type: ignore[operator]
    assert len(CHECKS) == 14
    for answer in answers:
        after = _shares(uploads[answer])
        for number in before[answer].keys() & after.keys():
            assert after[number] == pytest.approx(before[answer][number], abs=0.01), (answer, number)


def _shares(evidence: object) -> dict[str, float]:
    graded = run_checks(rubric(evidence))  # type: ignore[arg-type]
    assert graded.faults == ()
    tests = [test for test in graded.results["tests"] if test.get("max_score")]
    return {test["number"]: test["score"] / test["max_score"] for test in tests}


def test_extra_credit_for_the_optional_part_is_earned_or_absent_but_never_a_red_zero(
    fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, name = next((s, n) for s, n in CHECKS if vars(s)[n].__number__ == "5.1")
    monkeypatch.setattr(vars(section)[name], "__weight__", 5)
    earned = result(evidence_of("unique: a compass", fork_server), "5.1")
    assert (earned["score"], earned["max_score"], earned["status"]) == (5, 5, "passed")
    left_alone = result(evidence_of("plain", fork_server), "5.1")
    assert (left_alone["score"], left_alone["max_score"], "status" in left_alone) == (0, 0, False)


@pytest.mark.parametrize(
    ("lead", "rtol", "atol", "passes"),
    [
        (20.1, 1e-3, 1e-8, True),
        (19.9, 1e-3, 1e-8, False),
        (20.1, 1e-3, 1e-10, False),
        (19.9, 1e-3, 1e-6, True),
        (8.0, 1e-1, 1e-2, True),
        (8.0, 1e-3, 1e-3, False),
    ],
)
def test_check_and_feedback_agree_when_a_tolerance_is_changed(
    lead: float, rtol: float, atol: float, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autograder.feedback.hand_designed import passes_everywhere

    monkeypatch.setattr(settings, "RTOL", rtol)
    monkeypatch.setattr(settings, "TASK_ATOL", atol)
    design = NumpyTransformer(lead * np.sqrt(3) * EYE, EYE, EYE)
    assert full(result(log_of_design("attention_by_content", design), "3.2")) is passes
    assert passes_everywhere(IDENTITY, design) is passes
