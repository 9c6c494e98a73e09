"""Which known mistake explains a model's outputs: the simplest combination that reproduces them all.

Combinations of mistakes are computed on every case in float64, and what cannot be told from the student's
outputs is named. Nothing here changes a score; imported by the failing path only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, combinations, product
from typing import Any, Final

import numpy as np

from autograder.feedback.messages import Run
from autograder.feedback.mistakes import BIAS, MISTAKES, Choice, Mistake, softmax
from autograder.sandbox.calls import Forward, Gradients
from reference.transformer import FloatArray, NumpyTransformer

Combination = tuple[int, ...]
"""One index into the variants of each choice; 0 is what the assignment asks for."""

MAX_MISTAKES: Final = 3
FIT_RTOL: Final = 1e-4
"""Of the largest number of the output: ten times tighter than the grade's, a hundred times float32's."""
FIT_ATOL: Final = 2e-6
LOOSER_FROM, LOOSER_AT_MOST = 100.0, 100.0
"""Scores over their sum grow as the sum cancels, and float32's error with them: from this size on, the
tolerance grows in proportion, to this many times."""
_NEAR: Final = 1e-3
"""Above what float32 leaves after the least squares, below any mistake worth naming."""
_WORST_CONDITION: Final = 100.0
_TRANSPOSED: Final = (
    "Together these two amount to one: the attention weights are transposed before they multiply the values. "
    "If that is what you do, remove it."
)
FIRST_ITEMS: Final = 3, 10
"""Lengths of the cases that rule out most combinations: shorter ones tell nothing, longer ones cost most."""

CHOICES = tuple(Choice)
RIGHT: Combination = (0,) * len(CHOICES)
VARIANTS = {
    choice: tuple((key, mistake) for mistake in rows for key in mistake.variants)
    for choice, rows in MISTAKES.items()
}
"""By choice, every variant's key with its mistake."""


@dataclass(frozen=True)
class Diagnosis:
    """Why the outputs differ. mistakes: in the order of the computation; empty if none is known.

    remark: what several mistakes amount to; without a mistake, the first intermediate that departs.
    combination: of the variants; None for biases and for what is unknown.
    """

    mistakes: tuple[Mistake, ...] = ()
    remark: str = ""
    combination: Combination | None = None

    def explains(self, runs: Sequence[Run]) -> bool:
        """Whether the mistakes reproduce these runs, also that the student's code raised where it did."""
        if self.combination is None:
            return bool(self.mistakes)
        its = [self.combination]
        return all(fitting(run, its) if run.ran else outputs(run.call, its)[0] is None for run in runs)

    def showing(self, runs: Sequence[Run]) -> tuple[Mistake, ...]:
        """The mistakes without which these runs would give something else."""
        if self.combination is None:
            return self.mistakes
        wrong = [place for place, index in enumerate(self.combination) if index]
        without = [[(*self.combination[:place], 0, *self.combination[place + 1 :])] for place in wrong]
        pairs = zip(self.mistakes, without, strict=True)
        return tuple(mistake for mistake, other in pairs if not all(fitting(r, other) for r in runs if r.ran))

    def gives_gradients(self, call: Gradients, got: Mapping[str, FloatArray]) -> bool:
        """Whether a model with these mistakes has these gradients, by name: by central differences."""
        return self.combination is not None and all(
            np.allclose(_slopes(self.combination, call, name), its, rtol=1e-3, atol=1e-4)
            for name, its in got.items()
        )


# --- The search. ---


def diagnose(runs: Sequence[Run], *, has_bias: bool = False) -> Diagnosis:
    """Name the simplest combination of mistakes that reproduces every output; none if all are right.

    Pass every run, those that are right too: they rule explanations out. has_bias: the model's
    layers are known to have biases, whose numbers nobody knows: said when nothing else fits.
    """
    ran = sorted((run for run in runs if run.ran), key=_tells_most)
    if all(run.is_right for run in ran):
        return Diagnosis()
    with np.errstate(all="ignore"):  # outputs may hold anything, the largest numbers too
        found = _simplest(ran, [run for run in runs if not run.ran])
        if found is not None:
            keys = {VARIANTS[choice][index][0] for choice, index in zip(CHOICES, found, strict=True) if index}
            return Diagnosis(mistakes_of(found), _TRANSPOSED if keys == {"KQV", "queries"} else "", found)
        return Diagnosis((BIAS,)) if has_bias else Diagnosis((), first_divergence(ran))


def _simplest(ran: Sequence[Run], raised: Sequence[Run]) -> Combination | None:
    # Where float32 overflows, what is left depends on how the softmax is written: such runs count
    # in the first round (a masked row gives NaN in float64 too), not in the second.
    finite = [run for run in ran if np.isfinite(run.output).all()]
    rounds = [ran, finite] if 0 < len(finite) < len(ran) else [ran]
    if not any(np.isfinite(run.output).any() for run in ran):
        rounds = []  # NaN everywhere looks the same whatever the mistake
    for used, count in product(rounds, range(1, MAX_MISTAKES + 1)):
        found = combinations_of(count)
        for run in used:
            found = fitting(run, found)
        for run in raised:  # of several that fit, those that raise where the student's code did
            given = zip(found, outputs(run.call, found), strict=True)
            found = [combination for combination, out in given if out is None] or found
        if found:
            return found[0]
    return None


