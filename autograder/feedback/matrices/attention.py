"""What is wrong with the attention of the tasks that copy a token, whatever Vm does.

Each guess is a repair: it is named only if the repaired matrices pass on every sequence, or if the
attention, made sharp, shows the pattern on every sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from autograder.feedback.matrices.findings import Finding, Mistake, sharp_attention
from autograder.feedback.matrices.scale import scaled, sharpening, shrinking, solves
from autograder.feedback.numbers import passes
from autograder.feedback.wording import matrices as wording
from reference.tasks import SequenceTask
from reference.transformer import BoolArray, ExpBreak, FloatArray, NumpyTransformer


def attention_findings(task: SequenceTask, transformer: NumpyTransformer) -> list[Finding]:
    """What keeps attention from landing where it should, sharply; transformer has the right values."""
    if solves(task, transformer):
        return []
    broken = break_finding(task, transformer)
    lands = _lands(task, transformer)
    if broken is not None and (lands or shrinking(task, transformer) is not None):
        return [broken]
    if broken is None and lands and (scale := _sharpness(task, transformer)) is not None:
        return [scale]
    return ([broken] if broken is not None else []) + _structure(task, transformer)


def _lands(task: SequenceTask, transformer: NumpyTransformer) -> bool:
    """Whether every sequence would be right if attention were sharp; so too if scores are no numbers."""
    for batch in task.all_sequences():
        if not np.isfinite(transformer.forward(batch.inputs).scores).all():
            return True
        if not passes(task, transformer.sharp_output(batch.inputs), batch.expected).all():
            return False
    return True


def break_finding(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """Where the assignment's plain exp breaks, first among the shortest; with the factor that mends it."""
    for batch in task.all_sequences():
        overflow = transformer.overflow(batch.inputs)
        worst = overflow.worst()
        if worst is None:
            continue
        divisor = shrinking(task, transformer)
        spelled = batch.spell(worst.index[0])
        if worst.reason is ExpBreak.OVERFLOW:
            return Finding(Mistake.OVERFLOW, wording.overflow(spelled, worst.score, divisor))
        return Finding(Mistake.UNDERFLOW, wording.underflow(spelled, worst.score, divisor))
    return None


def _sharpness(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """How far from sharp attention is, on the first sequence that fails; it lands on the right tokens."""
    for batch in task.all_sequences():
        attention = transformer.forward(batch.inputs)
        wrong = batch.expected @ batch.inputs[:, :, :3].mT == 0  # (n, L, L): keys of another token
        leaks = np.where(wrong, attention.attention_weights, 0.0).sum(axis=-1)  # (n, L)
        bad = ~passes(task, attention.output, batch.expected)
        if bad.any():
            index = int(np.argmax(bad))
            leak = float(leaks[index].max())
            place = int(leaks[index].argmax())
            factor = sharpening(task, transformer)
            mistake = Mistake.NOT_SHARP if factor is not None else Mistake.SCORES_CLOSE
            return Finding(mistake, wording.not_sharp(batch.spell(index), place, leak, factor))
    return None


def _structure(task: SequenceTask, transformer: NumpyTransformer) -> list[Finding]:
    """The first reason that explains why attention lands elsewhere; empty if none is known."""
    looks = (_last_place, _repairs, _by_position) if task.pos_rows else (_repairs, _by_content)
    for look in looks:
        finding = look(task, transformer)
        if finding is not None:
            return [finding]
    return []


def _last_place(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = [sharp_attention(transformer, batch.inputs) for batch in task.all_sequences()[1:]]
    if not all(_only(each, each.shape[-1] - 1) for each in attended):
        return None
    turned = sharpening(task, scaled(transformer, -1)) or solves(task, scaled(transformer, -1))
    return Finding(Mistake.LAST_PLACE, wording.last_place(bool(turned)))


def _repairs(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    """A repair after which every sequence passes, if need be with another scale of Km."""
    for mistake, repaired in _candidates(task, transformer):
        scale: float | None = 1.0 if solves(task, repaired) else sharpening(task, repaired)
        if scale is None and (divisor := shrinking(task, repaired)) is not None:
            scale = 1 / divisor
        if scale is not None:
            return Finding(mistake, wording.repair(mistake, scale))
    return None


def _candidates(
    task: SequenceTask, transformer: NumpyTransformer
) -> Iterator[tuple[Mistake, NumpyTransformer]]:
    yield Mistake.WRONG_SIGN, scaled(transformer, -1)
    yield Mistake.EXCHANGED, replace(transformer, Km=transformer.Qm, Qm=transformer.Km)
    if task.pos_rows is not None:
        plain_queries, plain_keys = _token_blind(transformer.Qm), _token_blind(transformer.Km)
        yield Mistake.QUERIES_VARY, replace(transformer, Qm=plain_queries)
        yield Mistake.KEYS_VARY, replace(transformer, Km=plain_keys)


def _token_blind(matrix: FloatArray) -> FloatArray:
    """The same rows for A, B and C: their mean."""
    blind = matrix.copy()
    blind[:3] = matrix[:3].mean(axis=0)
    return blind


def _by_content(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    attended = sharp_attention(transformer, np.eye(3)[None])[0]  # (token asking, token attended to)
    if attended.all():
        return Finding(Mistake.UNIFORM, wording.uniform(flat_matrices(transformer)))
    if attended.diagonal().all():
        return Finding(Mistake.SHARES, wording.attended_tokens(attended))
    return Finding(Mistake.WRONG_TOKENS, wording.attended_tokens(attended))


def _by_position(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    if transformer.pos is None or task.pos_rows is None:
        return None
    batches = task.all_sequences()[1:]
    attended = [sharp_attention(transformer, batch.inputs) for batch in batches]
    if all(each.all() for each in attended):
        return Finding(Mistake.UNIFORM, wording.uniform(flat_matrices(transformer)))
    equal = equal_rows(transformer.pos[: task.pos_rows])
    if equal is not None and equal[0] == 0:
        return Finding(Mistake.POS_EQUAL, wording.pos_equal(*equal))
    if all((each == np.eye(each.shape[-1], dtype=bool)).all() for each in attended):
        return Finding(Mistake.OWN_PLACE, wording.own_place())
    for place in range(1, task.max_len):
        if all(_only(each, place) for each in attended if each.shape[-1] > place):
            return Finding(Mistake.WRONG_PLACE, wording.wrong_place(place))
    return None


def _only(attended: BoolArray, place: int) -> bool:
    """Whether every query of every sequence attends to this place alone."""
    return bool(attended[..., place].all() and (attended.sum(axis=-1) == 1).all())


def flat_matrices(transformer: NumpyTransformer) -> tuple[str, ...]:
    """Which of Km, Qm make every key, or every query, zero."""
    named = (("Km", transformer.Km), ("Qm", transformer.Qm))
    return tuple(name for name, matrix in named if not matrix.any())


def equal_rows(pos: FloatArray) -> tuple[int, int] | None:
    """The first two rows of pos that are the same, counted from 0."""
    for low in range(len(pos)):
        for high in range(low + 1, len(pos)):
            if np.allclose(pos[low], pos[high], rtol=0, atol=1e-12):
                return low, high
    return None
