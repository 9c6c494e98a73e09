"""Words for matrices that do not multiply: which ones they are, by their shapes."""

from __future__ import annotations

from typing import Final

from autograder.feedback.wording.rules import Words

INPUT: Final = "the input without positions (seq_len, input_dim)"
WIDE_INPUT: Final = "the input (seq_len, input_dim + pos_dim)"
QK: Final = "queries or keys (seq_len, qk_dim)"
VALUES: Final = "the values (seq_len, v_dim)"
SCORES: Final = "scores or attention weights (seq_len, seq_len)"
QK_TURNED: Final = "queries or keys transposed (qk_dim, seq_len)"
VALUES_TURNED: Final = "the values transposed (v_dim, seq_len)"
QK_WEIGHT: Final = "the weight of Km or Qm as nn.Linear keeps it (qk_dim, total_input_dim)"
V_WEIGHT: Final = "the weight of Vm as nn.Linear keeps it (v_dim, total_input_dim)"
QK_MATRIX: Final = "the matrix of Km or Qm (total_input_dim, qk_dim)"
V_MATRIX: Final = "the matrix of Vm (total_input_dim, v_dim)"
NARROW_MATRIX: Final = "the matrix of a layer made for input_dim alone"
OTHER: Final = "something of another shape"

HEADLINE: Final = "{left} cannot be multiplied by {right}: {left_name} by {right_name}."

CHANGES: Final[tuple[tuple[frozenset[str], frozenset[str], str], ...]] = (
    (
        frozenset({INPUT}),
        frozenset({QK_MATRIX, V_MATRIX}),
        "In forward, append the positions to seq before you call Km, Qm and Vm.",
    ),
    (frozenset({QK}), frozenset({QK}), "In forward, transpose the keys: Q @ K.T."),
    (
        frozenset({WIDE_INPUT, INPUT}),
        frozenset({QK_WEIGHT, V_WEIGHT}),
        "In forward, call the layer, self.Km(seq), or multiply by self.Km.weight.T: nn.Linear keeps its "
        "weight as (out, in).",
    ),
    (
        frozenset({WIDE_INPUT}),
        frozenset({NARROW_MATRIX}),
        "In __init__, make the layers for total_input_dim, that is input_dim + pos_dim.",
    ),
    (
        frozenset({QK, VALUES}),
        frozenset({QK_TURNED, VALUES_TURNED}),
        "In forward, the scores are Q @ K.T; the values come in after the softmax.",
    ),
    (
        frozenset({SCORES}),
        frozenset({VALUES_TURNED, QK_TURNED}),
        "In forward, multiply the attention weights by V as it is, without a transpose.",
    ),
    (
        frozenset({QK_TURNED, VALUES_TURNED}),
        frozenset({QK_TURNED, VALUES_TURNED}),
        "In forward, transpose the keys alone: Q @ K.T.",
    ),
    (
        frozenset({QK, VALUES}),
        frozenset({VALUES, QK}),
        "In forward, the scores are Q @ K.T, (seq_len, seq_len); their softmax multiplies V.",
    ),
)
UNKNOWN: Final = Words(
    "{left} cannot be multiplied by {right}.",
    "In forward, print the shapes of both above this line. Expected: seq (seq_len, total_input_dim), Q and K "
    "(seq_len, qk_dim), Q @ K.T (seq_len, seq_len), V (seq_len, v_dim).",
)
ANY_CHANGE: Final = "In forward, print the shapes of both above this line; the scores are Q @ K.T and their "
"softmax multiplies V."
