"""The known ways to go wrong, as independent choices; option 0 of every choice is the right one.

A combination picks one option per choice. Within a choice the options stand by how often students
fall into them: of two explanations that fit equally well, the one that stands earlier is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer[Any]]


class Fault(Enum):
    """A mistake that can be named; several options may be variants of one fault."""

    POSITIONS_PREPENDED = "positions prepended"
    POSITIONS_IGNORED = "positions ignored"
    POSITIONS_ADDED = "positions added"
    POSITIONS_REVERSED = "positions reversed"
    POSITIONS_WRONG_ROWS = "wrong rows of pos"
    POSITIONS_ONE_ROW = "one row of pos for all tokens"
    POSITIONS_BEYOND = "rows of pos beyond seq_len"
    POSITIONS_SINUSOIDAL = "sinusoids instead of pos"
    WEIGHTS_TRANSPOSED = "weights transposed"
    WEIGHTS_RESHAPED = "weights reshaped"
    SCORES_SWAPPED = "K Q^T"
    SCORES_QUERIES_TWICE = "Q Q^T"
    SCORES_KEYS_TWICE = "K K^T"
    QUERIES_VALUES_EXCHANGED = "Q and V exchanged"
    KEYS_VALUES_EXCHANGED = "K and V exchanged"
    SCORES_USE_VALUES = "values in the scores"
    SCALE_NONE = "not scaled"
    SCALE_QK_DIM = "divided by qk_dim"
    SCALE_SQRT_V_DIM = "divided by sqrt v_dim"
    SCALE_SQRT_INPUT_DIM = "divided by sqrt input_dim"
    SCALE_SQRT_TOTAL_DIM = "divided by sqrt (input_dim + pos_dim)"
    SCALE_SQRT_SEQ_LEN = "divided by sqrt seq_len"
    SCALE_MULTIPLIED = "multiplied by sqrt qk_dim"
    SCALE_AFTER_SOFTMAX = "scaled after the softmax"
    SCALE_BEFORE_AND_AFTER = "scaled before and after the softmax"
    SCALE_OTHER_SIZE = "divided by another size"
    SOFTMAX_OVER_QUERIES = "softmax over queries"
    SOFTMAX_OVER_ALL = "softmax over all scores"
    SOFTMAX_NONE = "no softmax"
    SOFTMAX_LOG = "log-softmax"
    SOFTMAX_NOT_NORMALISED = "exponentials not normalised"
    SOFTMAX_SUM_MISALIGNED = "sums of exponentials misaligned"
    SOFTMAX_NO_EXPONENTIAL = "scores divided by their sum"
    SOFTMAX_TWICE = "softmax twice"
    SOFTMAX_SIGMOID = "sigmoid"
    SOFTMAX_NEGATED = "scores negated"
    SOFTMAX_ARGMAX = "argmax"
    SOFTMAX_OF_OUTPUT = "softmax after the values"
    MASK_CAUSAL = "causal mask"
    MASK_OTHER = "mask"
    VALUES_UNPROJECTED = "values not projected"
    VALUES_ARE_KEYS = "keys as values"
    VALUES_ARE_QUERIES = "queries as values"
    RESIDUAL = "residual connection"
    OUTPUT_TRANSPOSED = "output transposed"
    OUTPUT_FLATTENED = "output flattened"
    OUTPUT_RESHAPED = "output reshaped"
    OUTPUT_SQUEEZED = "dimensions of 1 dropped"
    OUTPUT_BATCHED = "a batch dimension in the output"
    OUTPUT_REDUCED = "output reduced to one row"
    BIAS = "bias"


class Choice(Enum):
    """Where a mistake can be made; the value is the column of a combination."""

    POSITIONS = 0
    WEIGHTS = 1
    ROLES = 2
    SCALE = 3
    SOFTMAX = 4
    MASK = 5
    VALUES = 6
    RESIDUAL = 7
    OUTPUT = 8


@dataclass(frozen=True)
class Option:
    """key: what `compute` goes by. common: it takes part in combinations of three."""

    key: str
    fault: Fault | None
    common: bool = False


_RIGHT = Option("right", None)

SPACE: dict[Choice, tuple[Option, ...]] = {
    Choice.POSITIONS: (
        _RIGHT,
        Option("prepended", Fault.POSITIONS_PREPENDED, common=True),
        Option("ignored", Fault.POSITIONS_IGNORED, common=True),
        Option("added", Fault.POSITIONS_ADDED),
        Option("added and appended", Fault.POSITIONS_ADDED),
        Option("input and sum", Fault.POSITIONS_ADDED),
        Option("shifted", Fault.POSITIONS_WRONG_ROWS, common=True),
        Option("last rows", Fault.POSITIONS_WRONG_ROWS),
        Option("reversed", Fault.POSITIONS_REVERSED, common=True),
        Option("reversed table", Fault.POSITIONS_REVERSED),
        Option("first row", Fault.POSITIONS_ONE_ROW),
        Option("row seq_len - 1", Fault.POSITIONS_ONE_ROW),
        Option("row seq_len", Fault.POSITIONS_ONE_ROW),
        Option("beyond", Fault.POSITIONS_BEYOND),
        Option("padded, cropped", Fault.POSITIONS_BEYOND),
        Option("padded", Fault.POSITIONS_BEYOND),
        Option("sinusoidal", Fault.POSITIONS_SINUSOIDAL),
    ),
    Choice.WEIGHTS: (
        _RIGHT,
        Option("transposed KQV", Fault.WEIGHTS_TRANSPOSED),
        Option("transposed KQ", Fault.WEIGHTS_TRANSPOSED),
        Option("transposed V", Fault.WEIGHTS_TRANSPOSED),
        Option("transposed K", Fault.WEIGHTS_TRANSPOSED),
        Option("transposed Q", Fault.WEIGHTS_TRANSPOSED),
        Option("reshaped KQV", Fault.WEIGHTS_RESHAPED),
    ),
    # Left factor of the scores, right factor, what the attention weights multiply.
    Choice.ROLES: (
        Option("QKV", None),
        Option("KQV", Fault.SCORES_SWAPPED, common=True),
        Option("QQV", Fault.SCORES_QUERIES_TWICE, common=True),
        Option("KKV", Fault.SCORES_KEYS_TWICE, common=True),
        Option("QVK", Fault.KEYS_VALUES_EXCHANGED),
        Option("VKQ", Fault.QUERIES_VALUES_EXCHANGED),
        Option("QVV", Fault.SCORES_USE_VALUES),
        Option("VKV", Fault.SCORES_USE_VALUES),
        Option("VVV", Fault.SCORES_USE_VALUES),
    ),
    Choice.SCALE: (
        _RIGHT,
        Option("none", Fault.SCALE_NONE, common=True),
        Option("qk_dim", Fault.SCALE_QK_DIM, common=True),
        Option("sqrt v_dim", Fault.SCALE_SQRT_V_DIM, common=True),
        Option("sqrt total_dim", Fault.SCALE_SQRT_TOTAL_DIM, common=True),
        Option("sqrt input_dim", Fault.SCALE_SQRT_INPUT_DIM, common=True),
        Option("sqrt seq_len", Fault.SCALE_SQRT_SEQ_LEN, common=True),
        Option("multiplied", Fault.SCALE_MULTIPLIED, common=True),
        Option("after", Fault.SCALE_AFTER_SOFTMAX, common=True),
        Option("both", Fault.SCALE_BEFORE_AND_AFTER),
        Option("v_dim", Fault.SCALE_OTHER_SIZE),
        Option("total_dim", Fault.SCALE_OTHER_SIZE),
        Option("input_dim", Fault.SCALE_OTHER_SIZE),
        Option("seq_len", Fault.SCALE_OTHER_SIZE),
        Option("sqrt max_seq_len", Fault.SCALE_OTHER_SIZE),
        Option("multiplied by qk_dim", Fault.SCALE_MULTIPLIED),
    ),
    Choice.SOFTMAX: (
        _RIGHT,
        Option("queries", Fault.SOFTMAX_OVER_QUERIES, common=True),
        Option("all", Fault.SOFTMAX_OVER_ALL, common=True),
        Option("none", Fault.SOFTMAX_NONE, common=True),
        Option("exp", Fault.SOFTMAX_NOT_NORMALISED, common=True),
        Option("log", Fault.SOFTMAX_LOG, common=True),
        Option("misaligned", Fault.SOFTMAX_SUM_MISALIGNED, common=True),
        Option("linear", Fault.SOFTMAX_NO_EXPONENTIAL),
        Option("twice", Fault.SOFTMAX_TWICE),
        Option("of output", Fault.SOFTMAX_OF_OUTPUT),
        Option("sigmoid", Fault.SOFTMAX_SIGMOID),
        Option("negated", Fault.SOFTMAX_NEGATED),
        Option("argmax", Fault.SOFTMAX_ARGMAX),
    ),
    Choice.MASK: (
        _RIGHT,
        Option("causal", Fault.MASK_CAUSAL, common=True),
        Option("causal, after", Fault.MASK_CAUSAL),
        Option("causal, zeros", Fault.MASK_CAUSAL),
        Option("only later", Fault.MASK_OTHER),
        Option("not itself", Fault.MASK_OTHER),
    ),
    Choice.VALUES: (
        _RIGHT,
        Option("x", Fault.VALUES_UNPROJECTED, common=True),
        Option("seq", Fault.VALUES_UNPROJECTED),
        Option("K", Fault.VALUES_ARE_KEYS, common=True),
        Option("Q", Fault.VALUES_ARE_QUERIES, common=True),
    ),
    Choice.RESIDUAL: (
        _RIGHT,
        Option("seq", Fault.RESIDUAL, common=True),
        Option("x", Fault.RESIDUAL),
        Option("V", Fault.RESIDUAL, common=True),
        Option("Q", Fault.RESIDUAL),
    ),
    Choice.OUTPUT: (
        _RIGHT,
        Option("transposed", Fault.OUTPUT_TRANSPOSED, common=True),
        Option("flattened", Fault.OUTPUT_FLATTENED, common=True),
        Option("flattened by column", Fault.OUTPUT_FLATTENED),
        Option("reshaped", Fault.OUTPUT_RESHAPED),
        Option("squeezed", Fault.OUTPUT_SQUEEZED),
        Option("batched", Fault.OUTPUT_BATCHED),
        Option("sum", Fault.OUTPUT_REDUCED),
        Option("mean", Fault.OUTPUT_REDUCED),
        Option("first", Fault.OUTPUT_REDUCED),
        Option("last", Fault.OUTPUT_REDUCED),
    ),
}

CHOICES: tuple[Choice, ...] = tuple(SPACE)
RIGHT: tuple[int, ...] = (0,) * len(CHOICES)


def keys_of(choice: Choice) -> tuple[str, ...]:
    """Keys of a choice's options, in order."""
    return tuple(option.key for option in SPACE[choice])


def faults_of(combination: tuple[int, ...]) -> tuple[Fault, ...]:
    """The faults of a combination, in the order of the computation."""
    options = (SPACE[choice][index] for choice, index in zip(CHOICES, combination, strict=True))
    return tuple(option.fault for option in options if option.fault is not None)


@lru_cache(maxsize=4)
def combinations_of(count: int) -> IntArray:
    """Every combination with exactly count faults, (C, choices), likelier ones first.

    From three on, only common options take part: the bound that keeps a diagnosis cheap.
    """
    found: list[tuple[int, ...]] = []
    for chosen in combinations(CHOICES, count):
        wrong = [
            [i for i, option in enumerate(SPACE[choice]) if i and (count < 3 or option.common)]
            for choice in chosen
        ]
        for indices in product(*wrong):
            combination = list(RIGHT)
            for choice, index in zip(chosen, indices, strict=True):
                combination[choice.value] = index
            found.append(tuple(combination))
    found.sort(key=lambda combination: (sum(combination), combination))
    return np.array(found, dtype=np.int64).reshape(len(found), len(CHOICES))
