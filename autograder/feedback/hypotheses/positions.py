"""What a student may feed to the projections: the ways to bring the positions in, right and wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autograder.feedback.hypotheses.space import Choice, keys_of
from autograder.sandbox.calls import FloatArray, Sizes, Weights


@dataclass(frozen=True)
class Layout:
    """x (n, total_dim) goes into the projections; seq (n, input_dim) is what it was made of.

    rows: how many rows of the output are kept.
    """

    x: FloatArray
    seq: FloatArray
    rows: int


def layouts(sizes: Sizes, weights: Weights, seq: FloatArray) -> tuple[Layout | None, ...]:
    """One layout per option of the positions; None where PyTorch would raise."""
    keys = keys_of(Choice.POSITIONS)
    n = len(seq)
    if weights.pos is None:
        return (Layout(seq, seq, n),) * len(keys)
    pos = weights.pos
    found: dict[str, Layout] = {}

    def put(key: str, *parts: FloatArray) -> None:
        if all(len(part) == n for part in parts):
            found[key] = Layout(np.concatenate(parts, axis=1), seq, n)

    rows = pos[:n]
    put("right", seq, rows)
    put("prepended", rows, seq)
    put("ignored", seq, np.zeros_like(rows))
    put("added", _widened(seq, sizes.total_dim) + _widened(rows, sizes.total_dim))
    if rows.shape == seq.shape:
        put("added and appended", seq + rows, rows)
        put("input and sum", seq, seq + rows)
    put("shifted", seq, pos[1 : n + 1])
    put("last rows", seq, pos[len(pos) - n :])
    put("reversed", seq, rows[::-1])
    put("reversed table", seq, pos[::-1][:n])
    put("first row", seq, np.repeat(pos[:1], n, axis=0))
    put("row seq_len - 1", seq, np.repeat(pos[n - 1 : n], n, axis=0))
    put("row seq_len", seq, np.repeat(pos[n : n + 1], n, axis=0))
    put("beyond", seq, pos[n : 2 * n])
    put("sinusoidal", seq, _sinusoids(n, pos.shape[1]))
    padded = np.concatenate([seq, np.zeros((len(pos) - n, seq.shape[1]))])
    whole = np.concatenate([padded, pos], axis=1)
    found["padded"] = Layout(whole, padded, len(pos))
    found["padded, cropped"] = Layout(whole, padded, n)
    return tuple(found.get(key) for key in keys)


def _widened(matrix: FloatArray, width: int) -> FloatArray:
    wide = np.zeros((len(matrix), width))
    wide[:, : matrix.shape[1]] = matrix
    return wide


def _sinusoids(n: int, width: int) -> FloatArray:
    """Sine in the even columns, cosine in the odd ones, wavelengths from 2 pi to 10000 * 2 pi."""
    pair = np.arange(width) // 2
    angle = np.arange(n)[:, None] / 10000.0 ** (2 * pair / width)
    result: FloatArray = np.where(np.arange(width) % 2 == 0, np.sin(angle), np.cos(angle))
    return result
