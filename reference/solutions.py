"""Matrices, designed by hand, that solve the three tasks, by a few words on how.

They pass the notebook's own tests, whose tolerance for an expected 0 is 1e-8: the right keys must lead
the others by a score of more than ln(5e8), about 20, and stay below exp's limit of 709.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from reference.tasks import COPY_FIRST, IDENTITY, UNIQUE
from reference.transformer import FloatArray, NumpyTransformer

_TOKENS = np.eye(3)


def _identity() -> dict[str, NumpyTransformer]:
    # Three directions of a plane, each 120 degrees or so from the next: a token matches its own best.
    triangle = np.array([[1, 0], [0, 1], [-1, -1]])
    angles = np.arange(3) * 2 * np.pi / 3
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Rows of signs, orthogonal to each other.
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]])
    return {
        "one-hot keys": NumpyTransformer(60 * _TOKENS, _TOKENS, _TOKENS),
        "the sharpness in queries and keys": NumpyTransformer(7 * _TOKENS, 9 * _TOKENS, _TOKENS),
        "integers, qk_dim 2": NumpyTransformer(triangle, 50 * triangle, _TOKENS),
        "a circle, qk_dim 2": NumpyTransformer(8 * circle, 8 * circle, _TOKENS),
        "orthogonal signs, qk_dim 4": NumpyTransformer(signs, 20 * signs, _TOKENS),
    }


def _copy_first() -> dict[str, NumpyTransformer]:
    def attend(pos: FloatArray, key: list[float], query: float) -> NumpyTransformer:
        """Keys are read from the position alone; every query is the same, as tokens sum to 1."""
        pos_dim = pos.shape[1]
        Km = np.concatenate([np.zeros(3), key])[:, None]
        Qm = np.concatenate([np.full(3, query), np.zeros(pos_dim)])[:, None]
        return NumpyTransformer(Km, Qm, np.concatenate([_TOKENS, np.zeros((pos_dim, 3))]), pos)

    steps = np.arange(6)
    waves = np.stack([np.cos(0.7 * steps), np.sin(0.7 * steps)], axis=1)
    # Queries from positions instead: each holds its one-hot's sum. Three equal columns add up to one score.
    repeated = NumpyTransformer(
        np.concatenate([np.zeros((3, 3)), np.full((1, 3), 5.0), np.zeros((3, 3))]),
        np.concatenate([np.zeros((3, 3)), np.full((4, 3), 4.0)]),
        np.concatenate([_TOKENS, np.zeros((4, 3))]),
        np.eye(4),
    )
    return {
        "one-hot positions": attend(np.eye(4), [30, 0, 0, 0], 1),
        "a flag, pos_dim 1": attend(np.eye(4)[:, :1], [10], 3),
        "a falling ramp, pos_dim 1": attend(np.array([[0.0], [-1.0], [-2.0], [-3.0]]), [5], 8),
        "waves, pos_dim 2, rows to spare": attend(waves, [10, 0], 12),
        "positions ask, qk_dim 3": repeated,
    }


def _unique() -> dict[str, NumpyTransformer]:
    def compare(pos: FloatArray, match: float, cls: float, same_place: float) -> NumpyTransformer:
        """Scores: match for the same token, less same_place for the query's own place; cls for CLS.

        A token that repeats attends to its copies, worth -1; one that does not, to CLS, worth +1.
        """
        pos_dim = pos.shape[1]
        qk_dim = 3 + pos_dim
        keys, queries = np.zeros((4 + pos_dim, qk_dim)), np.zeros((4 + pos_dim, qk_dim))
        keys[:3, :3], keys[3, :3], keys[4:, 3:] = match * _TOKENS, cls, np.eye(pos_dim)
        queries[:3, :3], queries[4:, 3:] = _TOKENS, -same_place * np.eye(pos_dim)
        values = np.concatenate([[-1, -1, -1, 1], np.zeros(pos_dim)])[:, None]
        return NumpyTransformer(keys, queries, values, pos)

    # CLS stands at no place: its row of pos is zero.
    one_hots = np.concatenate([np.zeros((1, 4)), np.eye(4)])
    compass = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
    return {
        "one-hot positions, qk_dim 7": compare(one_hots, match=60, cls=30, same_place=60),
        # The opposite place gains same_place, so CLS has to score above it.
        "a compass, pos_dim 2, qk_dim 5": compare(compass, match=50, cls=40, same_place=20),
    }


SOLUTIONS: Mapping[str, Mapping[str, NumpyTransformer]] = MappingProxyType(
    {IDENTITY.name: _identity(), COPY_FIRST.name: _copy_first(), UNIQUE.name: _unique()}
)
"""By the task's name, then by how; the first of each is the plainest."""
