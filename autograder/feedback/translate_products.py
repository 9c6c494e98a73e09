"""Names the two matrices that do not multiply, from their shapes and the sizes of the call."""

from __future__ import annotations

import re

from autograder.feedback.wording import products
from autograder.feedback.wording.rules import Words
from autograder.sandbox.calls import Call, Forward, Gradients, Raised, RecordedOutput, Sizes

_SHAPES = re.compile(r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)")


def explain_product(error: Raised, call: Call | None) -> Words | None:
    """Words for a product whose shapes do not fit; None for any other error."""
    match = _SHAPES.search(error.message)
    if match is None:
        return None
    a, b, c, d = (int(size) for size in match.groups())
    known = {"left": f"({a}, {b})", "right": f"({c}, {d})"}
    left = right = frozenset[str]()
    if isinstance(call, (Forward, Gradients)):
        left, right = _names(call.sizes, len(call.seq), (a, b)), _names(call.sizes, len(call.seq), (c, d))
    elif isinstance(call, RecordedOutput):
        left, right = _names(call.sizes, call.seq_len, (a, b)), _names(call.sizes, call.seq_len, (c, d))
    if not left and not right:
        return Words(products.UNKNOWN.headline.format(**known), products.UNKNOWN.change)
    for lefts, rights, change in products.CHANGES:
        if left & lefts and right & rights:
            return _words(known, left & lefts, right & rights, change)
    return _words(known, left, right, products.ANY_CHANGE)


def _words(known: dict[str, str], left: frozenset[str], right: frozenset[str], change: str) -> Words:
    headline = products.HEADLINE.format(**known, left_name=_either(left), right_name=_either(right))
    return Words(headline, change)


def _either(names: frozenset[str]) -> str:
    """The names that fit, in a fixed order."""
    return " or ".join(sorted(names)[:2]) or products.OTHER


def _names(sizes: Sizes, seq_len: int, shape: tuple[int, int]) -> frozenset[str]:
    """What a matrix of this shape may be, at these sizes."""
    total = sizes.total_dim
    shapes = {
        products.WIDE_INPUT: (seq_len, total),
        products.QK: (seq_len, sizes.qk_dim),
        products.VALUES: (seq_len, sizes.v_dim),
        products.SCORES: (seq_len, seq_len),
        products.QK_TURNED: (sizes.qk_dim, seq_len),
        products.VALUES_TURNED: (sizes.v_dim, seq_len),
        products.QK_WEIGHT: (sizes.qk_dim, total),
        products.V_WEIGHT: (sizes.v_dim, total),
        products.QK_MATRIX: (total, sizes.qk_dim),
        products.V_MATRIX: (total, sizes.v_dim),
    }
    if sizes.pos_dim is not None:
        shapes[products.INPUT] = (seq_len, sizes.input_dim)
    found = {name for name, its in shapes.items() if its == shape}
    if sizes.pos_dim is not None and shape[0] == sizes.input_dim and shape[1] in (sizes.qk_dim, sizes.v_dim):
        found.add(products.NARROW_MATRIX)
    return frozenset(found)
