"""Sentences for hand-designed matrices that fail their task: what, where, what to change."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from autograder.feedback.matrices.findings import Mistake

_TOKENS: Final = ("A", "B", "C")
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth")
ALLOWED: Final = "0.000001 %"
"""Of a query's attention: the notebook allows 1e-8 where 0 is expected."""


def half() -> str:
    """Told with the score, when only sharpness lacks."""
    return "You get half of the points, because attention lands on the right tokens in every sequence."


def unknown() -> str:
    """No known mistake explains the failures."""
    return "No known mistake explains it. Follow the sequence below by hand: keys, queries, scores, values."


def shortest(spelled: str, only_sign: bool) -> str:
    """Above the table of the shortest sequence that fails."""
    counts = " (of the output, the sign counts)" if only_sign else ""
    return f"The shortest sequence that fails is {spelled}{counts}:"


def not_finite(name: str) -> str:
    """A matrix holds NaN or infinity."""
    return f"{name} holds NaN or infinity. Look at how you compute it: it needs ordinary numbers only."


def overflow(spelled: str, score: float, divisor: float | None) -> str:
    """exp of the largest score is infinite. score may be NaN: the product itself is past all numbers."""
    came = f"reaches {score:.4g}" if np.isfinite(score) else "is too large to be a number"
    return (
        f"Your scores are too large: on {spelled} one {came}, and exp() of more than about 709 is infinite; "
        f"the notebook then divides infinity by infinity, which gives NaN. {_divide(divisor)}"
    )


def underflow(spelled: str, score: float, divisor: float | None) -> str:
    """exp of every score of a query rounds to zero."""
    return (
        f"Your scores are too far below zero: on {spelled} the largest score of a query is {score:.4g}, and "
        "exp() of less than about -745 is 0; the notebook then divides 0 by 0, which gives NaN. "
        f"{_divide(divisor)}"
    )


def _divide(divisor: float | None) -> str:
    if divisor is None:
        return "Make Km or Qm smaller."
    return f"Divide Km by {divisor:g}: with that, these scores and their attention pass on every sequence."


def not_sharp(spelled: str, place: int, leak: float, factor: float | None) -> str:
    """Attention lands on the right tokens, with too much left for others. place: counted from 0."""
    what = (
        f"Attention lands on the right tokens but is not sharp enough: on {spelled}, the {_ORDINALS[place]} "
        f"token gives {100 * leak:.3g} % of its attention to wrong ones; {ALLOWED} is allowed. "
    )
    if factor is None:
        return what + (
            "The scores of right and wrong tokens lie too close together for their size: no scale makes this "
            "pass before exp() overflows. Make keys of different tokens more different (orthogonal is best)."
        )
    return what + f"Multiply Km by {factor:g}: with that, it passes on every sequence."


def repair(mistake: Mistake, scale: float) -> str:
    """A change after which everything passes. scale: what Km has to be multiplied by besides."""
    then = (
        "every sequence passes" if scale == 1 else f"and Km multiplied by {scale:.3g}, every sequence passes"
    )
    return _REPAIRS[mistake].format(then=then)


_REPAIRS: Final = {
    Mistake.WRONG_SIGN: (
        "Attention avoids the tokens it should land on: the scores have the wrong sign. Change the sign of "
        "Km; with that, {then}."
    ),
    Mistake.EXCHANGED: (
        "Km and Qm are exchanged: Km makes the keys, what a token offers; Qm the queries, what a token looks "
        "for. Exchange the two; with that, {then}."
    ),
    Mistake.QUERIES_VARY: (
        "Your queries depend on the token, but every token has to look for the same place. Give the three "
        "token rows of Qm the same numbers; with their mean, {then}."
    ),
    Mistake.KEYS_VARY: (
        "Your keys depend on the token, but only the position counts here. Set the three token rows of Km to "
        "0; with the same numbers in all three, {then}."
    ),
    Mistake.VM_SIGN: "Every sign is the wrong way round. Change the sign of Vm; with that, {then}.",
}


def uniform(zero: tuple[str, ...]) -> str:
    """Every token attends to all tokens alike."""
    why = f"{' and '.join(zero)} holds only zeros, so all" if len(zero) == 1 else "All"
    if len(zero) == 2:
        why = "Km and Qm hold only zeros, so all"
    return (
        f"{why} scores of a query are the same, and every token attends to all tokens alike. Choose Km and "
        f"Qm so that query times key is large where attention should land."
    )


