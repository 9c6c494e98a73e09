"""What is wrong with the matrices of the unique-token task, where only the output's sign counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autograder.feedback.matrices.attention import break_finding, equal_rows
from autograder.feedback.matrices.findings import Finding, Mistake, sharp_attention
from autograder.feedback.matrices.scale import scaled, sharpening, shrinking, solves
from autograder.feedback.wording import matrices as wording
from reference.tasks import Batch, SequenceTask
from reference.transformer import NumpyTransformer


def unique_findings(task: SequenceTask, transformer: NumpyTransformer) -> list[Finding]:
    """What keeps signs from being right; empty if no known mistake explains it."""
    broken = break_finding(task, transformer)
    if broken is not None:
        return [broken]
    factor = sharpening(task, transformer)
    if factor is not None:
        return [Finding(Mistake.NOT_SHARP, wording.signs_not_sharp(factor))]
    repairs = {
        Mistake.VM_SIGN: replace(transformer, Vm=-transformer.Vm),
        Mistake.WRONG_SIGN: scaled(transformer, -1),
        Mistake.EXCHANGED: replace(transformer, Km=transformer.Qm, Qm=transformer.Km),
    }
    for mistake, repaired in repairs.items():
        scale = 1.0 if solves(task, repaired) else sharpening(task, repaired)
        if scale is not None:
            return [Finding(mistake, wording.repair(mistake, scale))]
    finding = _pattern(task, transformer)
    return [finding] if finding is not None else []


def _pattern(task: SequenceTask, transformer: NumpyTransformer) -> Finding | None:
    batches = task.all_sequences()
    divisor = shrinking(task, transformer)
    if divisor is not None:
        return Finding(Mistake.SCORES_CLOSE, wording.signs_too_sharp(divisor))
    if all(_unique_attend_to_themselves(transformer, batch) for batch in batches):
        return Finding(Mistake.OWN_PLACE, wording.own_copy())
    if transformer.pos is not None and task.pos_rows is not None:
        equal = equal_rows(transformer.pos[: task.pos_rows])
        if equal is not None and equal[0] > 0:
            return Finding(Mistake.POS_EQUAL, wording.pos_equal_unique(*equal))
    signs = {float(s) for b in batches for s in np.sign(transformer.forward(b.inputs).output[:, 1:]).flat}
    if len(signs) == 1:
        return Finding(Mistake.ONE_SIGN, wording.one_sign(signs.pop()))
    return None


def _unique_attend_to_themselves(transformer: NumpyTransformer, batch: Batch) -> bool:
    attended = sharp_attention(transformer, batch.inputs)[:, 1:, 1:]  # without CLS
    unique = batch.expected[..., 0] > 0  # (n, L)
    return bool(np.diagonal(attended, axis1=1, axis2=2)[unique].all())
