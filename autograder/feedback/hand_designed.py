"""Explains why hand-designed matrices fail: which mistake, and the shortest sequence on which they do.

Each guess is a repair: it is told only if the repaired matrices pass on every sequence, or if the attention,
made sharp, shows the pattern on every sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from autograder import settings
from autograder.assignment import MATRICES
from autograder.feedback.messages import Message, with_fallback
from autograder.feedback.sequences import (
    attention_table,
    passes,
    passes_everywhere,
    scaled,
    sharpening,
    shrinking,
)
from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import BoolArray, ExpBreak, FloatArray, NumpyTransformer

ALLOWED: Final = "0.000001 %"
"""Of a query's attention: the notebook allows 1e-8 where 0 is expected."""
_TOKENS: Final = np.eye(3)
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth")
_UNKNOWN: Final = "No known mistake explains it"


class Finding(NamedTuple):
    """name: of the mistake, short and stable. what it is, in a sentence without its full stop. do: how to
    mend it."""

    name: str
    what: str
    do: str


def explain(
    task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray], count: str, *, half: bool
) -> Message:
    """What is wrong, what to do, how many are right (count), and the shortest sequence that is not."""
    unknown = Finding("", _UNKNOWN, "Follow the sequence below by hand: keys, queries, scores, values.")
    first, *others = find(task, transformer, right) or [unknown]
    batch, index = shortest_failure(task, right)
    sign = " (of the output, the sign counts)" if task.only_sign else ""
    details = [f"{finding.what}. {finding.do}" for finding in others]
    details.append(count)
    if half:
        details.append(
            "You get half of the points, because attention lands on the right tokens in every sequence."
        )
    details.append(f"The shortest sequence that fails is {batch.spell(index)}{sign}:")
    message = Message(
        f"{first.what}.",
        first.do,
        details=tuple(details),
        table=attention_table(task, transformer, batch, index),
        diagnosis=", ".join(filter(None, (finding.name for finding in (first, *others)))),
    )

    def pictured() -> Message:
        from autograder.feedback.figures import picture

        return replace(message, picture=picture(task, transformer, batch, index))

    return with_fallback(pictured, lambda: message)


def shortest_failure(task: SequenceTask, right: Sequence[BoolArray]) -> tuple[Batch, int]:
    """The batch and the index in it of the first sequence, in order of length, that fails."""
    for batch, ok in zip(task.all_sequences(), right, strict=True):
        if not ok.all():
            return batch, int(np.argmin(ok))
    raise ValueError("every sequence passes: there is nothing to explain")


# --- Which mistakes there are. ---


def find(task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray]) -> list[Finding]:
    """The mistakes that are recognised, the one to mend first in front. right: which sequences pass."""
    for name in MATRICES:
        matrix = getattr(transformer, name)
        if matrix is not None and not np.isfinite(matrix).all():
            told = f"{name} holds NaN or infinity"
            return [Finding("not finite", told, "Look at how you compute it: it needs ordinary numbers.")]
    if task.only_sign:
        findings = [finding for finding in [_sign_finding(task, transformer)] if finding is not None]
    else:
        values = np.concatenate([_TOKENS, np.zeros((transformer.pos_dim, 3))])
        findings = _attention_findings(task, replace(transformer, Vm=values)) + _value_findings(transformer)
    return findings or _failing_pattern(task, right)


def _failing_pattern(task: SequenceTask, right: Sequence[BoolArray]) -> list[Finding]:
    """What the sequences that fail have in common and those that pass have not."""
    lengths = [index + 1 for index, ok in enumerate(right) if not ok.all()]
    if len(lengths) == 1:
        told = f"Only sequences of length {lengths[0]} fail"
        return [Finding("fails at one length", told, "Look at what is new at that length.")]
    for batch, ok in zip(task.all_sequences(), right, strict=True):
        repeats = np.array([len(set(tokens)) < len(tokens) for tokens in batch.tokens.tolist()])
        if not ok[~repeats].all():
            return []
    told = "Only sequences in which a token repeats fail"
    return [Finding("fails on repeats", told, "Look at what a second copy of a token adds.")]


# --- Attention of the tasks that copy a token, whatever Vm does. ---


def _attention_findings(task: SequenceTask, transformer: NumpyTransformer) -> list[Finding]:
    """What keeps attention from landing where it should, sharply; transformer has the right values."""
    if passes_everywhere(task, transformer):
        return []
    broken = _break_finding(task, transformer)
    lands = all(
        not np.isfinite(transformer.forward(batch.inputs).scores).all()
        or passes(task, transformer.sharp_output(batch.inputs), batch.expected).all()
        for batch in task.all_sequences()
    )
    if broken is not None and (lands or shrinking(task, transformer) is not None):
        return [broken]
    if broken is None and lands and (soft := _sharpness(task, transformer)) is not None:
        return [soft]
    looks = (_last_place, _repaired, _by_position) if task.pos_rows else (_repaired, _by_content)
    structure = next(filter(None, (look(task, transformer) for look in looks)), None)
    return [finding for finding in (broken, structure) if finding is not None]


