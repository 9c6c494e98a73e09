"""Explains why hand-designed matrices fail: which mistake, and the shortest sequence on which they do.

Each guess is a repair: it is told only if the repaired matrices pass on every sequence, or if the attention,
made sharp, shows the pattern on every sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, compress, product
from typing import Final, NamedTuple

import numpy as np

from autograder import settings
from autograder.assignment import MATRICES
from autograder.feedback.messages import Message, Verdict, judged, with_fallback
from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import BoolArray, FloatArray, NumpyTransformer

ALLOWED: Final = "0.000001 %"
"""Of a query's attention: the notebook allows 1e-8 where 0 is expected."""
_STEPS: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
ROUND_NUMBERS: Final = tuple(float(f"{step:g}e{power}") for power, step in product(range(6), _STEPS))
"""1, 1.5, 2, 2.5, ... 800000: what a student types rather than what a search ends at."""
_TOKENS: Final = np.eye(3)
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth")


class Finding(NamedTuple):
    """name: of the mistake, short and stable. what it is, in a sentence without its full stop. do: how to
    mend it."""

    name: str
    what: str
    do: str


_UNKNOWN: Final = Finding(
    "", "No known mistake explains it", "Follow the sequence below by hand: keys, queries, scores, values."
)


def explain_matrices(verdict: Verdict, *, half: bool) -> Message:
    """What is wrong, what to do, how many are right, and the shortest sequence that is not; not all are.

    half: of the points are given.
    """
    from autograder.feedback.figures import attention_table, picture

    task, transformer = verdict.task, verdict.transformer
    first, *others = found = find(verdict) or [_UNKNOWN]
    batch, index = verdict.shortest_failure
    sign = " (of the output, the sign counts)" if task.only_sign else ""
    why_half = "You get half of the points: attention lands on the right tokens in every sequence."
    return Message(
        f"{first.what}.",
        first.do,
        details=(
            *(f"{finding.what}. {finding.do}" for finding in others),
            verdict.count,
            *([why_half] if half else []),
            f"The shortest sequence that fails is {batch.spell(index)}{sign}:",
        ),
        table=attention_table(task, transformer, batch, index),
        picture=with_fallback(lambda: picture(task, transformer, batch, index), str),
        diagnosis=", ".join(finding.name for finding in found),
    )


# --- Which mistakes there are. ---


def find(verdict: Verdict) -> list[Finding]:
    """The mistakes that are recognised, the one to mend first in front."""
    task, transformer = verdict.task, verdict.transformer
    for name in MATRICES:
        matrix = getattr(transformer, name)
        if matrix is not None and not np.isfinite(matrix).all():
            do = "Look at how you compute it: it needs ordinary numbers."
            return [Finding("not finite", f"{name} holds NaN or infinity", do)]
    if task.only_sign:
        found = [_sign_finding(task, transformer)]
    else:
        values = np.concatenate([_TOKENS, np.zeros((transformer.pos_dim, 3))])
        found = [*_attention_findings(task, replace(transformer, Vm=values)), *_value_findings(transformer)]
    return list(filter(None, found)) or _failing_pattern(verdict)


def _failing_pattern(verdict: Verdict) -> list[Finding]:
    """What the sequences that fail have in common and those that pass have not."""
    lengths = [index + 1 for index, ok in enumerate(verdict.right) if not ok.all()]
    if len(lengths) == 1:
        told = f"Only sequences of length {lengths[0]} fail"
        return [Finding("fails at one length", told, "Look at what is new at that length.")]
    batches = zip(verdict.task.all_sequences(), verdict.right, strict=True)
    failing = (tokens for batch, ok in batches for tokens in batch.tokens[~ok].tolist())
    if not all(len(set(tokens)) < len(tokens) for tokens in failing):
        return []
    told = "Only sequences in which a token repeats fail"
    return [Finding("fails on repeats", told, "Look at what a second copy of a token adds.")]


# --- Attention of the tasks that copy a token, whatever Vm does. ---


def _attention_findings(task: SequenceTask, transformer: NumpyTransformer) -> list[Finding | None]:
    """What keeps attention from landing where it should, sharply; transformer has the right values."""
    if passes_everywhere(task, transformer):
        return []
    broken = _break_finding(task, transformer)
    lands = all(
        ok.all() or not np.isfinite(transformer.forward(batch.inputs).scores).all()
        for batch, ok in zip(task.all_sequences(), judged(task, transformer.sharp), strict=True)
    )
    if broken is not None and (lands or sharpening(task, transformer, shrink=True) is not None):
        return [broken]
    if broken is None and lands:
        return [_sharpness(task, transformer)]
    looks = (_last_place, _repaired, _by_position) if task.pos_rows else (_repaired, _by_content)
    return [broken, next(filter(None, (look(task, transformer) for look in looks)), None)]


