"""Explains why hand-designed matrices fail: which mistake, and the shortest sequence on which they do."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.feedback.guard import with_fallback
from autograder.feedback.message import Explained, Message
from reference.tasks import SequenceTask
from reference.transformer import BoolArray, NumpyTransformer


def explain(
    task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray], *, half: bool = False
) -> Explained:
    """Say what is wrong. right: per batch of task.all_sequences(), which sequences pass; not all do.

    half: half of the points are given because attention lands on the right tokens everywhere. Never raises.
    """
    total, passed = sum(len(r) for r in right), int(sum(r.sum() for r in right))
    count = f"{passed} of {total} sequences are right."
    return with_fallback(
        lambda: _explain(task, transformer, right, count, half), lambda: Explained(Message(count))
    )


def _explain(
    task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray], count: str, half: bool
) -> Explained:
    # Loaded here, since an upload that passes has no use for them.
    from autograder.feedback.matrices.find import find, shortest_failure
    from autograder.feedback.matrices.table import attention_table
    from autograder.feedback.wording import matrices as wording

    findings = find(task, transformer, right)
    batch, index = shortest_failure(task, right)
    sentences = [count, *([wording.half()] if half else [])]
    sentences += [finding.sentence for finding in findings] or [wording.unknown()]
    sentences.append(wording.shortest(batch.spell(index), task.only_sign))
    table = attention_table(task, transformer, batch, index)

    def pictured() -> Message:
        from autograder.feedback.figures.picture import with_picture

        return with_picture(sentences, table, task, transformer, batch, index)

    message = with_fallback(pictured, lambda: Message("\n".join([*sentences, table])))
    return Explained(message, ", ".join(finding.mistake.value for finding in findings))
