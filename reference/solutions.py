"""Matrices, designed by hand, that solve the three tasks: the plainest of many designs.

They pass the notebook's own tests, whose tolerance for an expected 0 is 1e-8: the right keys must lead
the others by a score of more than ln(5e8), about 20, and stay below exp's limit of 709.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from reference.tasks import COPY_FIRST, IDENTITY, UNIQUE
from reference.transformer import NumpyTransformer

_TOKENS = np.eye(3)


def _identity() -> NumpyTransformer:
    """One-hot keys."""
    return NumpyTransformer(60 * _TOKENS, _TOKENS, _TOKENS)


def _copy_first() -> NumpyTransformer:
    """One-hot positions; keys are read from them alone, and every query is the same, as tokens sum to 1."""
    Km, Qm = np.zeros((7, 1)), np.zeros((7, 1))
    Km[3], Qm[:3] = 30, 1
    return NumpyTransformer(Km, Qm, np.concatenate([_TOKENS, np.zeros((4, 3))]), np.eye(4))


def _unique() -> NumpyTransformer:
    """Scores: 60 for the same token, less 60 for the query's own place; 30 for CLS, which has no place.

    A token that repeats attends to its copies, worth -1; one that does not, to CLS, worth +1.
    """
    Km, Qm = np.zeros((8, 7)), np.zeros((8, 7))
    Km[:3, :3], Km[3, :3], Km[4:, 3:] = 60 * _TOKENS, 30, np.eye(4)
    Qm[:3, :3], Qm[4:, 3:] = _TOKENS, -60 * np.eye(4)
    Vm = np.array([[-1, -1, -1, 1, 0, 0, 0, 0]]).T
    return NumpyTransformer(Km, Qm, Vm, np.concatenate([np.zeros((1, 4)), np.eye(4)]))


SOLUTIONS: Mapping[str, NumpyTransformer] = MappingProxyType(
    {IDENTITY.name: _identity(), COPY_FIRST.name: _copy_first(), UNIQUE.name: _unique()}
)
"""By the task's name."""
