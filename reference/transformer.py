"""The transformer of the assignment in float64: outputs, every intermediate, gradients.

One layer, one head, no mask, no residual; positions are appended to the right of the input, and the
output is softmax(queries @ keysᵀ / sqrt(qk_dim)) @ values. The matrices stand in NumPy's orientation,
(in, out). All methods but `gradients` take a batch, (n, seq_len, input_dim), as well as one sequence; a
leading n in the shapes below is left out. Matrices that hold NaN or infinity, or whose products
overflow, give NaN and never a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TIE_RTOL = 1e-9
"""Scores closer than this share of the query's largest absolute score count as equal: far above the
rounding of float64, far below any difference that a design means."""


@dataclass(frozen=True, eq=False)
class Attention:
    """One forward pass with every intermediate, in the order of computation."""

    inputs: FloatArray  # (seq_len, total_dim): positions appended
    queries: FloatArray  # (seq_len, qk_dim)
    keys: FloatArray  # (seq_len, qk_dim)
    values: FloatArray  # (seq_len, v_dim)
    scores: FloatArray  # (seq_len queries, seq_len keys): divided by sqrt(qk_dim)
    attention_weights: FloatArray  # (seq_len queries, seq_len keys): rows sum to 1
    output: FloatArray  # (seq_len, v_dim)


@dataclass(frozen=True)
class Break:
    """A query for which the assignment's plain exp gives no weights that sum to 1.

    index: of the query, into (seq_len,). score: its largest; NaN if it could not be computed. overflows: an
    exp or their sum is past the largest float, from about 709.78 on; else all exps are zero, below -745.13.
    """

    index: tuple[int, ...]
    score: float
    overflows: bool


@dataclass(frozen=True, eq=False)
class NumpyTransformer:
    """Km, Qm: (total_dim, qk_dim); Vm: (total_dim, v_dim); pos: (max_seq_len, pos_dim) or None.

    total_dim is input_dim + pos_dim. The matrices are copied to float64 and made read-only.
    Raises ValueError, with the sizes, if they do not fit together.
    """

    Km: FloatArray
    Qm: FloatArray
    Vm: FloatArray
    pos: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("Km", "Qm", "Vm", "pos"):
            if getattr(self, name) is None:
                continue
            matrix = np.array(getattr(self, name), dtype=np.float64)
            if matrix.ndim != 2 or 0 in matrix.shape:
                raise ValueError(f"{name} has shape {matrix.shape}: expected a matrix with rows and columns")
            matrix.setflags(write=False)
            object.__setattr__(self, name, matrix)
        (k_rows, k_cols), (q_rows, q_cols), (v_rows, _) = self.Km.shape, self.Qm.shape, self.Vm.shape
        if k_rows != q_rows:
            raise ValueError(f"Km has {k_rows} rows, Qm has {q_rows}: both need input_dim + pos_dim rows")
        if v_rows != k_rows:
            raise ValueError(f"Vm has {v_rows} rows, Km has {k_rows}: both need input_dim + pos_dim rows")
        if k_cols != q_cols:
            raise ValueError(f"Km has {k_cols} columns, Qm has {q_cols}: both need qk_dim columns")
        if self.pos_dim >= k_rows:
            raise ValueError(
                f"pos has {self.pos_dim} columns, Km has {k_rows} rows: Km needs input_dim + pos_dim rows,"
                " with an input_dim of at least 1"
            )

    @property
    def qk_dim(self) -> int:
        """Width of a query and of a key."""
        return int(self.Km.shape[1])

    @property
    def v_dim(self) -> int:
        """Width of a value and of an output."""
        return int(self.Vm.shape[1])

    @property
    def pos_dim(self) -> int:
        """Width of a position's encoding; 0 without positions."""
        return 0 if self.pos is None else int(self.pos.shape[1])

    @property
    def input_dim(self) -> int:
        """Width of a token, before positions are appended."""
        return int(self.Km.shape[0]) - self.pos_dim

    def forward(self, seq: npt.ArrayLike) -> Attention:
        """The forward pass, stable for scores of any finite size. Raises ValueError on a wrong shape."""
        return self._attend(seq, lambda scores: _plain(scores - scores.max(axis=-1, keepdims=True)))

    def plain(self, seq: npt.ArrayLike) -> Attention:
        """The assignment's own formula, exp of the scores over their sum, unstabilised.

        It breaks where the notebook breaks: NaN if an exp is infinite or all are zero, zeros if only
        the sum is infinite.
        """
        return self._attend(seq, _plain)

    def sharp(self, seq: npt.ArrayLike) -> Attention:
        """The limit of infinitely sharp attention: keys that tie for a query's maximum share it equally."""
        return self._attend(seq, _sharp)

    def worst_break(self, seq: npt.ArrayLike) -> Break | None:
        """Where `plain` breaks: the query farthest out, an overflow before an underflow; None if nowhere."""
        scores = self.plain(seq).scores
        with np.errstate(all="ignore"):
            totals = np.exp(scores).sum(axis=-1)  # (seq_len,)
        largest = scores.max(axis=-1)  # (seq_len,)
        # A score that is NaN comes from a product past the largest float: nothing is farther out.
        above = np.where(np.isnan(largest), np.inf, largest)
        overflows = ~np.isfinite(totals)
        for broken, rank in ((overflows, above), (totals == 0, -largest)):
            if broken.any():
                worst = np.argmax(np.where(broken, rank, -np.inf))
                index = tuple(int(i) for i in np.unravel_index(worst, broken.shape))
                return Break(index, float(largest[index]), broken is overflows)
        return None

    def gradients(self, seq: npt.ArrayLike, upstream: npt.ArrayLike) -> dict[str, FloatArray]:
        """Gradients of (output * upstream).sum() for one sequence, by the name of the matrix.

        upstream has the output's shape, (seq_len, v_dim); each gradient has its matrix's.
        """
        attention = self.forward(seq)
        d_output = np.asarray(upstream, dtype=np.float64)  # (seq_len, v_dim)
        if d_output.shape != attention.output.shape:
            raise ValueError(f"upstream has shape {d_output.shape}, the output {attention.output.shape}")
        weights, root = attention.attention_weights, np.sqrt(self.qk_dim)
        with np.errstate(all="ignore"):
            d_values = weights.T @ d_output  # (seq_len, seq_len) @ (seq_len, v_dim)
            d_weights = d_output @ attention.values.T  # (seq_len, v_dim) @ (v_dim, seq_len)
            d_scores = weights * (d_weights - (d_weights * weights).sum(axis=-1, keepdims=True))
            d_queries = d_scores @ attention.keys / root  # (seq_len, seq_len) @ (seq_len, qk_dim)
            d_keys = d_scores.T @ attention.queries / root  # (seq_len, seq_len) @ (seq_len, qk_dim)
            into = attention.inputs.T  # (total_dim, seq_len)
            found = {"Km": into @ d_keys, "Qm": into @ d_queries, "Vm": into @ d_values}
            d_inputs = d_keys @ self.Km.T + d_queries @ self.Qm.T + d_values @ self.Vm.T
        if self.pos is not None:
            found["pos"] = np.zeros_like(self.pos)
            found["pos"][: len(d_inputs)] = d_inputs[:, self.input_dim :]
        return found

    def _attend(self, seq: npt.ArrayLike, weigh: Callable[[FloatArray], FloatArray]) -> Attention:
        with np.errstate(all="ignore"):
            inputs = self._with_positions(np.asarray(seq, dtype=np.float64))
            queries = inputs @ self.Qm  # (seq_len, total_dim) @ (total_dim, qk_dim)
            keys = inputs @ self.Km  # (seq_len, total_dim) @ (total_dim, qk_dim)
            values = inputs @ self.Vm  # (seq_len, total_dim) @ (total_dim, v_dim)
            scores = queries @ keys.mT / np.sqrt(self.qk_dim)  # (seq_len, qk_dim) @ (qk_dim, seq_len)
            weights = weigh(scores)  # (seq_len, seq_len)
            output = weights @ values  # (seq_len, seq_len) @ (seq_len, v_dim)
        return Attention(inputs, queries, keys, values, scores, weights, output)

    def _with_positions(self, seq: FloatArray) -> FloatArray:
        """(seq_len, total_dim)."""
        if seq.ndim not in (2, 3) or seq.shape[-2] == 0 or seq.shape[-1] != self.input_dim:
            raise ValueError(
                f"seq has shape {seq.shape}: expected (seq_len, {self.input_dim}) or"
                f" (n, seq_len, {self.input_dim}), with a seq_len of at least 1"
            )
        if self.pos is None:
            return seq
        seq_len = seq.shape[-2]
        if seq_len > len(self.pos):
            raise ValueError(f"seq has {seq_len} tokens, pos has {len(self.pos)} rows: each token needs one")
        pos = np.broadcast_to(self.pos[:seq_len], (*seq.shape[:-1], self.pos_dim))
        return np.concatenate([seq, pos], axis=-1)


def _plain(scores: FloatArray) -> FloatArray:
    exps = np.exp(scores)
    return np.asarray(exps / exps.sum(axis=-1, keepdims=True))


def _sharp(scores: FloatArray) -> FloatArray:
    slack = TIE_RTOL * np.abs(scores).max(axis=-1, keepdims=True)
    chosen = (scores >= scores.max(axis=-1, keepdims=True) - slack).astype(np.float64)
    return np.asarray(chosen / chosen.sum(axis=-1, keepdims=True))