def mistakes_of(combination: Combination) -> tuple[Mistake, ...]:
    """The mistakes of a combination, in the order of the computation."""
    chosen = zip(CHOICES, combination, strict=True)
    return tuple(VARIANTS[choice][index][1] for choice, index in chosen if index)


@cache
def combinations_of(count: int) -> list[Combination]:
    """Every combination with exactly count mistakes, likelier ones first.

    From three on, only common variants take part: the bound that keeps a diagnosis cheap.
    """
    wrong = {
        choice: [i for i, (key, row) in enumerate(variants) if i and (count < 3 or key in row.common)]
        for choice, variants in VARIANTS.items()
    }
    chosen = combinations(CHOICES, count)
    options = ([wrong[choice] if choice in its else [0] for choice in CHOICES] for its in chosen)
    found = chain.from_iterable(product(*each) for each in options)
    return sorted(found, key=lambda combination: (sum(combination), combination))


def fitting(run: Run, tried: Sequence[Combination]) -> list[Combination]:
    """Those that reproduce the output of this run, which has one, NaN and infinities included.

    The tolerance is relative to the largest number: where large terms cancel, float32 keeps no more.
    """
    output, found = run.output, []
    for combination, out in zip(tried, outputs(run.call, tried), strict=True):
        if out is None or out.shape != output.shape:
            continue
        size, looser = float(np.abs(out[np.isfinite(out)]).max(initial=0.0)), 1.0
        if VARIANTS[Choice.SOFTMAX][combination[Choice.SOFTMAX.value]][0] == "linear":
            looser = min(max(size / LOOSER_FROM, 1.0), LOOSER_AT_MOST)
        with np.errstate(all="ignore"):
            near = np.abs(out - output) <= FIT_ATOL + FIT_RTOL * looser * size
        if (near | (out == output) | (np.isnan(out) & np.isnan(output))).all():
            found.append(combination)
    return found


def _tells_most(run: Run) -> tuple[bool, bool, int]:
    """Sort key: with positions and of middling length first, those that cost most last."""
    shortest, longest = FIRST_ITEMS
    n = len(run.call.seq)
    return (not shortest <= n <= longest, run.call.weights.pos is None, n)


# --- What each combination gives. Overflow and NaN are data here: a student's output may hold them. ---


def outputs(call: Forward | Gradients, tried: Sequence[Combination]) -> list[FloatArray | None]:
    """What each combination gives; None where PyTorch would raise (shapes that do not multiply, no such row).

    What combinations have in common is computed once.
    """
    seq, pos, n = call.seq, call.weights.pos, len(call.seq)

    @cache
    def layers(positions: int, weights: int) -> dict[str, FloatArray]:
        """K, Q (rows, qk_dim), V (rows, v_dim), x (rows, total_dim), seq (rows, input_dim)."""
        rows = (seq,) if pos is None else _formula(Choice.POSITIONS, positions)(seq, pos[:n], pos)
        x = np.concatenate(rows, axis=1)
        change, changed = _formula(Choice.WEIGHTS, weights)
        found: dict[str, Any] = {"x": x, "seq": np.pad(seq, ((0, len(x) - n), (0, 0)))}
        for name in "KQV":
            matrix = getattr(call.weights, f"{name}m")
            found[name] = x @ (change(matrix) if name in changed else matrix)
        return found

    @cache
    def attention(*chosen: int) -> FloatArray:
        """(rows, rows), by the first six choices."""
        positions, weights, roles, scale, kind, mask = chosen
        its, (left, right, _) = layers(positions, weights), _formula(Choice.ROLES, roles)
        before, after = _formula(Choice.SCALE, scale)(call.sizes, len(its["x"]))
        factor, hidden, kept = _formula(Choice.MASK, mask)(len(its["x"]))
        scores = np.where(hidden, -np.inf, its[left] @ its[right].T * before * factor)
        return np.asarray(_formula(Choice.SOFTMAX, kind)(scores) * kept * after)

    def output(combination: Combination) -> FloatArray | None:
        *inner, values, residual, returned = combination
        try:
            its, weights = layers(*inner[:2]), attention(*inner)
        except ValueError:  # shapes that PyTorch, too, does not take
            return None
        value = its[_formula(Choice.VALUES, values) or _formula(Choice.ROLES, inner[2])[2]]
        out: FloatArray = weights @ value
        if VARIANTS[Choice.SOFTMAX][inner[4]][0] == "of output":
            out = softmax(out)
        if added := _formula(Choice.RESIDUAL, residual):
            if its[added].shape != value.shape:
                return None
            out = out + its[added]
        padded = pos is not None and VARIANTS[Choice.POSITIONS][inner[0]][0] == "padded"
        return np.asarray(_formula(Choice.OUTPUT, returned)(out if padded else out[:n]))

    with np.errstate(all="ignore"):
        return [output(combination) for combination in tried]