def attended_tokens(attended: npt.NDArray[np.bool_]) -> str:
    """attended: (3, 3), which tokens each token's attention lands on, itself expected."""
    parts = []
    for token, row in zip(_TOKENS, attended, strict=True):
        landed = [other for other, lands in zip(_TOKENS, row, strict=True) if lands]
        told = "itself" if landed == [token] else _and(landed)
        parts.append(f"{token} attends to {told}")
    return (
        f"Attention lands on the wrong tokens: in A B C, {', '.join(parts)}; expected: each to itself. Look "
        f"at queries times keys for the three tokens: the largest number of each row has to stand on the "
        f"diagonal."
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def last_place(turned: bool) -> str:
    """Every token attends to the last one. turned: the other sign of Km mends it."""
    what = "Every token attends to the last token; expected: to the first. "
    if turned:
        return what + "Your keys grow with the position: change the sign of Km."
    return what + "Choose Km so that the row of pos for position 0 gives the key that queries look for."


def wrong_place(place: int) -> str:
    """Every token attends to another place than the first. place: counted from 0."""
    told = f"Every token attends to the {_ORDINALS[place]} token (pos[{place}])"
    if place > 1:
        told = f"Where there is a {_ORDINALS[place]} token (pos[{place}]), every token attends to it"
    change = "Choose Km so that pos[0], the first row, gives the key that queries look for."
    return f"{told}; expected: to the first (pos[0]). {change}"


def own_place() -> str:
    """Every token attends to itself."""
    return (
        "Every token attends to itself; expected: to the first token. Make all queries the same, so that "
        "they all look for the key of pos[0]."
    )


def pos_equal(low: int, high: int) -> str:
    """Two rows of pos are the same, the first among them."""
    return (
        f"pos[{low}] and pos[{high}] are the same, so attention cannot tell these two places apart. Give the "
        "first place a row of its own."
    )


def pos_equal_unique(low: int, high: int) -> str:
    """Two rows of pos are the same; each token has to tell its own place from the others."""
    return (
        f"pos[{low}] and pos[{high}] are the same, so a token there cannot tell its own place from the "
        f"other. Give each place a row of its own."
    )


def vm_positions(pos_dim: int) -> str:
    """The value holds something of the position."""
    rows = "its last row" if pos_dim == 1 else f"its last {pos_dim} rows"
    return f"Vm lets positions through into the output. Set {rows}, those below the three token rows, to 0."


def vm_scaled(factors: npt.NDArray[np.float64]) -> str:
    """Token rows of Vm are the right ones times factors."""
    if np.allclose(factors, factors[0]):
        told = f"{factors[0]:.4g} times the token"
    else:
        told = "the tokens times " + ", ".join(
            f"{f:.4g} ({t})" for f, t in zip(factors, _TOKENS, strict=True)
        )
    return (
        f"Vm is scaled: a value is {told}; expected: the token itself. Put 1 where these factors stand in Vm."
    )


def vm_permuted(columns: npt.NDArray[np.int64]) -> str:
    """columns: (3,), where the 1 of each token row of Vm stands."""
    told = ", ".join(
        f"{t} gives {_TOKENS[c]}" for t, c in zip(_TOKENS, columns, strict=True) if _TOKENS[c] != t
    )
    return f"Vm exchanges the tokens: {told}. The token rows of Vm have to be the identity matrix."


def vm_mixes(token: int, row: npt.NDArray[np.float64]) -> str:
    """A token row of Vm is not the token."""
    came = ", ".join(f"{value:.4g}" for value in row)
    expected = ", ".join("1" if i == token else "0" for i in range(3))
    return (
        f"The row of Vm for {_TOKENS[token]} is [{came}]; expected: [{expected}], so that attending to "
        f"{_TOKENS[token]} gives {_TOKENS[token]}."
    )


def signs_not_sharp(factor: float) -> str:
    """With sharper attention every sign is right."""
    return (
        "Attention is not sharp enough: too much of it goes to tokens that should not count. Multiply Km by "
        f"{factor:g}: with that, every sequence passes."
    )


def signs_too_sharp(divisor: float) -> str:
    """With softer attention every sign is right."""
    return (
        f"Attention is too sharp for this design. Divide Km by {divisor:g}: with that, every sequence passes."
    )


def own_copy() -> str:
    """A token that occurs once attends to itself."""
    return (
        "A token that occurs once attends to itself, as if it were its own copy. Lower the score of a "
        "token's own place, with the help of pos, so that such a token attends to CLS instead."
    )


def one_sign(sign: float) -> str:
    """Every output has the same sign, or is zero."""
    told = {1.0: "positive", -1.0: "negative"}.get(sign, "zero")
    return (
        f"Every output is {told}. Let CLS and the other tokens have values of different signs, and choose Km "
        "and Qm so that unique tokens attend to one and repeated tokens to the other."
    )


def at_length(length: int) -> str:
    """All sequences that fail have the same length."""
    return f"Only sequences of length {length} fail. Look at what is new at that length."


def on_repeats() -> str:
    """Only sequences with a repeated token fail."""
    return "Only sequences in which a token repeats fail. Look at what a second copy of a token adds."
