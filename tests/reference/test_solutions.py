from __future__ import annotations

import json

import numpy as np
import pytest

from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, TASKS, UNIQUE, drawn_sequences
from reference.transformer import NumpyTransformer
from tests.answers.right_matrices import DESIGNS

from .notebook import ASSIGNMENT, needs_assignment, notebook

NOTEBOOK = {"rtol": 1e-3, "atol": 1e-8}
EVERY_SOLUTION = [
    pytest.param(TASKS[name], model, id=f"{name}: {how}")
    for name, solution in SOLUTIONS.items()
    for how, model in {"the reference's": solution, **DESIGNS[name]}.items()
]


def passes(task, model) -> list[bool]:
    """For every sequence of the task, whether the plain output passes."""
    return [
        bool(ok)
        for batch in task.all_sequences()
        for ok in task.judge(model.plain(batch.inputs).output, batch.expected, **NOTEBOOK)
    ]


@pytest.mark.parametrize(("task", "model"), EVERY_SOLUTION)
def test_a_solution_is_right_on_every_sequence(task, model):
    assert all(passes(task, model))


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_reference_s_solution_stays_far_from_the_limits_of_exp(task):
    model = SOLUTIONS[task.name]
    for batch in task.all_sequences():
        assert np.abs(model.forward(batch.inputs).scores.max(axis=-1)).max() < 300


@pytest.mark.parametrize(("task", "model"), EVERY_SOLUTION)
def test_a_solution_that_is_too_soft_still_attends_to_the_right_tokens(task, model):
    soft = NumpyTransformer(model.Km / 100, model.Qm, model.Vm, model.pos)
    if task is not UNIQUE:  # where any number with the right sign will do
        assert not all(passes(task, soft))
    for batch in task.all_sequences():
        assert task.judge(soft.sharp(batch.inputs).output, batch.expected, **NOTEBOOK).all()


@pytest.mark.parametrize(("task", "model"), EVERY_SOLUTION)
def test_scores_a_thousand_times_as_large_fail_exactly_where_exp_breaks(task, model):
    large = NumpyTransformer(model.Km * 1000, model.Qm, model.Vm, model.pos)
    batch = task.all_sequences()[-1]
    sums = large.plain(batch.inputs).attention_weights.sum(axis=-1)
    broken = ~np.isclose(sums, 1)[:, task.has_cls :].all(axis=-1)
    np.testing.assert_array_equal(
        task.judge(large.plain(batch.inputs).output, batch.expected, **NOTEBOOK), ~broken
    )
    assert task.judge(large.forward(batch.inputs).output, batch.expected, **NOTEBOOK).all()


def test_attending_to_all_alike_is_no_solution():
    nothing = np.zeros((3, 1))
    model = NumpyTransformer(nothing, nothing, np.eye(3))
    assert sum(passes(IDENTITY, model)) == 3 * 6  # only where one token fills the sequence, of each length


def notebook_outputs(model: NumpyTransformer, inputs):
    theirs = notebook()["NumpyTransformer"](model.Km, model.Qm, model.Vm, model.pos)
    with np.errstate(all="ignore"):
        return np.stack([theirs.forward(seq) for seq in inputs])


@needs_assignment
@pytest.mark.parametrize("sharpness", [0.02, 0.5, 1, 10, 30, 1000, -1, -30])
@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_plain_output_and_the_verdict_are_the_notebook_s_at_any_sharpness(task, sharpness):
    for model in DESIGNS[task.name].values():
        model = NumpyTransformer(model.Km * sharpness, model.Qm, model.Vm, model.pos)
        batch = task.all_sequences()[3]
        theirs, ours = notebook_outputs(model, batch.inputs), model.plain(batch.inputs).output
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-300)
        kept = np.sign(theirs[:, 1:]) if task is UNIQUE else theirs
        verdicts = [np.allclose(o, e, rtol=1e-3) for o, e in zip(kept, batch.expected, strict=True)]
        assert task.judge(ours, batch.expected, **NOTEBOOK).tolist() == verdicts


def recorded(task, seed: int, log):
    """The recorded output and what the reference makes of the recorded matrices; None if not recorded."""
    if task.name not in log:
        return None
    flat = {key: np.array(log[f"{task.name}_{key}"], dtype=float) for key in "KQV"}
    pos_dim = flat["V"].size // 3 - 3
    pos = np.reshape(log[f"{task.name}_pos"], (-1, pos_dim)) if pos_dim else None
    matrices = [flat[key].reshape(3 + pos_dim, -1) for key in "KQV"]
    output = NumpyTransformer(*matrices, pos).plain(next(drawn_sequences(task, seed)).inputs).output
    return np.array(log[task.name]), output


LOGS = sorted((ASSIGNMENT / "answers").glob("*/submission_log.json"))


@needs_assignment
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.parent.name)
def test_recorded_outputs_are_reproduced_from_the_recorded_matrices(path):
    log = json.loads(path.read_text(encoding="utf-8"))
    pairs = [recorded(IDENTITY, 1997, log), recorded(COPY_FIRST, 2017, log)]
    assert any(pairs)
    for theirs, ours in filter(None, pairs):
        np.testing.assert_allclose(ours.ravel(), theirs, rtol=1e-9, atol=1e-300)