def _formula(choice: Choice, index: int) -> Any:
    key, mistake = VARIANTS[choice][index]
    return mistake.variants[key]


def _slopes(combination: Combination, call: Gradients, name: str) -> FloatArray:
    """The gradient of (output * upstream).sum() with respect to one matrix; NaN if nothing comes."""
    matrix = getattr(call.weights, name)
    slopes, step = np.zeros(matrix.shape), 1e-5
    for place in np.ndindex(matrix.shape):
        for sign in (1, -1):
            moved = matrix.astype(np.float64)
            moved[place] += sign * step
            (out,) = outputs(replace(call, weights=replace(call.weights, **{name: moved})), [combination])
            if out is None or out.shape != call.upstream.shape:
                return np.full(matrix.shape, np.nan)
            slopes[place] += sign * float((out * call.upstream).sum()) / (2 * step)
    return slopes


# --- When no known mistake fits: the first intermediate that can be compared. ---


def first_divergence(runs: Sequence[Run]) -> str:
    """What departs first, in the first of the runs that tells it, and where to look."""
    for run in runs:
        n, got, expected = len(run.call.seq), run.output.shape, run.expected.shape
        if got != expected:
            return (
                f"For a sequence of length {n} your output has the shape {got}; expected "
                f"{expected}, (seq_len, v_dim). In forward, print the shapes of Q, K, V, scores and weights."
            )
    for run in runs:
        if not np.isfinite(run.output).all():
            return (
                f"For a sequence of length {len(run.call.seq)} your output holds NaN or infinity. Look for a "
                "division by zero, a logarithm of zero, or a row of scores that is masked entirely."
            )
    return next(
        filter(None, map(_compare, runs)),
        "Compare forward with the NumpyTransformer on one short sequence: print queries, keys, values, "
        "scores and attention weights, and find the first that differs.",
    )


def _compare(run: Run) -> str:
    """ "" if this run's attention weights cannot be worked out, or are right.

    Where a sequence is shorter than v_dim, the values determine the attention weights from the output.
    """
    weights: Any = run.call.weights  # of any float dtype; NumpyTransformer makes it float64
    n, output = len(run.call.seq), run.output
    reference = NumpyTransformer(weights.Km, weights.Qm, weights.Vm, weights.pos).forward(run.call.seq)
    values, scores = reference.values, reference.scores
    if not 2 <= n < values.shape[1] or np.linalg.cond(values) > _WORST_CONDITION:
        return ""
    attention = output @ np.linalg.pinv(values)  # (n, n)
    if np.abs(attention @ values - output).max() > _NEAR * max(1.0, float(np.abs(output).max())):
        return (
            "Your output's rows are not weighted sums of the values. Look at V = self.Vm(x) first, where x "
            "is seq with the positions appended, then at what you do after multiplying by V."
        )
    if kept := _kept(attention, reference.attention_weights) or _kept(output, run.expected):
        return (
            f"Some numbers are 0 and all others {kept:.4g} times the expected ones: that is dropout. "
            "Remove it from forward: the NumpyTransformer has none."
        )
    sums = attention.sum(axis=1)
    if np.abs(sums - 1).max() > _NEAR:
        return (
            f"Your values are right, but on {n} tokens the attention weights of the first query sum to "
            f"{sums[0]:.4g}, expected 1. Look at the softmax in forward: dim=-1."
        )
    factor = _factor(attention, scores)
    if factor is None:
        return (
            "Your values are right; the attention weights differ. Look at the queries, the keys and the "
            "scores in forward: Q @ K.T / sqrt(qk_dim)."
        )
    if abs(factor - 1) < _NEAR:
        return ""
    return (
        f"Your values and your softmax are right; your scores are {factor:.4g} times the expected "
        "ones. In forward, divide Q @ K.T by the square root of qk_dim."
    )


def _kept(got: FloatArray, expected: FloatArray) -> float:
    """The factor above 1 of all numbers that are not 0, as dropout leaves them; 0.0 if that is not so."""
    ratio = got / expected
    zero = np.abs(ratio) < _NEAR
    left = ratio[~zero]
    if not zero.any() or not left.size or np.ptp(left) > 10 * _NEAR:
        return 0.0
    return float(left.mean()) if left.mean() > 1 + _NEAR else 0.0


def _factor(attention: FloatArray, scores: FloatArray) -> float | None:
    """The c for which attention is softmax(c * scores), if there is one."""
    if (attention < _NEAR).any():
        return None
    got = np.log(attention)
    got -= got.mean(axis=1, keepdims=True)
    expected = scores - scores.mean(axis=1, keepdims=True)
    if not expected.any():
        return None
    factor = float((got * expected).sum() / (expected**2).sum())
    return factor if np.abs(got - factor * expected).max() < 10 * _NEAR else None