def _break_finding(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """Where the assignment's plain exp breaks, first among the shortest; with the factor that mends it."""
    for batch in task.all_sequences():
        worst = transformer.overflow(batch.inputs).worst()
        if worst is None:
            continue
        divisor = shrinking(task, transformer)
        do = "Make Km or Qm smaller."
        if divisor is not None:
            do = f"Divide Km by {divisor:g}: with that, their attention passes on every sequence."
        spelled = batch.spell(worst.index[0])
        if worst.reason is ExpBreak.OVERFLOW:
            came = "one is too large to be a number"
            if np.isfinite(worst.score):
                came = f"one reaches {worst.score:.4g}"
            what = (
                f"Your scores are too large: on {spelled} {came}, and exp() of more than about 709 is "
                "infinite; the notebook then divides infinity by infinity, which gives NaN"
            )
            return Finding("overflow", what, do)
        what = (
            f"Your scores are too far below zero: on {spelled} the largest score of a query is "
            f"{worst.score:.4g}, and exp() of less than about -745 is 0; the notebook then divides 0 by 0, "
            "which gives NaN"
        )
        return Finding("underflow", what, do)
    return None


def _sharpness(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """How far from sharp attention is, on the first sequence that fails; it lands on the right tokens."""
    for batch in task.all_sequences():
        attention = transformer.forward(batch.inputs)
        wrong = batch.expected @ batch.inputs[:, :, :3].mT == 0  # (n, L, L): keys of another token
        leaks = np.where(wrong, attention.attention_weights, 0.0).sum(axis=-1)  # (n, L)
        bad = ~passes(task, attention.output, batch.expected)
        if not bad.any():
            continue
        index = int(np.argmax(bad))
        place = _ORDINALS[int(leaks[index].argmax())]
        what = (
            f"Attention lands on the right tokens but is not sharp enough: on {batch.spell(index)}, the "
            f"{place} token gives {100 * float(leaks[index].max()):.3g} % of its attention to wrong ones; "
            f"{ALLOWED} is allowed"
        )
        factor = sharpening(task, transformer)
        if factor is not None:
            do = f"Multiply Km by {factor:g}: with that, it passes on every sequence."
            return Finding("not sharp enough", what, do)
        what += (
            ". The scores of right and wrong tokens lie too close together for their size: no scale makes "
            "this pass before exp() overflows"
        )
        do = "Make keys of different tokens more different (orthogonal is best)."
        return Finding("scores too close", what, do)
    return None


def _last_place(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = [transformer.sharp_attention(batch.inputs) for batch in task.all_sequences()[1:]]
    if not all(_only(each, each.shape[-1] - 1) for each in attended):
        return None
    turned = scaled(transformer, -1)
    do = "Choose Km so that the row of pos for position 0 gives the key that queries look for."
    if sharpening(task, turned) or passes_everywhere(task, turned):
        do = "Your keys grow with the position: change the sign of Km."
    told = "Every token attends to the last token; expected: to the first"
    return Finding("attends to the last token", told, do)


def _repaired(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """A repair after which every sequence passes, if need be with another scale of Km."""
    for name, what, do, mended in _repairs(task, transformer):
        scale: float | None = 1.0 if passes_everywhere(task, mended) else sharpening(task, mended)
        if scale is None and not task.only_sign and (divisor := shrinking(task, mended)) is not None:
            scale = 1 / divisor
        if scale is not None:
            then = "every sequence passes" if scale == 1 else f"and Km multiplied by {scale:.3g}, it passes"
            return Finding(name, what, do.format(then=then))
    return None


def _repairs(
    task: SequenceTask, transformer: NumpyTransformer
) -> Iterator[tuple[str, str, str, NumpyTransformer]]:
    """Name, what is wrong, what to do, and the transformer in which that is done."""
    if task.only_sign:
        turned = replace(transformer, Vm=-transformer.Vm)
        yield (
            "wrong sign of Vm",
            "Every sign is the wrong way round",
            "Change the sign of Vm; {then}.",
            turned,
        )
    yield (
        "wrong sign of the scores",
        "Attention avoids the tokens it should land on: the scores have the wrong sign",
        "Change the sign of Km; with that, {then}.",
        scaled(transformer, -1),
    )
    yield (
        "Km and Qm exchanged",
        "Km and Qm are exchanged: Km makes the keys, what a token offers; Qm the queries, what a token looks "
        "for",
        "Exchange the two; with that, {then}.",
        replace(transformer, Km=transformer.Qm, Qm=transformer.Km),
    )
    if task.pos_rows is None or task.only_sign:
        return
    yield (
        "queries depend on the token",
        "Your queries depend on the token, but every token has to look for the same place",
        "Give the three token rows of Qm the same numbers; with their mean, {then}.",
        replace(transformer, Qm=_token_blind(transformer.Qm)),
    )
    yield (
        "keys depend on the token",
        "Your keys depend on the token, but only the position counts here",
        "Set the three token rows of Km to 0; with the same numbers in all three, {then}.",
        replace(transformer, Km=_token_blind(transformer.Km)),
    )


def _token_blind(matrix: FloatArray) -> FloatArray:
    """The same rows for A, B and C: their mean."""
    blind = matrix.copy()
    blind[:3] = matrix[:3].mean(axis=0)
    return blind


def _by_content(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = transformer.sharp_attention(np.eye(3)[None])[0]  # (token asking, token attended to)
    if attended.all():
        return _uniform(transformer)
    parts = []
    for token, row in zip(TOKEN_NAMES, attended, strict=True):
        landed = [other for other, lands in zip(TOKEN_NAMES, row, strict=True) if lands]
        parts.append(f"{token} attends to {'itself' if landed == [token] else _and(landed)}")
    name = "tokens not told apart" if attended.diagonal().all() else "attends to the wrong tokens"
    return Finding(
        name,
        f"Attention lands on the wrong tokens: in A B C, {', '.join(parts)}; expected: each to itself",
        "Look at queries times keys for the three tokens: the largest number of each row has to stand on the "
        "diagonal.",
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _uniform(transformer: NumpyTransformer) -> Finding:
    zero = [name for name in ("Km", "Qm") if not getattr(transformer, name).any()]
    why = f"{_and(zero)} {'holds' if len(zero) == 1 else 'hold'} only zeros, so all" if zero else "All"
    return Finding(
        "uniform attention",
        f"{why} scores of a query are the same, and every token attends to all tokens alike",
        "Choose Km and Qm so that query times key is large where attention should land.",
    )


def _by_position(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    if transformer.pos is None or task.pos_rows is None:
        return None
    attended = [transformer.sharp_attention(batch.inputs) for batch in task.all_sequences()[1:]]
    if all(each.all() for each in attended):
        return _uniform(transformer)
    equal = _equal_rows(transformer.pos[: task.pos_rows])
    if equal is not None and equal[0] == 0:
        what = f"pos[0] and pos[{equal[1]}] are the same, so attention cannot tell these two places apart"
        return Finding("equal rows of pos", what, "Give the first place a row of its own.")
    if all((each == np.eye(each.shape[-1], dtype=bool)).all() for each in attended):
        return Finding(
            "attends to itself",
            "Every token attends to itself; expected: to the first token",
            "Make all queries the same, so that they all look for the key of pos[0].",
        )
    for place in range(1, task.max_len):
        if all(_only(each, place) for each in attended if each.shape[-1] > place):
            told = f"Every token attends to the {_ORDINALS[place]} token (pos[{place}])"
            if place > 1:
                told = f"Where there is a {_ORDINALS[place]} token (pos[{place}]), every token attends to it"
            return Finding(
                "attends to the wrong position",
                f"{told}; expected: to the first (pos[0])",
                "Choose Km so that pos[0], the first row, gives the key that queries look for.",
            )
    return None


def _only(attended: BoolArray, place: int) -> bool:
    """Whether every query of every sequence attends to this place alone."""
    return bool(attended[..., place].all() and (attended.sum(axis=-1) == 1).all())


def _equal_rows(pos: FloatArray) -> tuple[int, int] | None:
    """The first two rows of pos that are the same, counted from 0."""
    for low in range(len(pos)):
        for high in range(low + 1, len(pos)):
            if np.allclose(pos[low], pos[high], rtol=0, atol=1e-12):
                return low, high
    return None


# --- Vm, whatever the attention does: the value of the token to copy has to be the token itself. ---


def _value_findings(transformer: NumpyTransformer) -> list[Finding]:
    """What makes the values differ from the tokens; empty if attention alone is to blame."""
    tokens = transformer.Vm[:3]
    first = tokens if transformer.pos is None else tokens + transformer.pos[0] @ transformer.Vm[3:]
    if _close(first, _TOKENS):
        return []
    findings = []
    if transformer.pos is not None and not _close(tokens, first):
        pos_dim = transformer.pos_dim
        rows = "its last row" if pos_dim == 1 else f"its last {pos_dim} rows"
        what = "Vm lets positions through into the output"
        do = f"Set {rows}, those below the three token rows, to 0."
        findings.append(Finding("Vm lets positions through", what, do))
    if not _close(tokens, _TOKENS):
        findings += _token_findings(tokens)
    return findings


def _token_findings(tokens: FloatArray) -> list[Finding]:
    """tokens: (3, 3), the rows of Vm for A, B, C."""
    diagonal = np.diag(tokens)
    if _close(tokens, np.diag(diagonal)) and diagonal.all():
        return [_vm_scaled(diagonal)]
    largest = np.abs(tokens).argmax(axis=1)
    factors = tokens[np.arange(3), largest]
    if set(largest) == {0, 1, 2} and factors.all() and _close(tokens, factors[:, None] * _TOKENS[largest]):
        gives = ", ".join(
            f"{t} gives {TOKEN_NAMES[c]}"
            for t, c in zip(TOKEN_NAMES, largest, strict=True)
            if TOKEN_NAMES[c] != t
        )
        do = "The token rows of Vm have to be the identity matrix."
        permuted = Finding("Vm permuted", f"Vm exchanges the tokens: {gives}", do)
        return [permuted] if _close(factors, np.ones(3)) else [permuted, _vm_scaled(factors)]
    wrong = int(np.argmax([not _close(row, one) for row, one in zip(tokens, _TOKENS, strict=True)]))
    came = ", ".join(f"{value:.4g}" for value in tokens[wrong])
    expected = ", ".join("1" if i == wrong else "0" for i in range(3))
    token = TOKEN_NAMES[wrong]
    what = f"The row of Vm for {token} is [{came}]; expected: [{expected}]"
    return [Finding("Vm mixes tokens", what, f"Let attending to {token} give {token}.")]


def _vm_scaled(factors: FloatArray) -> Finding:
    if np.allclose(factors, factors[0]):
        told = f"{factors[0]:.4g} times the token"
    else:
        each = (f"{f:.4g} ({t})" for f, t in zip(factors, TOKEN_NAMES, strict=True))
        told = "the tokens times " + ", ".join(each)
    what = f"Vm is scaled: a value is {told}; expected: the token itself"
    return Finding("Vm scaled", what, "Put 1 where these factors stand in Vm.")


def _close(got: FloatArray, expected: FloatArray) -> bool:
    return bool(np.allclose(got, expected, rtol=settings.RTOL, atol=settings.TASK_ATOL))


# --- The unique-token task, where only the output's sign counts. ---


def _sign_finding(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """What keeps signs from being right; None if no known mistake explains it."""
    broken = _break_finding(task, transformer)
    if broken is not None:
        return broken
    factor = sharpening(task, transformer)
    if factor is not None:
        what = "Attention is not sharp enough: too much of it goes to tokens that should not count"
        return Finding(
            "not sharp enough", what, f"Multiply Km by {factor:g}: with that, every sequence passes."
        )
    repaired = _repaired(task, transformer)
    if repaired is not None:
        return repaired
    divisor = shrinking(task, transformer)
    if divisor is not None:
        do = f"Divide Km by {divisor:g}: with that, every sequence passes."
        return Finding("scores too close", "Attention is too sharp for this design", do)
    batches = task.all_sequences()
    if all(_unique_attend_to_themselves(transformer, batch) for batch in batches):
        return Finding(
            "attends to itself",
            "A token that occurs once attends to itself, as if it were its own copy",
            "Lower the score of a token's own place, with the help of pos, so that such a token attends to "
            "CLS instead.",
        )
    if transformer.pos is not None and task.pos_rows is not None:
        equal = _equal_rows(transformer.pos[: task.pos_rows])
        if equal is not None and equal[0] > 0:
            what = f"pos[{equal[0]}] and pos[{equal[1]}] are the same, so a token there cannot tell its own "
            return Finding("equal rows of pos", what + "place from the other", "Give each place its own row.")
    signs = {float(s) for b in batches for s in np.sign(transformer.forward(b.inputs).output[:, 1:]).flat}
    if len(signs) == 1:
        return Finding(
            "the same sign everywhere",
            f"Every output is {({1.0: 'positive', -1.0: 'negative'}).get(signs.pop(), 'zero')}",
            "Let CLS and the other tokens have values of different signs, and choose Km and Qm so that "
            "unique tokens attend to one and repeated tokens to the other.",
        )
    return None


def _unique_attend_to_themselves(transformer: NumpyTransformer, batch: Batch) -> bool:
    attended = transformer.sharp_attention(batch.inputs)[:, 1:, 1:]  # without CLS
    unique = batch.expected[..., 0] > 0  # (n, L)
    return bool(np.diagonal(attended, axis1=1, axis2=2)[unique].all())
