"""Seeded cases for comparing a model with the reference: the notebook's own ten, and more.

Cases are drawn from RandomState, whose streams NumPy has frozen for good: a regrade years later
gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reference.transformer import FloatArray, NumpyTransformer

NOTEBOOK_TOTAL_DIM = 5
NOTEBOOK_MAX_SEQ_LEN = 4
NOTEBOOK_CASES = 10

SCORE_SPREAD = 1.5
"""Standard deviation of the scores of random cases, about: large enough that a wrong scale, order or
position shows at once, small enough that float32 rounding does not."""
UPSTREAM_SPREAD = 0.25
"""Standard deviation of the upstream gradients: gradients sum over a sequence, and so does rounding."""


@dataclass(frozen=True)
class CaseSizes:
    """Arguments of `PytorchTransformer`, and the length of the sequence; pos_dim None: no positions."""

    input_dim: int
    qk_dim: int
    v_dim: int
    pos_dim: int | None
    max_seq_len: int
    seq_len: int

    @property
    def total_dim(self) -> int:
        """Width of the input once the positions are appended."""
        return self.input_dim + (self.pos_dim or 0)


@dataclass(frozen=True, eq=False)
class Case:
    """A model, a sequence, and an upstream gradient, (seq_len, v_dim), for the loss
    (output * upstream).sum(). The right answers are computed once, however many models they judge."""

    sizes: CaseSizes
    transformer: NumpyTransformer
    seq: FloatArray
    upstream: FloatArray

    @cached_property
    def output(self) -> FloatArray:
        """(seq_len, v_dim)."""
        return self.transformer.forward(self.seq).output

    @cached_property
    def gradients(self) -> dict[str, FloatArray]:
        """Of the loss, with respect to each matrix, by its name."""
        return self.transformer.gradients(self.seq, self.upstream)


# In most of these, sqrt of qk_dim, v_dim, input_dim, total_dim, seq_len, max_seq_len all differ, so that a
# score divided by the wrong one is not right by chance. Dimensions of 1 and sequences of 1 catch squeeze().
EXTRA_WITHOUT_POSITIONS = (
    CaseSizes(5, 3, 2, None, 6, 4),
    CaseSizes(6, 2, 7, None, 10, 5),
    CaseSizes(4, 8, 3, None, 9, 7),
    CaseSizes(3, 5, 1, None, 8, 6),
    CaseSizes(7, 6, 4, None, 10, 1),
)
EXTRA_WITH_POSITIONS = (
    CaseSizes(5, 3, 2, 6, 8, 4),
    CaseSizes(3, 7, 5, 1, 9, 6),
    CaseSizes(2, 6, 8, 5, 10, 9),
    CaseSizes(4, 9, 1, 3, 6, 5),
    CaseSizes(6, 4, 3, 2, 5, 5),
    CaseSizes(7, 5, 4, 3, 10, 1),
)
OTHER_SIZES = (
    *("1ab-ms", "abc-ms", "a1b-ms", "ab1-ms", "a11-m1", "111111"),
    *("abcdmm", "abcdms", "ab1cms", "a1bcmm", "1abcms"),
    # Here dimensions are the same, so that code that mixes them up (a weight used transposed, values in the
    # place of keys, the input added to the output) runs and gives numbers instead of an error.
    *("aaa-ms", "baa-ms", "aab-ms", "aba-ms", "attams", "baacms", "abacms", "111-ms"),
    # Long sequences: what goes row by row shows in the number of operations.
    *("abc-ML", "abcdML"),
)
"""Patterns of input_dim, qk_dim, v_dim, pos_dim, max_seq_len, seq_len: a letter is a drawn number, the same
wherever it stands; t is the total_dim, 1 is 1, - no positions."""
FOR_GRADIENTS = (
    CaseSizes(5, 3, 2, None, 6, 4),
    CaseSizes(4, 8, 3, None, 9, 7),
    CaseSizes(6, 4, 3, 5, 10, 7),
    CaseSizes(3, 7, 5, 2, 8, 8),
)


def equivalence_cases(seed: int = 42) -> tuple[Case, ...]:
    """The ten cases of the notebook's equivalence test: five with positions, then five without.

    The draws, and their order, are the notebook's. upstream is ones: the loss is the output's sum.
    """
    rng = np.random.RandomState(seed)
    qk_dim, v_dim = int(rng.randint(1, 5)), int(rng.randint(1, 5))
    cases = []
    for number in range(NOTEBOOK_CASES):
        Km, Qm, Vm = (rng.randn(NOTEBOOK_TOTAL_DIM, columns) for columns in (qk_dim, qk_dim, v_dim))
        pos_dim, pos = None, None
        if number < NOTEBOOK_CASES // 2:
            pos_dim = int(rng.randint(2, 4))
            pos = rng.randn(NOTEBOOK_MAX_SEQ_LEN, pos_dim)
        input_dim = NOTEBOOK_TOTAL_DIM - (pos_dim or 0)
        seq_len = int(rng.randint(1, NOTEBOOK_MAX_SEQ_LEN + 1))
        seq = rng.randn(seq_len, input_dim)
        sizes = CaseSizes(input_dim, qk_dim, v_dim, pos_dim, NOTEBOOK_MAX_SEQ_LEN, seq_len)
        cases.append(Case(sizes, NumpyTransformer(Km, Qm, Vm, pos), seq, np.ones((seq_len, v_dim))))
    return tuple(cases)


def drawn_sizes(seed: int) -> tuple[CaseSizes, ...]:
    """Sizes of the patterns in `OTHER_SIZES`, whose numbers seed decides.

    Numbers of different letters differ, as does total_dim: no wrong size is right by chance.
    """
    return tuple(_drawn(pattern, np.random.RandomState((seed, i))) for i, pattern in enumerate(OTHER_SIZES))


def _drawn(pattern: str, rng: np.random.RandomState) -> CaseSizes:
    while True:
        most = 5 if "L" in pattern else 13  # so that a loop over columns takes no more where rows are many
        a, b, c, d = (int(number) for number in rng.choice(np.arange(2, most + 1), 4, replace=False))
        s, gap, long = int(rng.randint(15, 32)), int(rng.randint(1, 9)), int(rng.randint(50, 65))
        value = {"1": 1, "a": a, "b": b, "c": c, "d": d, "m": s + gap, "s": s, "M": long + gap, "L": long}
        width = value.get(pattern[3], 0)
        value["t"] = value[pattern[0]] + width
        if "t" in pattern or not width or value["t"] not in (a, b, c, d):
            input_dim, qk_dim, v_dim, max_seq_len, seq_len = (value[pattern[i]] for i in (0, 1, 2, 4, 5))
            return CaseSizes(input_dim, qk_dim, v_dim, width or None, max_seq_len, seq_len)


def random_cases(sizes: Sequence[CaseSizes], seed: int) -> tuple[Case, ...]:
    """One case per entry of sizes; a case depends on seed and its place, not on its neighbours.

    Inputs, outputs and gradients are about 1 in size; every number is exact in float32, so that only
    the rounding inside a float32 model separates it from the reference.
    """
    return tuple(_random_case(entry, np.random.RandomState((seed, i))) for i, entry in enumerate(sizes))


def _random_case(sizes: CaseSizes, rng: np.random.RandomState) -> Case:
    def draw(rows: int, columns: int, spread: float = 1.0) -> FloatArray:
        return (rng.randn(rows, columns) * spread).astype(np.float32).astype(np.float64)

    # A query or key is a sum of total_dim products; a score, of qk_dim, divided by sqrt(qk_dim).
    unit = sizes.total_dim**-0.5
    Km = draw(sizes.total_dim, sizes.qk_dim, unit * SCORE_SPREAD**0.5)
    Qm = draw(sizes.total_dim, sizes.qk_dim, unit * SCORE_SPREAD**0.5)
    Vm = draw(sizes.total_dim, sizes.v_dim, unit)
    pos = None if sizes.pos_dim is None else draw(sizes.max_seq_len, sizes.pos_dim)
    seq = draw(sizes.seq_len, sizes.input_dim)
    upstream = draw(sizes.seq_len, sizes.v_dim, UPSTREAM_SPREAD)
    return Case(sizes, NumpyTransformer(Km, Qm, Vm, pos), seq, upstream)
