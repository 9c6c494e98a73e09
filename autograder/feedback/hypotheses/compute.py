"""What a student's model would give for each combination of faults: NumPy, batched, float64.

A combination that would raise in PyTorch (shapes that do not multiply, rows that are not there)
is left out of the answer. Overflow and NaN are data here: a student's output may hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autograder.feedback.hypotheses.positions import Layout, layouts
from autograder.feedback.hypotheses.space import Choice, IntArray, keys_of
from autograder.sandbox.calls import FloatArray, Sizes, Weights

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Observation:
    """One call of the student's model: seq (seq_len, input_dim), output as it came, any shape.

    output None: the student's code raised.
    """

    sizes: Sizes
    weights: Weights
    seq: FloatArray
    output: FloatArray | None


def output_of(case: Observation) -> FloatArray:
    """The output in float64; ValueError for a case that raised."""
    if case.output is None:
        raise ValueError("expected a case with an output")
    return case.output.astype(np.float64)


def evaluate(
    case: Observation, combinations: IntArray, shape: tuple[int, ...] | None = None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield (rows of combinations (c,), their outputs (c, *shape of one output)) group by group.

    shape: skip groups whose outputs have another shape.
    """
    with np.errstate(all="ignore"):
        options = layouts(case.sizes, case.weights, case.seq)
        column = combinations[:, Choice.POSITIONS.value]
        for positions in np.unique(column):
            layout = options[int(positions)]
            if layout is not None:
                chosen = np.flatnonzero(column == positions)
                for rows, outputs in _with_layout(case, layout, combinations[chosen], shape):
                    yield chosen[rows], outputs


