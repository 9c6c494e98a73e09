"""What can be wrong with hand-designed matrices: the names, and what all looks have in common."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from reference.transformer import TIE_RTOL, BoolArray, NumpyTransformer


class Mistake(Enum):
    """A mistake that is recognised; the value is its short name, stable across versions."""

    NOT_FINITE = "not finite"
    OVERFLOW = "overflow"
    UNDERFLOW = "underflow"
    NOT_SHARP = "not sharp enough"
    SCORES_CLOSE = "scores too close"
    WRONG_SIGN = "wrong sign of the scores"
    EXCHANGED = "Km and Qm exchanged"
    UNIFORM = "uniform attention"
    SHARES = "tokens not told apart"
    WRONG_TOKENS = "attends to the wrong tokens"
    QUERIES_VARY = "queries depend on the token"
    KEYS_VARY = "keys depend on the token"
    POS_EQUAL = "equal rows of pos"
    WRONG_PLACE = "attends to the wrong position"
    LAST_PLACE = "attends to the last token"
    OWN_PLACE = "attends to itself"
    VM_SCALED = "Vm scaled"
    VM_PERMUTED = "Vm permuted"
    VM_POSITIONS = "Vm lets positions through"
    VM_MIXES = "Vm mixes tokens"
    VM_SIGN = "wrong sign of Vm"
    ONE_SIGN = "the same sign everywhere"
    ON_REPEATS = "fails on repeats"
    AT_LENGTH = "fails at one length"


@dataclass(frozen=True)
class Finding:
    """A mistake that the matrices make, and the sentence that tells it."""

    mistake: Mistake
    sentence: str


def sharp_attention(transformer: NumpyTransformer, inputs: np.ndarray) -> BoolArray:
    """(n, seq_len queries, seq_len keys): the keys that share a query's attention once it is sharp."""
    with np.errstate(all="ignore"):
        scores = transformer.forward(inputs).scores
        slack = TIE_RTOL * np.abs(scores).max(axis=-1, keepdims=True)
        return np.asarray(scores >= scores.max(axis=-1, keepdims=True) - slack)
