"""Which known mistake explains a model's outputs: the simplest combination that reproduces them all.

Every combination of mistakes is computed on every case, batched, in float64; what cannot be told from the
student's outputs is named. Nothing here changes a score; imported by the failing path only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from autograder.feedback.divergence import first_divergence
from autograder.feedback.mistakes import BIAS, MISTAKES, BoolArray, Choice, Mistake, softmax
from autograder.sandbox.calls import FloatArray, Gradients, Sizes, Weights
from autograder.settings import MODEL_ATOL, RTOL

IntArray = npt.NDArray[np.integer[Any]]

MAX_MISTAKES = 3
FIT_RTOL = 1e-4
"""Of the largest number of the output: ten times tighter than the grade's, a hundred times float32's."""
FIT_ATOL = 2e-6
LOOSER_FROM, LOOSER_AT_MOST = 100.0, 100.0
"""Scores over their sum grow as the sum cancels, and float32's error with them: from this size on, the
tolerance grows in proportion, to this many times."""
FIRST_ITEMS = 3, 10
"""Lengths of the cases that rule out most combinations: shorter ones tell nothing, longer ones cost most."""

CHOICES = tuple(Choice)
RIGHT: tuple[int, ...] = (0,) * len(CHOICES)
VARIANTS = {
    choice: tuple((key, mistake) for mistake in rows for key in mistake.variants)
    for choice, rows in MISTAKES.items()
}
"""By choice, every variant's key with its mistake; a combination holds one index into each."""
_KEYS = {choice: tuple(key for key, _ in variants) for choice, variants in VARIANTS.items()}
_LINEAR = _KEYS[Choice.SOFTMAX].index("linear")
_FORMULAS = {choice: tuple(mistake.variants[key] for key, mistake in VARIANTS[choice]) for choice in CHOICES}
_MATRICES = ("V", "x", "seq", "K", "Q")
_MULTIPLIED = np.array(
    [[_MATRICES.index(v or role[2]) for role in _FORMULAS[Choice.ROLES]] for v in _FORMULAS[Choice.VALUES]]
)
"""What the attention weights multiply, by the variants of the values and of the roles."""


@dataclass(frozen=True)
class Observation:
    """One call of the student's model: seq (seq_len, input_dim), output as it came, any shape.

    output None: the student's code raised.
    """

    sizes: Sizes
    weights: Weights
    seq: FloatArray
    output: FloatArray | None

    @property
    def numbers(self) -> FloatArray:
        """The output in float64; ValueError for a case that raised."""
        if self.output is None:
            raise ValueError("expected a case with an output")
        return self.output.astype(np.float64)


@dataclass(frozen=True)
class Diagnosis:
    """Why the outputs differ. mistakes: in the order of the computation; empty if none is known.

    sentences: for the student, one per mistake and what they amount to together; without a mistake, the
    first intermediate that departs. combination: of the variants; None for biases and for what is unknown.
    """

    mistakes: tuple[Mistake, ...]
    sentences: tuple[str, ...]
    combination: tuple[int, ...] | None = None

    def explains(self, cases: Sequence[Observation]) -> bool:
        """Whether the mistakes reproduce these cases, also that the student's code raised where it did."""
        if self.combination is None:
            return bool(self.mistakes)
        row = np.array([self.combination])
        with np.errstate(all="ignore"):
            return all(
                fits(case, row)[0] if case.output is not None else not list(evaluate(case, row))
                for case in cases
            )

    def showing(self, cases: Sequence[Observation]) -> tuple[Mistake, ...]:
        """The mistakes without which these cases would give something else."""
        if self.combination is None:
            return self.mistakes
        wrong = [choice for choice, index in zip(CHOICES, self.combination, strict=True) if index]
        without = np.repeat([self.combination], len(wrong), axis=0)
        without[np.arange(len(wrong)), [choice.value for choice in wrong]] = 0
        shows = np.zeros(len(wrong), dtype=bool)
        with np.errstate(all="ignore"):
            for case in cases:
                if case.output is not None:
                    shows |= ~fits(case, without)
        return tuple(mistake for mistake, its in zip(self.mistakes, shows, strict=True) if its)

    def gives_gradients(self, call: Gradients, got: Mapping[str, FloatArray]) -> bool:
        """Whether a model with these mistakes has these gradients, by name: by central differences."""
        return self.combination is not None and all(
            np.allclose(_slopes(self.combination, call, name), its, rtol=1e-3, atol=1e-4)
            for name, its in got.items()
        )