def _with_layout(
    case: Observation, layout: Layout, combinations: IntArray, shape: tuple[int, ...] | None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """As evaluate, for combinations that agree on the positions."""
    column = combinations[:, Choice.WEIGHTS.value]
    for option in np.unique(column):
        projections = _projections(case.weights, layout, _WEIGHTS[int(option)])
        if projections is not None:
            chosen = np.flatnonzero(column == option)
            for rows, outputs in _with_projections(case, layout, projections, combinations[chosen], shape):
                yield chosen[rows], outputs


def _with_projections(
    case: Observation,
    layout: Layout,
    named: dict[str, FloatArray],
    combinations: IntArray,
    shape: tuple[int, ...] | None,
) -> Iterator[tuple[IntArray, FloatArray]]:
    """named: K, Q (n, qk_dim), V (n, v_dim), x (n, total_dim), seq (n, input_dim)."""
    products = [
        named[role[0]] @ named[role[1]].T if named[role[0]].shape == named[role[1]].shape else None
        for role in _ROLES
    ]  # (n, n)
    role = combinations[:, Choice.ROLES.value]
    kept = np.flatnonzero(np.array([product is not None for product in products])[role])
    if not kept.size:
        return
    n = layout.x.shape[0]
    blank = np.zeros((n, n))
    scores = np.stack([blank if product is None else product for product in products])
    combinations, role = combinations[kept], role[kept]

    before, after = _scales(case.sizes, n)
    scale = combinations[:, Choice.SCALE.value]
    masks = _masks(n)
    mask = combinations[:, Choice.MASK.value]
    scaled = scores[role] * before[scale][:, None, None] * masks.before[mask]  # (c, n, n)
    scaled = np.where(masks.hidden[mask], -np.inf, scaled)
    softmax = combinations[:, Choice.SOFTMAX.value]
    attention = np.empty_like(scaled)
    for kind in np.unique(softmax):
        same = softmax == kind
        attention[same] = _SOFTMAXES[_SOFTMAX_KEYS[int(kind)]](scaled[same])
    attention *= masks.after[mask] * after[scale][:, None, None]

    values = _VALUE_KINDS[combinations[:, Choice.VALUES.value], role]
    last = np.stack([values, *combinations[:, [Choice.RESIDUAL.value, Choice.OUTPUT.value]].T], axis=1)
    rows = layout.rows
    for group, members in _groups(last):
        value, residual, form = named[_VALUES[group[0]]], _RESIDUALS[group[1]], _FORMS[group[2]]
        if residual is not None and named[residual].shape != value.shape:
            continue
        if shape is not None and form.shape(rows, value.shape[1]) != shape:
            continue
        outputs = attention[members] @ value  # (c, n, width)
        squashed = softmax[members] == _OF_OUTPUT
        if squashed.any():
            outputs[squashed] = _softmax(outputs[squashed])
        if residual is not None:
            outputs = outputs + named[residual]
        yield kept[members], form.apply(outputs[:, :rows])


def _groups(labels: IntArray) -> Iterator[tuple[tuple[int, ...], IntArray]]:
    """Rows of labels (c, 3) that are equal: their label and their indices."""
    code = (labels[:, 0] * 16 + labels[:, 1]) * 16 + labels[:, 2]
    order = np.argsort(code, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        yield tuple(int(label) for label in labels[members[0]]), members


# --- Weights, roles, values. ---

_WEIGHTS = keys_of(Choice.WEIGHTS)
_ROLES = keys_of(Choice.ROLES)
_VALUES = ("V", "x", "seq", "K", "Q")
_VALUE_KEYS = ("", *keys_of(Choice.VALUES)[1:])
_VALUE_KINDS = np.array([[_VALUES.index(key or role[2]) for role in _ROLES] for key in _VALUE_KEYS])
_RESIDUALS = (None, *keys_of(Choice.RESIDUAL)[1:])


def _projections(weights: Weights, layout: Layout, option: str) -> dict[str, FloatArray] | None:
    kind, _, names = option.partition(" ")
    found = {"x": layout.x, "seq": layout.seq}
    for name, matrix in (("K", weights.Km), ("Q", weights.Qm), ("V", weights.Vm)):
        used = matrix
        if name in names:
            used = matrix.T if kind == "transposed" else matrix.T.reshape(matrix.shape)
        if used.shape[0] != layout.x.shape[1]:
            return None
        found[name] = layout.x @ used
    return found


# --- Scale. ---


def _scales(sizes: Sizes, n: int) -> tuple[FloatArray, FloatArray]:
    """Factors of the scores and of the attention weights, one per option of the scale."""
    qk = float(sizes.qk_dim)
    divisors = {
        "right": qk**0.5,
        "none": 1.0,
        "qk_dim": qk,
        "sqrt v_dim": sizes.v_dim**0.5,
        "sqrt total_dim": sizes.total_dim**0.5,
        "sqrt input_dim": sizes.input_dim**0.5,
        "sqrt seq_len": n**0.5,
        "multiplied": qk**-0.5,
        "after": 1.0,
        "both": qk**0.5,
        "v_dim": float(sizes.v_dim),
        "total_dim": float(sizes.total_dim),
        "input_dim": float(sizes.input_dim),
        "seq_len": float(n),
        "sqrt max_seq_len": sizes.max_seq_len**0.5,
        "multiplied by qk_dim": 1 / qk,
    }
    keys = keys_of(Choice.SCALE)
    before = np.array([1 / divisors[key] for key in keys])
    return before, np.array([qk**-0.5 if key in ("after", "both") else 1.0 for key in keys])


# --- Mask. ---


@dataclass(frozen=True)
class _Masks:
    """Per option (options, n, n): factor of the scores, keys hidden by -inf, factor of the weights."""

    before: FloatArray
    hidden: BoolArray
    after: FloatArray


def _masks(n: int) -> _Masks:
    keys = keys_of(Choice.MASK)
    before, after = np.ones((2, len(keys), n, n))
    hidden = np.zeros((len(keys), n, n), dtype=bool)
    later = np.triu(np.ones((n, n), dtype=bool), k=1)
    hidden[keys.index("causal")] = later
    after[keys.index("causal, after")] = ~later
    before[keys.index("causal, zeros")] = ~later
    hidden[keys.index("only later")] = later.T
    hidden[keys.index("not itself")] = np.eye(n, dtype=bool)
    return _Masks(before, hidden, after)


# --- Softmax. Each takes and gives (c, n, n): (.., query, key). ---


def _softmax(scores: FloatArray, axis: int | tuple[int, ...] = -1) -> FloatArray:
    shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
    result: FloatArray = shifted / shifted.sum(axis=axis, keepdims=True)
    return result


def _log_softmax(scores: FloatArray) -> FloatArray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _misaligned(scores: FloatArray) -> FloatArray:
    """exp(scores) / exp(scores).sum(-1), the sums of the rows broadcast along the columns."""
    powers = np.exp(scores)
    result: FloatArray = powers / powers.sum(axis=-1)[:, None, :]
    return result


_SOFTMAXES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "right": _softmax,
    "queries": lambda scores: _softmax(scores, axis=-2),
    "all": lambda scores: _softmax(scores, axis=(-2, -1)),
    "none": lambda scores: scores,
    "exp": np.exp,
    "log": _log_softmax,
    "misaligned": _misaligned,
    "linear": lambda scores: scores / scores.sum(axis=-1, keepdims=True),
    "twice": lambda scores: _softmax(_softmax(scores)),
    "of output": lambda scores: scores,
    "sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
    "negated": lambda scores: _softmax(-scores),
    "argmax": lambda scores: np.eye(scores.shape[-1])[scores.argmax(axis=-1)],
}
_SOFTMAX_KEYS = keys_of(Choice.SOFTMAX)
_OF_OUTPUT = _SOFTMAX_KEYS.index("of output")


# --- Form of the output. ---


@dataclass(frozen=True)
class _Form:
    """shape: of one output, from (rows, width). apply: (c, rows, width) to (c, *shape)."""

    shape: Callable[[int, int], tuple[int, ...]]
    apply: Callable[[FloatArray], FloatArray]


def _squeezed(n: int, width: int) -> tuple[int, ...]:
    return tuple(size for size in (n, width) if size != 1)


_FORM_OF: dict[str, _Form] = {
    "right": _Form(lambda n, w: (n, w), lambda out: out),
    "transposed": _Form(lambda n, w: (w, n), lambda out: out.swapaxes(1, 2)),
    "flattened": _Form(lambda n, w: (n * w,), lambda out: out.reshape(len(out), -1)),
    "flattened by column": _Form(lambda n, w: (n * w,), lambda out: out.swapaxes(1, 2).reshape(len(out), -1)),
    "reshaped": _Form(lambda n, w: (w, n), lambda out: out.reshape(len(out), out.shape[2], out.shape[1])),
    "squeezed": _Form(_squeezed, lambda out: out.reshape(len(out), *_squeezed(*out.shape[1:]))),
    "batched": _Form(lambda n, w: (1, n, w), lambda out: out[:, None]),
    "sum": _Form(lambda n, w: (w,), lambda out: out.sum(axis=1)),
    "mean": _Form(lambda n, w: (w,), lambda out: out.mean(axis=1)),
    "first": _Form(lambda n, w: (w,), lambda out: out[:, 0]),
    "last": _Form(lambda n, w: (w,), lambda out: out[:, -1]),
}
_FORMS = tuple(_FORM_OF[key] for key in keys_of(Choice.OUTPUT))
