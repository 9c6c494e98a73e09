from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from reference.cases import (
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    FOR_GRADIENTS,
    drawn_sizes,
    equivalence_cases,
    random_cases,
)

from .notebook import needs_assignment, notebook

SETS = {
    "without positions": EXTRA_WITHOUT_POSITIONS,
    "with positions": EXTRA_WITH_POSITIONS,
    "for gradients": FOR_GRADIENTS,
}
SEEDS = (20231, 20232, 20233, *range(12))  # the grader's own, and others that staff may choose
RTOL, ATOL = 1e-3, 1e-5


def off_by(got, expected) -> float:
    """The largest error in units of the tolerance: above 1 fails."""
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected)
    return float((np.abs(got - expected) / (ATOL + RTOL * np.abs(expected))).max())


class Float32Model:
    """A right model in float32 with its layers as tensors, and attention in one of many styles."""

    def __init__(self, case, style):
        names = ("Km", "Qm", "Vm", "pos")
        arrays = {name: getattr(case.transformer, name) for name in names}
        self.weights = {
            name: torch.tensor(array, dtype=torch.float32, requires_grad=True)
            for name, array in arrays.items()
            if array is not None
        }
        self.style, self.case = style, case

    def output(self) -> torch.Tensor:
        x = torch.tensor(self.case.seq, dtype=torch.float32)
        if "pos" in self.weights:
            x = torch.cat([x, self.weights["pos"][: len(x)]], dim=1)
        return self.style(*(x @ self.weights[name] for name in ("Qm", "Km", "Vm")))


def with_softmax(q, k, v):
    return torch.softmax(q @ k.T / math.sqrt(q.shape[1]), dim=-1) @ v


def with_sdpa(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]


def with_einsum(q, k, v):
    weights = torch.einsum("id,jd->ij", q, k).mul(q.shape[1] ** -0.5).softmax(1)
    return torch.einsum("ij,jv->iv", weights, v)


def with_plain_exp(q, k, v):
    exps = torch.exp((k @ q.T).T / q.shape[1] ** 0.5)
    return (exps @ v) / exps.sum(dim=1, keepdim=True)


def with_transposed_scores(q, k, v):
    return v.T.matmul(torch.softmax((k / math.sqrt(k.shape[1])) @ q.T, dim=0)).T


STYLES = (with_softmax, with_sdpa, with_einsum, with_plain_exp, with_transposed_scores)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_a_right_model_in_float32_is_ten_times_nearer_than_the_tolerance(sizes, style):
    worst = max(
        off_by(Float32Model(case, style).output().detach(), case.transformer.forward(case.seq).output)
        for seed in SEEDS
        for case in random_cases(sizes, seed)
    )
    assert worst < 0.1


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_right_gradients_in_float32_are_ten_times_nearer_than_the_tolerance(style):
    worst = 0.0
    for seed in SEEDS:
        for case in random_cases(FOR_GRADIENTS, seed):
            model = Float32Model(case, style)
            (model.output() * torch.tensor(case.upstream, dtype=torch.float32)).sum().backward()
            expected = case.transformer.gradients(case.seq, case.upstream)
            errors = [off_by(weight.grad, expected[name]) for name, weight in model.weights.items()]
            worst = max(worst, *errors)
    assert worst < 0.1


def test_a_weight_that_gets_no_gradient_or_half_of_it_shows_plainly():
    for seed in SEEDS:
        for case in random_cases(FOR_GRADIENTS, seed):
            expected = case.transformer.gradients(case.seq, case.upstream)
            for gradient in expected.values():
                assert off_by(gradient / 2, gradient) > 100


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_a_right_model_in_float32_passes_the_notebook_s_own_cases(style):
    worst = max(
        off_by(Float32Model(case, style).output().detach(), case.transformer.forward(case.seq).output)
        for case in equivalence_cases(42)
    )
    assert worst < 0.1