# --- The search. ---


def diagnose(observations: Sequence[Observation], *, has_bias: bool = False) -> Diagnosis | None:
    """Name the simplest combination of mistakes that reproduces every output; None if all are right.

    Pass every case, those that are right too: they rule explanations out. has_bias: the model's
    layers are known to have biases, whose numbers nobody knows: said when nothing else fits.
    """
    with np.errstate(all="ignore"):  # outputs may hold anything, the largest numbers too
        return _diagnose(observations, has_bias)


def _diagnose(observations: Sequence[Observation], has_bias: bool) -> Diagnosis | None:
    cases = [case for case in observations if case.output is not None and case.output.dtype.kind in "fiu"]
    if not cases or all(_is_right(case) for case in cases):
        return None
    cases.sort(key=_tells_most)
    raised = [case for case in observations if case.output is None]
    # Where float32 overflows, what is left depends on how the softmax is written: such cases count
    # in the first round (a masked row gives NaN in float64 too), not in the second.
    finite = [case for case in cases if np.isfinite(case.numbers).all()]
    rounds = [cases, finite] if 0 < len(finite) < len(cases) else [cases]
    if not any(np.isfinite(case.numbers).any() for case in cases):
        rounds = []  # NaN everywhere looks the same whatever the mistake
    for used, count in product(rounds, range(1, MAX_MISTAKES + 1)):
        fitting = combinations_of(count)
        for case in used:
            fitting = fitting[fits(case, fitting)]
        if len(fitting):
            combination = tuple(int(index) for index in _raising(raised, fitting)[0])
            mistakes = mistakes_of(combination)
            sentences = (*(f"{mistake.what}. {mistake.do}" for mistake in mistakes), *_together(mistakes))
            return Diagnosis(mistakes, sentences, combination)
    if has_bias:
        return Diagnosis((BIAS,), (f"{BIAS.what}. {BIAS.do}",))
    return Diagnosis((), (first_divergence(cases),))


def _together(mistakes: tuple[Mistake, ...]) -> tuple[str, ...]:
    """What is to be said of several mistakes at once, if anything."""
    if {key for mistake in mistakes for key in mistake.variants} != {"KQV", "queries"}:
        return ()
    return (
        "Together these two amount to one: the attention weights are transposed before they multiply the "
        "values. If that is what you do, remove it.",
    )


def mistakes_of(combination: Sequence[int] | IntArray) -> tuple[Mistake, ...]:
    """The mistakes of a combination, in the order of the computation."""
    chosen = ((VARIANTS[choice][index], index) for choice, index in zip(CHOICES, combination, strict=True))
    return tuple(mistake for (_, mistake), index in chosen if index)


@lru_cache(maxsize=4)
def combinations_of(count: int) -> IntArray:
    """Every combination with exactly count mistakes, (C, choices), likelier ones first.

    From three on, only common variants take part: the bound that keeps a diagnosis cheap.
    """
    found: list[tuple[int, ...]] = []
    for chosen in combinations(CHOICES, count):
        wrong = [
            [i for i, (key, row) in enumerate(VARIANTS[choice]) if i and (count < 3 or key in row.common)]
            for choice in chosen
        ]
        for indices in product(*wrong):
            combination = list(RIGHT)
            for choice, index in zip(chosen, indices, strict=True):
                combination[choice.value] = index
            found.append(tuple(combination))
    found.sort(key=lambda combination: (sum(combination), combination))
    return np.array(found, dtype=np.int64).reshape(len(found), len(CHOICES))


def _raising(raised: Sequence[Observation], fitting: IntArray) -> IntArray:
    """Of several that fit, those that raise where the student's code did, if there are any."""
    for case in raised:
        if len(fitting) == 1:
            break
        runs = np.zeros(len(fitting), dtype=bool)
        for rows, _ in evaluate(case, fitting):
            runs[rows] = True
        if not runs.all():
            fitting = fitting[~runs]
    return fitting