def _break_finding(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """Where the assignment's plain exp breaks, first among the shortest; with the factor that mends it."""
    broken = ((batch, transformer.worst_break(batch.inputs)) for batch in task.all_sequences())
    batch, worst = next((each for each in broken if each[1] is not None), (None, None))
    if batch is None or worst is None:
        return None
    do = "Make Km or Qm smaller."
    if divisor := sharpening(task, transformer, shrink=True):
        do = f"Divide Km by {divisor:g}: with that, attention is right on every sequence."
    spelled = batch.spell(worst.index[0])
    if worst.overflows:
        came = f"one reaches {worst.score:.4g}" if np.isfinite(worst.score) else "one is no number any more"
        what = (
            f"Your scores are too large: on {spelled} {came}, and exp() of more than about 709 is "
            "infinite; the notebook then divides infinity by infinity, which gives NaN"
        )
        return Finding("overflow", what, do)
    what = (
        f"Your scores are too far below zero: on {spelled} the largest of a query is {worst.score:.4g}, "
        "and exp() of less than about -745 is 0; the notebook then divides 0 by 0, which gives NaN"
    )
    return Finding("underflow", what, do)


def _sharpness(task: SequenceTask, transformer: NumpyTransformer) -> Finding:
    """How far from sharp attention is, on the shortest sequence that fails; it lands on the right tokens."""
    batch, index = Verdict.of(task, transformer).shortest_failure
    weights = transformer.forward(batch.inputs[index]).attention_weights  # (L, L)
    wrong = batch.expected[index] @ batch.inputs[index, :, :3].T == 0  # (L, L): keys of another token
    leaks = np.where(wrong, weights, 0.0).sum(axis=-1)  # (L,)
    what = (
        f"Attention lands on the right tokens but is not sharp enough: on {batch.spell(index)}, the "
        f"{_ORDINALS[leaks.argmax()]} token gives {100 * float(leaks.max()):.3g} % of its "
        f"attention to wrong ones; {ALLOWED} is allowed"
    )
    if factor := sharpening(task, transformer):
        do = f"Multiply Km by {factor:g}: with that, it passes on every sequence."
        return Finding("not sharp enough", what, do)
    what += ". The scores lie too close together: no scale makes this pass before exp() overflows"
    do = "Make keys of different tokens more different (orthogonal is best)."
    return Finding("scores too close", what, do)


def _last_place(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = [transformer.sharp(batch.inputs).attention_weights > 0 for batch in task.all_sequences()[1:]]
    if not all(_only(each, each.shape[-1] - 1) for each in attended):
        return None
    do = "Choose Km so that the row of pos for position 0 gives the key that queries look for."
    if sharpening(task, scaled(transformer, -1)):
        do = "Your keys grow with the position: change the sign of Km."
    told = "Every token attends to the last token; expected: to the first"
    return Finding("attends to the last token", told, do)


def _repaired(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """A repair after which every sequence passes, if need be with another scale of Km."""
    for finding, mended in _repairs(task, transformer):
        scale = sharpening(task, mended)
        if not (scale or task.only_sign) and (divisor := sharpening(task, mended, shrink=True)):
            scale = 1 / divisor
        if scale:
            then = "every sequence passes" if scale == 1 else f"and Km multiplied by {scale:.3g}, it passes"
            return finding._replace(do=finding.do.format(then=then))
    return None


def _repairs(task: SequenceTask, transformer: NumpyTransformer) -> Iterator[tuple[Finding, NumpyTransformer]]:
    """What may be wrong, and the transformer in which it is mended."""
    Km, Qm = transformer.Km, transformer.Qm
    if task.only_sign:
        what = "Every sign is the wrong way round"
        finding = Finding("wrong sign of Vm", what, "Change the sign of Vm; {then}.")
        yield finding, replace(transformer, Vm=-transformer.Vm)
    what = "Attention avoids the tokens it should land on: the scores have the wrong sign"
    finding = Finding("wrong sign of the scores", what, "Change the sign of Km; with that, {then}.")
    yield finding, scaled(transformer, -1)
    what = "Km and Qm are exchanged: Km makes the keys, what tokens offer; Qm the queries, what they look for"
    finding = Finding("Km and Qm exchanged", what, "Exchange the two; with that, {then}.")
    yield finding, replace(transformer, Km=Qm, Qm=Km)
    if task.pos_rows is None or task.only_sign:
        return
    # The same rows for A, B and C: their mean.
    blind_K, blind_Q = (np.concatenate([np.tile(m[:3].mean(axis=0), (3, 1)), m[3:]]) for m in (Km, Qm))
    what = "Your queries depend on the token, but every token has to look for the same place"
    do = "Give the three token rows of Qm the same numbers; with their mean, {then}."
    yield Finding("queries depend on the token", what, do), replace(transformer, Qm=blind_Q)
    what = "Your keys depend on the token, but only the position counts here"
    do = "Set the three token rows of Km to 0; with the same numbers in all three, {then}."
    yield Finding("keys depend on the token", what, do), replace(transformer, Km=blind_K)


def _by_content(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = transformer.sharp(_TOKENS[None]).attention_weights[0] > 0  # (token asking, attended to)
    if attended.all():
        return _uniform(transformer)
    landed = (" and ".join(compress(TOKEN_NAMES, row)) for row in attended)
    pairs = ((token, "itself" if to == token else to) for token, to in zip(TOKEN_NAMES, landed, strict=True))
    parts = [f"{token} attends to {to}" for token, to in pairs]
    return Finding(
        "tokens not told apart" if attended.diagonal().all() else "attends to the wrong tokens",
        f"Attention lands on the wrong tokens: in A B C, {', '.join(parts)}; expected: each to itself",
        "Look at queries times keys: the largest number of each row has to stand on the diagonal.",
    )


def _uniform(transformer: NumpyTransformer) -> Finding:
    zero = [name for name in ("Km", "Qm") if not getattr(transformer, name).any()]
    why = (
        f"{' and '.join(zero)} {'holds' if len(zero) == 1 else 'hold'} only zeros, so all" if zero else "All"
    )
    return Finding(
        "uniform attention",
        f"{why} scores of a query are the same, and every token attends to all tokens alike",
        "Choose Km and Qm so that query times key is large where attention should land.",
    )


def _by_position(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    if transformer.pos is None or task.pos_rows is None:
        return None
    attended = [transformer.sharp(batch.inputs).attention_weights > 0 for batch in task.all_sequences()[1:]]
    if all(each.all() for each in attended):
        return _uniform(transformer)
    equal = _equal_rows(transformer.pos[: task.pos_rows])
    if equal is not None and equal[0] == 0:
        what = f"pos[0] and pos[{equal[1]}] are the same, so attention cannot tell these two places apart"
        return Finding("equal rows of pos", what, "Give the first place a row of its own.")
    if all((each == np.eye(each.shape[-1], dtype=bool)).all() for each in attended):
        what = "Every token attends to itself; expected: to the first token"
        do = "Make all queries the same, so that they all look for the key of pos[0]."
        return Finding("attends to itself", what, do)
    for place in range(1, task.max_len):
        if all(_only(each, place) for each in attended if each.shape[-1] > place):
            which = f"the {_ORDINALS[place]} token (pos[{place}])"
            where = f"Where there is {which.replace('the', 'a', 1)}, e" if place > 1 else "E"
            told = f"{where}very token attends to {'it' if place > 1 else which}"
            do = "Choose Km so that pos[0], the first row, gives the key that queries look for."
            return Finding("attends to the wrong position", f"{told}; expected: to the first (pos[0])", do)
    return None


def _only(attended: BoolArray, place: int) -> bool:
    """Whether every query of every sequence attends to this place alone."""
    return bool(attended[..., place].all() and (attended.sum(axis=-1) == 1).all())


def _equal_rows(pos: FloatArray) -> tuple[int, int] | None:
    """The first two rows of pos that are the same, counted from 0."""
    pairs = combinations(range(len(pos)), 2)
    return next((pair for pair in pairs if np.allclose(pos[pair[0]], pos[pair[1]], 0, 1e-12)), None)


# --- Vm, whatever the attention does: the value of the token to copy has to be the token itself. ---


def _value_findings(transformer: NumpyTransformer) -> list[Finding]:
    """What makes the values differ from the tokens; empty if attention alone is to blame."""
    tokens = transformer.Vm[:3]
    first = tokens if transformer.pos is None else tokens + transformer.pos[0] @ transformer.Vm[3:]
    if _close(first, _TOKENS):
        return []
    findings = []
    if not _close(tokens, first):
        rows = "its last row" if transformer.pos_dim == 1 else f"its last {transformer.pos_dim} rows"
        what = "Vm lets positions through into the output"
        do = f"Set {rows}, those below the three token rows, to 0."
        findings.append(Finding("Vm lets positions through", what, do))
    largest = np.abs(tokens).argmax(axis=1)
    factors = tokens[np.arange(3), largest]
    scaled_tokens = factors[:, None] * _TOKENS[largest]
    if set(largest) != {0, 1, 2} or not factors.all() or not _close(tokens, scaled_tokens):
        wrong = int(np.argmax([not _close(row, one) for row, one in zip(tokens, _TOKENS, strict=True)]))
        came, expected = (", ".join(f"{value:.4g}" for value in each[wrong]) for each in (tokens, _TOKENS))
        name = TOKEN_NAMES[wrong]
        what = f"The row of Vm for {name} is [{came}]; expected: [{expected}]"
        return [*findings, Finding("Vm mixes tokens", what, f"Let attending to {name} give {name}.")]
    gives = ((token, TOKEN_NAMES[column]) for token, column in zip(TOKEN_NAMES, largest, strict=True))
    if moved := ", ".join(f"{token} gives {other}" for token, other in gives if token != other):
        do = "The token rows of Vm have to be the identity matrix."
        findings.append(Finding("Vm permuted", f"Vm exchanges the tokens: {moved}", do))
    if not _close(factors, np.ones(3)):
        told = f"{factors[0]:.4g} times the token"
        if not np.allclose(factors, factors[0]):
            each = (f"{f:.4g} ({t})" for f, t in zip(factors, TOKEN_NAMES, strict=True))
            told = "the tokens times " + ", ".join(each)
        what = f"Vm is scaled: a value is {told}; expected: the token itself"
        findings.append(Finding("Vm scaled", what, "Put 1 where these factors stand in Vm."))
    return findings


def _close(got: FloatArray, expected: FloatArray) -> bool:
    return bool(np.allclose(got, expected, rtol=settings.RTOL, atol=settings.TASK_ATOL))


# --- The unique-token task, where only the output's sign counts. ---


def _sign_finding(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """What keeps signs from being right; None if no known mistake explains it."""
    if broken := _break_finding(task, transformer):
        return broken
    if factor := sharpening(task, transformer):
        what = "Attention is not sharp enough: too much of it goes to tokens that should not count"
        do = f"Multiply Km by {factor:g}: with that, every sequence passes."
        return Finding("not sharp enough", what, do)
    if repaired := _repaired(task, transformer):
        return repaired
    if divisor := sharpening(task, transformer, shrink=True):
        do = f"Divide Km by {divisor:g}: with that, every sequence passes."
        return Finding("scores too close", "Attention is too sharp for this design", do)
    batches = task.all_sequences()
    if all(_unique_attend_to_themselves(transformer, batch) for batch in batches):
        return Finding(
            "attends to itself",
            "A token that occurs once attends to itself, as if it were its own copy",
            "Lower the score of a token's own place, by means of pos, so that it attends to CLS instead.",
        )
    equal = None if transformer.pos is None else _equal_rows(transformer.pos[: task.pos_rows])
    if equal is not None and equal[0] > 0:
        what = f"pos[{equal[0]}] and pos[{equal[1]}] are the same, so a token there cannot tell its own "
        return Finding("equal rows of pos", what + "place from the other", "Give each place its own row.")
    signs = {float(s) for b in batches for s in np.sign(transformer.forward(b.inputs).output[:, 1:]).flat}
    if len(signs) == 1:
        return Finding(
            "the same sign everywhere",
            f"Every output is {({1.0: 'positive', -1.0: 'negative'}).get(signs.pop(), 'zero')}",
            "Give CLS and the other tokens values of different signs; unique tokens attend to one of them.",
        )
    return None


def _unique_attend_to_themselves(transformer: NumpyTransformer, batch: Batch) -> bool:
    attended = transformer.sharp(batch.inputs).attention_weights[:, 1:, 1:] > 0  # without CLS
    unique = batch.expected[..., 0] > 0  # (n, L)
    return bool(np.diagonal(attended, axis1=1, axis2=2)[unique].all())


# --- Matrices on every sequence: at which scale all pass. ---


def passes_everywhere(task: SequenceTask, transformer: NumpyTransformer) -> bool:
    """Whether every sequence is right."""
    return all(right.all() for right in judged(task, transformer.plain))


def scaled(transformer: NumpyTransformer, factor: float) -> NumpyTransformer:
    """The same transformer with factor * Km."""
    return replace(transformer, Km=factor * transformer.Km)


def sharpening(task: SequenceTask, transformer: NumpyTransformer, *, shrink: bool = False) -> float | None:
    """The smallest round number by which Km, multiplied, makes every sequence pass; None if none does.

    shrink: divided.
    """
    factors = ((number, 1 / number if shrink else number) for number in ROUND_NUMBERS)
    right = (number for number, by in factors if passes_everywhere(task, scaled(transformer, by)))
    return next(right, None)