def bug(scale=None, axis=-1, swap=False, mask=False, positions="first", order="right", normalise=True):
    """A model in float64 with one mistake. scale: sizes to the divisor of the scores."""

    def run(case) -> Any:
        model, sizes, x = case.transformer, case.sizes, case.seq
        if model.pos is not None:
            length = len(x)
            first = model.pos[:length]
            pos = {
                "first": first,
                "last": model.pos[-length:],
                "reversed": first[::-1],
                "repeated": np.repeat(first[:1], length, axis=0),
                "zero": np.zeros_like(first),
            }[positions]
            parts = [x, pos]
            x = np.concatenate(parts if order == "right" else parts[::-1], axis=1)
        q, k, v = x @ model.Qm, x @ model.Km, x @ model.Vm
        if swap:
            q, k = k, q
        scores = q @ k.T / (scale(sizes) if scale else math.sqrt(sizes.qk_dim))
        if mask:
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        exps = np.exp(scores)
        return (exps / exps.sum(axis=axis, keepdims=True) if normalise else scores) @ v

    return run


BUGS = {
    "no scale": bug(scale=lambda s: 1),
    "divided by qk_dim": bug(scale=lambda s: s.qk_dim),
    "multiplied by the root": bug(scale=lambda s: s.qk_dim**-0.5),
    "root of v_dim": bug(scale=lambda s: math.sqrt(s.v_dim)),
    "root of input_dim": bug(scale=lambda s: math.sqrt(s.input_dim)),
    "root of total_dim": bug(scale=lambda s: math.sqrt(s.total_dim)),
    "root of seq_len": bug(scale=lambda s: math.sqrt(s.seq_len)),
    "root of max_seq_len": bug(scale=lambda s: math.sqrt(s.max_seq_len)),
    "softmax over queries": bug(axis=0),
    "softmax over everything": bug(axis=(0, 1)),
    "no softmax": bug(normalise=False),
    "queries and keys swapped": bug(swap=True),
    "causal mask": bug(mask=True),
}
POSITION_BUGS = {
    "positions in front": bug(order="left"),
    "last positions": bug(positions="last"),
    "positions reversed": bug(positions="reversed"),
    "the first position everywhere": bug(positions="repeated"),
    "positions left out": bug(positions="zero"),
}


def cases_told_apart(model, sizes, seed) -> int:
    """In how many cases the model misses the reference by a hundred tolerances."""
    cases = random_cases(sizes, seed)
    return sum(off_by(model(case), case.transformer.forward(case.seq).output) > 100 for case in cases)


def test_the_model_of_the_bugs_is_right_without_one():
    for sizes in SETS.values():
        assert cases_told_apart(bug(), sizes, seed=3) == 0


@pytest.mark.parametrize("model", BUGS.values(), ids=BUGS)
@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_a_bug_shows_plainly_in_every_set_whatever_the_seed(sizes, model):
    assert min(cases_told_apart(model, sizes, seed) for seed in SEEDS) >= 2


@pytest.mark.parametrize("model", POSITION_BUGS.values(), ids=POSITION_BUGS)
def test_a_bug_of_positions_shows_plainly_whatever_the_seed(model):
    assert min(cases_told_apart(model, EXTRA_WITH_POSITIONS, seed) for seed in SEEDS) >= 2


@pytest.mark.parametrize("model", [*BUGS.values(), *POSITION_BUGS.values()], ids=[*BUGS, *POSITION_BUGS])
def test_a_bug_shows_plainly_at_drawn_sizes_whatever_the_seed(model):
    assert min(cases_told_apart(model, drawn_sizes(seed), seed) for seed in SEEDS) >= 2


def test_drawn_sizes_are_the_seed_s_and_hold_what_wrong_code_stumbles_over():
    assert drawn_sizes(1) == drawn_sizes(1) != drawn_sizes(2)
    for sizes in map(drawn_sizes, SEEDS):
        assert {1} < {s.seq_len for s in sizes}
        assert max(s.seq_len for s in sizes) >= 50
        assert any(s.seq_len == s.max_seq_len > 1 for s in sizes)
        assert any(s.qk_dim == s.v_dim == s.input_dim > 1 for s in sizes)
        assert any(s.total_dim == s.v_dim == s.qk_dim > s.input_dim for s in sizes)
        assert all(1 in {getattr(s, name) for s in sizes} for name in ("input_dim", "qk_dim", "v_dim"))