def fits(case: Observation, combinations: IntArray) -> BoolArray:
    """Which combinations (c, choices) reproduce the output of this case, NaN and infinities included.

    The tolerance is relative to the largest number: where large terms cancel, float32 keeps no more.
    """
    result = np.zeros(len(combinations), dtype=bool)
    output = case.numbers
    for rows, predicted in evaluate(case, combinations, output.shape):
        flat, expected = predicted.reshape(len(predicted), -1), output.reshape(-1)
        size = np.where(np.isfinite(flat), np.abs(flat), 0.0).max(axis=1, initial=0.0)
        looser = np.where(
            combinations[rows, Choice.SOFTMAX.value] == _LINEAR,
            np.clip(size / LOOSER_FROM, 1.0, LOOSER_AT_MOST),
            1.0,
        )
        near = np.abs(flat - expected) <= (FIT_ATOL + FIT_RTOL * looser * size)[:, None]
        result[rows] = (near | (flat == expected) | (np.isnan(flat) & np.isnan(expected))).all(axis=1)
    return result


def _is_right(case: Observation) -> bool:
    """By the grade's own tolerance, relative to the student's number."""
    output = case.numbers
    outputs = evaluate(case, np.array([RIGHT]), output.shape)
    return any(np.allclose(expected[0], output, rtol=RTOL, atol=MODEL_ATOL) for _, expected in outputs)


def _tells_most(case: Observation) -> tuple[bool, bool, int]:
    """Sort key: with positions and of middling length first, those that cost most last."""
    shortest, longest = FIRST_ITEMS
    n = len(case.seq)
    return (not shortest <= n <= longest, case.weights.pos is None, n)


# --- What each combination gives. Overflow and NaN are data here: a student's output may hold them. ---


