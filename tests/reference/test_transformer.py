from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from reference.cases import EXTRA_WITH_POSITIONS, FOR_GRADIENTS, drawn_sizes, random_cases
from reference.transformer import NumpyTransformer

CASES = random_cases(EXTRA_WITH_POSITIONS + drawn_sizes(7), seed=7)
GRADIENT_CASES = random_cases((*FOR_GRADIENTS, *drawn_sizes(8)), seed=8)


def scores_of(*scores: float) -> NumpyTransformer:
    """A transformer whose every query has these scores, on the sequence np.eye(len(scores))."""
    count = len(scores)
    return NumpyTransformer(np.reshape(scores, (-1, 1)), np.ones((count, 1)), np.eye(count))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.sizes))
def test_the_output_is_the_definition_written_out_one_number_at_a_time(case):
    model, sizes = case.transformer, case.sizes
    rows = [[*token, *(model.pos[i] if model.pos is not None else [])] for i, token in enumerate(case.seq)]

    def project(row, matrix):
        return [sum(row[i] * matrix[i, j] for i in range(sizes.total_dim)) for j in range(matrix.shape[1])]

    queries, keys, values = ([project(row, m) for row in rows] for m in (model.Qm, model.Km, model.Vm))
    for i, query in enumerate(queries):
        exps = [
            math.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(sizes.qk_dim))
            for key in keys
        ]
        expected = [
            sum(e * value[j] for e, value in zip(exps, values, strict=True)) / sum(exps)
            for j in range(sizes.v_dim)
        ]
        np.testing.assert_allclose(model.forward(case.seq).output[i], expected, rtol=1e-9, atol=1e-12)


def test_every_intermediate_has_its_shape():
    case = random_cases(EXTRA_WITH_POSITIONS, seed=1)[0]  # 5 + 6 dimensions, qk_dim 3, v_dim 2, 4 tokens
    attention = case.transformer.forward(case.seq)
    assert attention.inputs.shape == (4, 11)
    assert attention.queries.shape == attention.keys.shape == (4, 3)
    assert attention.values.shape == attention.output.shape == (4, 2)
    assert attention.scores.shape == attention.attention_weights.shape == (4, 4)
    np.testing.assert_allclose(attention.attention_weights.sum(axis=-1), 1)


@pytest.mark.parametrize("method", ["plain", "sharp"])
def test_a_batch_gives_what_its_sequences_give_one_by_one(method):
    case = random_cases(EXTRA_WITH_POSITIONS, seed=2)[1]
    batch = np.stack([case.seq, -case.seq, case.seq[::-1]])
    run = getattr(case.transformer, method)
    np.testing.assert_allclose(run(batch).output, [run(seq).output for seq in batch], rtol=1e-12)
    one_by_one = [case.transformer.forward(seq).output for seq in batch]
    np.testing.assert_allclose(case.transformer.forward(batch).output, one_by_one, rtol=1e-12)


def test_plain_and_stable_outputs_agree_where_exp_holds():
    for case in CASES:
        assert case.transformer.worst_break(case.seq) is None
        np.testing.assert_allclose(
            case.transformer.plain(case.seq).output, case.transformer.forward(case.seq).output, rtol=1e-10
        )


def test_an_infinite_exp_makes_the_plain_output_nan_and_the_stable_one_right():
    model = scores_of(800, 0)
    assert np.isnan(model.plain(np.eye(2)).output).all()
    np.testing.assert_array_equal(model.forward(np.eye(2)).output, [[1, 0], [1, 0]])


def test_exps_that_all_round_to_zero_make_the_plain_output_nan():
    assert np.isnan(scores_of(-800, -900).plain(np.eye(2)).output).all()


def test_finite_exps_with_an_infinite_sum_make_the_plain_output_zero():
    model = scores_of(709.7, 709.7)
    np.testing.assert_array_equal(model.plain(np.eye(2)).output, np.zeros((2, 2)))
    found = model.worst_break(np.eye(2))
    assert found is not None
    assert found.overflows


def test_an_overflow_is_told_with_its_place_and_its_largest_score():
    model = NumpyTransformer(np.diag([100.0, 1200.0]), np.eye(2), np.eye(2))
    worst = model.worst_break(np.stack([np.eye(2)[[0, 0]], np.eye(2)]))
    assert worst is not None
    assert (worst.index, worst.overflows) == ((1, 1), True)
    assert worst.score == pytest.approx(1200 / math.sqrt(2))


def test_an_underflow_is_told_with_the_score_that_is_farthest_down():
    worst = NumpyTransformer(np.eye(1), [[-800.0]], np.eye(1)).worst_break([[1.0], [1.1]])
    assert worst is not None
    assert not worst.overflows
    assert worst.index == (1,)
    assert worst.score == pytest.approx(-880)


def test_a_score_past_the_largest_float_is_an_overflow():
    found = NumpyTransformer([[1e200]], [[1e200]], [[1.0]]).worst_break([[1.0]])
    assert found is not None
    assert found.overflows
    assert not math.isfinite(found.score)


def test_scores_in_range_break_nothing():
    assert scores_of(709.0, -2000.0).worst_break(np.eye(2)) is None


