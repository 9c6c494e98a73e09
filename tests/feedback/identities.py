"""Combinations of faults that are the same computation, each with the algebra that says so.

`canonical` brings a combination to one form; two that share it cannot be told apart by any output.
"""

from __future__ import annotations

from autograder.feedback.hypotheses.space import CHOICES, SPACE

SQUARE = {
    "transposed KQV": "KV",
    "transposed KQ": "K",
    "transposed K": "K",
    "transposed Q": "K",
    "transposed V": "V",
}


def canonical(combination: tuple[int, ...]) -> tuple[str, ...]:
    """The options by name, roles and values as what is multiplied by what."""
    positions, weights, roles, scale, softmax, mask, values, residual, output = (
        SPACE[choice][index].key for choice, index in zip(CHOICES, combination, strict=True)
    )
    # The values choice stands over the roles': K, V exchanged with other values is V in the scores.
    left, right, value = roles
    value = value if values == "right" else values

    # A fault that runs only where dimensions agree makes their names interchangeable.
    equal = {"qk_dim": "qk_dim", "v_dim": "v_dim", "total_dim": "total_dim", "input_dim": "input_dim"}
    if "K" in SQUARE.get(weights, ""):  # a weight (qk_dim, total_dim) multiplied from the right
        equal["total_dim"] = "qk_dim"
    if "V" in SQUARE.get(weights, ""):
        equal["v_dim"] = equal["total_dim"]
    if {left, right} in ({"Q", "V"}, {"K", "V"}) or residual == "Q":
        equal["v_dim"] = "qk_dim"
    if residual == "seq" and equal["v_dim"] == "v_dim":
        equal["v_dim"] = "input_dim"
    if residual == "x" and equal["v_dim"] == "v_dim":
        equal["v_dim"] = equal["total_dim"]
    name = scale.removeprefix("sqrt ")
    if name in equal:
        root = scale.startswith("sqrt ")
        scale = ("sqrt " if root else "") + equal[name]
        scale = "right" if scale == "sqrt qk_dim" else scale

    # A matrix that is not used may be transposed; what is left is that some square one is.
    if weights in ("transposed KQ", "transposed K", "transposed Q"):
        turned = [letter for letter in weights.removeprefix("transposed ") if letter in (left, right)]
        weights = "transposed " + ("".join(turned) or "nothing used")

    # Without a softmax before the values, everything is linear in the scale and in the mask.
    if softmax in ("none", "of output"):
        scale = {"after": "right", "both": "qk_dim"}.get(scale, scale)
        mask = "causal, after" if mask == "causal, zeros" else mask
    # Scores over their sum, or the largest alone: a factor before cancels.
    if softmax in ("linear", "argmax"):
        scale = "after" if scale in ("after", "both") else "right"
    # exp(-inf) and sigmoid(-inf) are 0, without a sum that would notice.
    if softmax in ("exp", "sigmoid") and mask == "causal":
        mask = "causal, after"
    # Symmetric scores have the same sums along rows and columns.
    if left == right and softmax == "misaligned":
        softmax = "queries"
    # An infinite score that is negated, or not turned into 0, spoils every row.
    if mask == "not itself" and softmax in ("linear", "of output", "negated"):
        softmax = "all NaN"
    # The rows beyond seq_len are what a causal mask hides.
    if positions == "padded, cropped" and mask == "causal" and softmax == "right":
        positions = "right"
    if positions == "padded" and output == "first":
        positions = "padded, cropped"
    # The last row sees all tokens under a causal mask, the first under the reverse one.
    if (output == "last" and mask.startswith("causal")) or (output == "first" and mask == "only later"):
        mask = "right"
    # Input and values of the same width: only without positions, where x is seq.
    if {value, residual} == {"x", "seq"}:
        value = residual = "seq"
    return (positions, weights, left + right, value, scale, softmax, mask, residual, output)