def evaluate(
    case: Observation, combinations: IntArray, shape: tuple[int, ...] | None = None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield (rows of combinations (c,), their outputs (c, *shape of one output)) group by group.

    Left out: combinations that would raise in PyTorch (shapes that do not multiply, rows that are not
    there). shape: skip groups whose outputs have another shape.
    """
    with np.errstate(all="ignore"):
        for positions, rows in _groups(combinations[:, [Choice.POSITIONS.value]]):
            layout = _layout(case, positions[0])
            for weights, members in _groups(combinations[rows][:, [Choice.WEIGHTS.value]]):
                chosen = rows[members]
                named = layout and _projections(case.weights, layout, _FORMULAS[Choice.WEIGHTS][weights[0]])
                if layout and named:
                    for found, outputs in _attend(case.sizes, layout, named, combinations[chosen], shape):
                        yield chosen[found], outputs


@dataclass(frozen=True, eq=False)
class _Layout:
    """x (n, total_dim) goes into the projections; seq (n, input_dim) is what it was made of.

    rows: how many rows of the output are kept.
    """

    x: FloatArray
    seq: FloatArray
    rows: int


def _layout(case: Observation, option: int) -> _Layout | None:
    seq, pos = case.seq, case.weights.pos
    if pos is None:
        return _Layout(seq, seq, len(seq))
    parts = _FORMULAS[Choice.POSITIONS][option](seq, pos[: len(seq)], pos)
    if len({len(part) for part in parts}) > 1:
        return None
    x = np.concatenate(parts, axis=1)
    padded = _KEYS[Choice.POSITIONS][option].startswith("padded")
    kept = len(x) if _KEYS[Choice.POSITIONS][option] == "padded" else len(seq)
    return _Layout(x, parts[0] if padded else seq, kept)


def _projections(weights: Weights, layout: _Layout, formula: Any) -> dict[str, FloatArray] | None:
    """K, Q (n, qk_dim), V (n, v_dim), x (n, total_dim), seq (n, input_dim)."""
    change, changed = formula
    found = {"x": layout.x, "seq": layout.seq}
    for name, matrix in (("K", weights.Km), ("Q", weights.Qm), ("V", weights.Vm)):
        used = change(matrix) if name in changed else matrix
        if used.shape[0] != layout.x.shape[1]:
            return None
        found[name] = layout.x @ used
    return found


def _attend(
    sizes: Sizes,
    layout: _Layout,
    named: dict[str, FloatArray],
    combinations: IntArray,
    shape: tuple[int, ...] | None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """As evaluate, for combinations that agree on the projections."""
    n, rows = len(layout.x), layout.rows
    roles = _FORMULAS[Choice.ROLES]
    multiply = np.array([named[role[0]].shape == named[role[1]].shape for role in roles])
    kept = np.flatnonzero(multiply[combinations[:, Choice.ROLES.value]])
    if not kept.size:
        return
    combinations = combinations[kept]
    products = np.zeros((len(roles), n, n))
    for i in np.flatnonzero(multiply):
        products[i] = named[roles[i][0]] @ named[roles[i][1]].T
    role, scale, kinds, mask = combinations[:, Choice.ROLES.value : Choice.MASK.value + 1].T
    scales = np.array([formula(sizes, n) for formula in _FORMULAS[Choice.SCALE]], dtype=np.float64)
    before, hidden, after = _masks(n)
    scores = products[role] * scales[scale, 0][:, None, None] * before[mask]  # (c, n, n)
    scores = np.where(hidden[mask], -np.inf, scores)
    attention = np.empty_like(scores)
    for kind in np.unique(kinds):
        same = kinds == kind
        attention[same] = _FORMULAS[Choice.SOFTMAX][kind](scores[same])
    attention *= after[mask] * scales[scale, 1][:, None, None]

    multiplied = _MULTIPLIED[combinations[:, Choice.VALUES.value], role]
    last = combinations[:, [Choice.RESIDUAL.value, Choice.OUTPUT.value]]
    for (values, residual, form), members in _groups(np.column_stack([multiplied, last])):
        value, added = named[_MATRICES[values]], _FORMULAS[Choice.RESIDUAL][residual]
        returned = _FORMULAS[Choice.OUTPUT][form]
        if added and named[added].shape != value.shape:
            continue
        if shape is not None and returned(np.empty((1, rows, value.shape[1]))).shape[1:] != shape:
            continue
        outputs = attention[members] @ value  # (c, n, width)
        of_output = kinds[members] == _KEYS[Choice.SOFTMAX].index("of output")
        if of_output.any():
            outputs[of_output] = softmax(outputs[of_output])
        if added:
            outputs = outputs + named[added]
        yield kept[members], returned(outputs[:, :rows])


def _masks(n: int) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Per variant, (variants, n, n): factor of the scores, keys hidden by -inf, factor of the weights."""
    made = [formula(n) for formula in _FORMULAS[Choice.MASK]]
    before, hidden, after = (
        np.stack([np.broadcast_to(part, (n, n)) for part in of]) for of in zip(*made, strict=True)
    )
    return before.astype(np.float64), hidden.astype(bool), after.astype(np.float64)


def _groups(labels: IntArray) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """Rows of labels (c, k) that are equal: their label and their indices."""
    if not len(labels):
        return
    code = labels @ 32 ** np.arange(labels.shape[1])[::-1]
    order = np.argsort(code, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        yield tuple(int(label) for label in labels[members[0]]), members


def _slopes(combination: tuple[int, ...], call: Gradients, name: str) -> FloatArray:
    """The gradient of (output * upstream).sum() with respect to one matrix; NaN where nothing comes."""
    matrix = getattr(call.weights, name)
    slopes, step = np.full(matrix.shape, np.nan), 1e-5
    for place in np.ndindex(matrix.shape):
        losses = []
        for sign in (1, -1):
            moved = matrix.astype(np.float64)
            moved[place] += sign * step
            weights = replace(call.weights, **{name: moved})
            case = Observation(call.sizes, weights, call.seq, None)
            for _, outputs in evaluate(case, np.array([combination]), call.upstream.shape):
                losses.append(float((outputs[0] * call.upstream).sum()))
        if len(losses) == 2:
            slopes[place] = (losses[0] - losses[1]) / (2 * step)
    return slopes