@pytest.mark.parametrize("method", ["forward", "plain", "sharp", "worst_break"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_matrices_that_are_not_finite_raise_no_warning(method, value):
    model = NumpyTransformer([[value, 0], [0, 1]], [[value, 1], [1, 1]], np.eye(2))
    getattr(model, method)(np.eye(2))


def test_sharp_attention_goes_to_the_largest_score_however_small_its_lead():
    np.testing.assert_array_equal(scores_of(1.001, 1, -5).sharp(np.eye(3)).output, np.eye(3)[[0, 0, 0]])


def test_sharp_attention_is_shared_among_ties():
    third = 0.1 + 0.2  # 0.30000000000000004: a tie with 0.3 in all but rounding
    np.testing.assert_allclose(scores_of(third, 0.3, 0).sharp(np.eye(3)).output, [[0.5, 0.5, 0]] * 3)


def test_zero_scores_share_the_attention_among_all():
    np.testing.assert_allclose(scores_of(0, 0).sharp(np.eye(2)).output, np.full((2, 2), 0.5))


def test_sharp_attention_is_the_limit_of_ever_larger_scores():
    for case in CASES:
        model = case.transformer
        sharpened = NumpyTransformer(model.Km * 1e9, model.Qm, model.Vm, model.pos)
        np.testing.assert_allclose(
            model.sharp(case.seq).output, sharpened.forward(case.seq).output, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", ["Km", "Qm", "Vm", "pos"])
def test_gradients_are_the_slopes_of_the_loss(name):
    step = 1e-5
    for case in GRADIENT_CASES[:6]:
        matrices = {key: getattr(case.transformer, key) for key in ("Km", "Qm", "Vm", "pos")}
        if matrices[name] is None:
            continue

        def loss(matrix, matrices=matrices, case=case):
            output = NumpyTransformer(**{**matrices, name: matrix}).forward(case.seq).output
            return (output * case.upstream).sum()

        slopes = np.zeros_like(matrices[name])
        for index in np.ndindex(slopes.shape):
            nudge = np.zeros_like(slopes)
            nudge[index] = step
            slopes[index] = (loss(matrices[name] + nudge) - loss(matrices[name] - nudge)) / (2 * step)
        found = case.transformer.gradients(case.seq, case.upstream)[name]
        np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-8)


def torch_gradients(model, seq, upstream):
    tensors = {k: torch.tensor(getattr(model, k), requires_grad=True) for k in ("Km", "Qm", "Vm")}
    x = torch.tensor(seq)
    if model.pos is not None:
        tensors["pos"] = torch.tensor(model.pos, requires_grad=True)
        x = torch.cat([x, tensors["pos"][: x.shape[-2]].expand(*x.shape[:-1], -1)], dim=-1)
    q, k, v = x @ tensors["Qm"], x @ tensors["Km"], x @ tensors["Vm"]
    out = torch.softmax(q @ k.mT / math.sqrt(model.qk_dim), dim=-1) @ v
    (out * torch.tensor(upstream)).sum().backward()
    return {name: tensor.grad.numpy() for name, tensor in tensors.items()}


@pytest.mark.parametrize("case", GRADIENT_CASES, ids=lambda case: str(case.sizes))
def test_gradients_are_those_of_autograd(case):
    found = case.transformer.gradients(case.seq, case.upstream)
    for name, expected in torch_gradients(case.transformer, case.seq, case.upstream).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-12)


def test_positions_past_the_sequence_get_no_gradient():
    case = GRADIENT_CASES[2]  # 7 tokens, 10 positions
    pos = case.transformer.gradients(case.seq, case.upstream)["pos"]
    assert pos.shape == (10, 5)
    assert (pos[7:] == 0).all()
    assert (pos[:7] != 0).all()


def test_without_positions_there_is_no_gradient_of_pos():
    case = GRADIENT_CASES[0]
    assert "pos" not in case.transformer.gradients(case.seq, case.upstream)


def test_an_upstream_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"upstream has shape \(2, 3\), the output \(2, 2\)"):
        scores_of(1, 2).gradients(np.eye(2), np.ones((2, 3)))


ones = np.ones


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (
            (ones((4, 2)), ones((5, 2)), ones((4, 3))),
            "Km has 4 rows, Qm has 5: both need input_dim + pos_dim rows",
        ),
        (
            (ones((4, 2)), ones((4, 2)), ones((3, 3))),
            "Vm has 3 rows, Km has 4: both need input_dim + pos_dim rows",
        ),
        ((ones((4, 2)), ones((4, 3)), ones((4, 3))), "Km has 2 columns, Qm has 3: both need qk_dim columns"),
        ((ones(4), ones((4, 3)), ones((4, 3))), "Km has shape (4,): expected a matrix with rows and columns"),
        ((ones((4, 0)), ones((4, 0)), ones((4, 3))), "Km has shape (4, 0): expected a matrix"),
        ((ones((4, 2)), ones((4, 2)), ones((4, 3)), ones((6, 4))), "pos has 4 columns, Km has 4 rows"),
    ],
)
def test_matrices_that_do_not_fit_together_are_refused_with_their_sizes(matrices, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared below
        NumpyTransformer(*matrices)
    assert message in str(caught.value)


def test_a_sequence_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"seq has shape \(2, 3\): expected \(seq_len, 2\)"):
        scores_of(1, 2).forward(np.ones((2, 3)))


def test_a_sequence_longer_than_its_positions_is_refused():
    model = NumpyTransformer(ones((3, 1)), ones((3, 1)), ones((3, 1)), ones((4, 2)))
    with pytest.raises(ValueError, match="seq has 5 tokens, pos has 4 rows"):
        model.forward(ones((5, 1)))


def test_matrices_are_copied_and_cannot_be_changed():
    mine = np.eye(2)
    model = NumpyTransformer(mine, mine, mine)
    mine[0, 0] = 5
    assert model.Km[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        model.Km[0, 0] = 5


def test_the_reference_needs_nothing_but_numpy():
    code = (
        "import sys, numpy; before = set(sys.modules)\n"
        "import reference.solutions, reference.cases\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - sys.stdlib_module_names - {'numpy'}))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.split() == ["reference"]
