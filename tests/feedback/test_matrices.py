"""Hand-designed matrices: every planted mistake is named, and what a message promises holds."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from autograder.feedback import hand_designed
from autograder.feedback.hand_designed import ROUND_NUMBERS, explain_matrices
from autograder.feedback.messages import Verdict
from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, TASKS, UNIQUE, SequenceTask
from reference.transformer import NumpyTransformer
from tests.feedback.matrices import CONTENT, PLANTED, POSITION

NAMES = [f"{name}, {task.name}" for name, task, _ in PLANTED]


def told(task: SequenceTask, transformer: NumpyTransformer, *, half: bool = False) -> str:
    return unescape(explain_matrices(Verdict.of(task, transformer), half=half).text)


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED, ids=NAMES)
def test_a_planted_mistake_is_named(name: str, task: SequenceTask, transformer: NumpyTransformer) -> None:
    assert explain_matrices(Verdict.of(task, transformer), half=False).diagnosis == name


def test_every_mistake_there_is_a_name_for_is_planted() -> None:
    written = Path(hand_designed.__file__).read_text(encoding="utf-8")
    named = re.findall(r'(?:Finding\(|yield \(?|name = )\s*"([^"]+)"', written)
    assert {name for name, _, _ in PLANTED} == {*named, "attends to the wrong tokens"}


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED, ids=NAMES)
def test_a_message_gives_the_count_the_shortest_failing_sequence_and_what_was_expected(
    name: str, task: SequenceTask, transformer: NumpyTransformer
) -> None:
    verdict = Verdict.of(task, transformer)
    text, right = explain_matrices(verdict, half=False).text, verdict.right
    batch, passes = next((b, r) for b, r in zip(task.all_sequences(), right, strict=True) if not r.all())
    assert f"{sum(int(r.sum()) for r in right)} of {sum(len(r) for r in right)} sequences" in text
    assert f"The shortest sequence that fails is {batch.spell(int(np.argmin(passes)))}" in text
    assert "expected" in text


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
@pytest.mark.parametrize("number", ROUND_NUMBERS[::4])
def test_the_factor_that_a_message_gives_makes_every_sequence_pass(task: SequenceTask, number: float) -> None:
    plainest = SOLUTIONS[task.name]
    for change in (1 / number, number):
        changed = replace(plainest, Km=change * plainest.Km)
        if Verdict.of(task, changed).share == 1:
            continue
        found = re.search(r"(Multiply|Divide) Km by ([0-9.e+]+):", told(task, changed))
        assert found is not None
        factor = float(found[2]) if found[1] == "Multiply" else 1 / float(found[2])
        assert factor in ROUND_NUMBERS or round(1 / factor, 6) in ROUND_NUMBERS
        mended = replace(changed, Km=factor * changed.Km)
        assert Verdict.of(task, mended).share == 1


def test_soft_attention_and_a_scaled_vm_are_both_named() -> None:
    both = replace(CONTENT, Km=CONTENT.Km / 10, Vm=3 * CONTENT.Vm)
    explained = explain_matrices(Verdict.of(IDENTITY, both), half=False)
    assert explained.diagnosis == "not sharp enough, Vm scaled"


def test_overflow_and_a_permuted_vm_are_both_named() -> None:
    both = replace(CONTENT, Km=CONTENT.Km * 100, Vm=CONTENT.Vm[[1, 0, 2]])
    assert explain_matrices(Verdict.of(IDENTITY, both), half=False).diagnosis == "overflow, Vm permuted"


def test_the_leak_of_soft_attention_is_told_in_percent_beside_what_is_allowed() -> None:
    leak = 1 / (1 + np.exp(6 / np.sqrt(3)))
    text = told(IDENTITY, replace(CONTENT, Km=CONTENT.Km / 10))
    assert f"{100 * leak:.3g} % of its attention" in text
    assert "0.000001 % is allowed" in text


def test_half_of_the_points_is_told_when_it_is_given_and_only_then() -> None:
    soft = replace(CONTENT, Km=CONTENT.Km / 10)
    assert "half of the points" in told(IDENTITY, soft, half=True)
    assert "half of the points" not in told(IDENTITY, soft)


def test_random_matrices_are_explained_without_a_diagnosis_of_scale() -> None:
    draws = np.random.default_rng(5)
    transformer = NumpyTransformer(
        draws.normal(size=(7, 2)), draws.normal(size=(7, 2)), POSITION.Vm, draws.normal(size=(4, 4))
    )
    explained = explain_matrices(Verdict.of(COPY_FIRST, transformer), half=False)
    assert "not sharp enough" not in explained.diagnosis
    assert "expected" in explained.text


def test_random_signs_are_explained() -> None:
    draws = np.random.default_rng(6)
    transformer = NumpyTransformer(
        draws.normal(size=(6, 2)),
        draws.normal(size=(6, 2)),
        draws.normal(size=(6, 1)),
        draws.normal(size=(5, 2)),
    )
    assert "positive" in explain_matrices(Verdict.of(UNIQUE, transformer), half=False).text


@pytest.mark.parametrize("scale", [1e150, 1e300, 1e308])
def test_matrices_past_all_numbers_are_explained(scale: float) -> None:
    huge = replace(CONTENT, Km=scale * np.eye(3), Qm=scale * np.eye(3))
    explained = explain_matrices(Verdict.of(IDENTITY, huge), half=False)
    assert explained.diagnosis == "overflow"
    assert "NaN" in explained.text


@pytest.mark.parametrize("task", [IDENTITY, COPY_FIRST], ids=lambda task: task.name)
def test_a_mistake_of_attention_and_one_of_vm_are_both_named(task: SequenceTask) -> None:
    planted = [(name, transformer) for name, of, transformer in PLANTED if of is task]
    of_values = [(name, transformer) for name, transformer in planted if name.startswith("Vm")]
    of_attention = [
        (name, transformer)
        for name, transformer in planted
        if not name.startswith("Vm") and name not in ("not finite", "fails at one length")
    ]
    for value_name, values in of_values:
        for name, attention in of_attention:
            if values.Vm.shape != attention.Vm.shape:
                continue
            both = replace(attention, Vm=values.Vm)
            assert explain_matrices(Verdict.of(task, both), half=False).diagnosis == f"{name}, {value_name}"