@pytest.mark.parametrize("sizes", SETS.values(), ids=SETS)
def test_every_case_has_the_sizes_asked_for(sizes):
    for wanted, case in zip(sizes, random_cases(sizes, 4), strict=True):
        assert case.sizes == wanted
        assert case.transformer.Km.shape == (wanted.total_dim, wanted.qk_dim)
        assert case.transformer.Vm.shape == (wanted.total_dim, wanted.v_dim)
        assert case.seq.shape == (wanted.seq_len, wanted.input_dim)
        assert case.upstream.shape == (wanted.seq_len, wanted.v_dim)
        assert wanted.seq_len <= wanted.max_seq_len
        if wanted.pos_dim is None:
            assert case.transformer.pos is None
        else:
            assert case.transformer.pos.shape == (wanted.max_seq_len, wanted.pos_dim)


def test_the_same_seed_draws_the_same_cases():
    for one, other in zip(random_cases(drawn_sizes(9), 9), random_cases(drawn_sizes(9), 9), strict=True):
        np.testing.assert_array_equal(one.transformer.Km, other.transformer.Km)
        np.testing.assert_array_equal(one.seq, other.seq)


def test_a_case_does_not_depend_on_its_neighbours():
    longer, shorter = random_cases(drawn_sizes(9), 9), random_cases(drawn_sizes(9)[:3], 9)
    np.testing.assert_array_equal(longer[2].seq, shorter[2].seq)


def test_five_equivalence_cases_have_positions_and_five_have_none():
    assert [case.transformer.pos is None for case in equivalence_cases(42)] == [False] * 5 + [True] * 5


class PastTheCases(Exception):
    pass


class StandIn:
    """Stands where the student's model stands in the notebook's test, and agrees with the reference."""

    seen: list[tuple[Any, np.ndarray, np.ndarray]]
    made: list[tuple[int | None, ...]]

    def __init__(self, *sizes):
        if len(self.made) == len(equivalence_cases()):
            raise PastTheCases
        self.made.append(sizes)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass

    def __call__(self, seq):
        return torch.tensor(self.seen[-1][2])


@needs_assignment
@pytest.mark.parametrize("seed", [42, 1, 2, 3])
def test_the_equivalence_cases_are_those_of_the_notebook_s_test(seed, monkeypatch):
    seen: list[tuple[Any, np.ndarray, np.ndarray]] = []
    made: list[tuple[int | None, ...]] = []

    class Recorder(notebook()["NumpyTransformer"]):
        def forward(self, seq, verbose=False):
            seen.append((self, seq, super().forward(seq)))
            return seen[-1][2]

    monkeypatch.setattr(StandIn, "seen", seen, raising=False)
    monkeypatch.setattr(StandIn, "made", made, raising=False)
    for name, value in {"NumpyTransformer": Recorder, "PytorchTransformer": StandIn, "torch": torch}.items():
        monkeypatch.setitem(notebook(), name, value)
    # The seeding of the notebook's generators is the notebook's own; torch's is left as it was.
    with torch.random.fork_rng(), pytest.raises(PastTheCases):
        notebook()["test"](seed)
    for case, (model, seq, output), sizes in zip(equivalence_cases(seed), seen, made, strict=True):
        ours = case.sizes
        assert sizes == (ours.input_dim, ours.qk_dim, ours.v_dim, ours.pos_dim, ours.max_seq_len)
        for name in ("Km", "Qm", "Vm", "pos"):
            np.testing.assert_array_equal(getattr(case.transformer, name), getattr(model, name))
        np.testing.assert_array_equal(case.seq, seq)
        np.testing.assert_allclose(case.transformer.forward(seq).output, output, rtol=1e-12)
