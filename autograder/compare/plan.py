"""What is trained on each task, and on what: the notebook's sequences, drawn as the notebook draws them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import numpy as np

from autograder import settings
from autograder.assignment import TASK_FACTS, Task
from autograder.sandbox.calls import Sizes, Train
from reference.tasks import TASKS, TOKEN_NAMES, SequenceTask
from reference.transformer import FloatArray, NumpyTransformer

PART_STEPS: Final = 1000
"""Steps of one call: how often progress is heard of."""


@dataclass(frozen=True)
class Setting:
    """How the notebook trains on a task.

    seed: of all generators, set before `drawn_before` sequences were drawn for something else.
    shown: the tokens of the sequence that the notebook's comparison shows.
    usual: sizes where there are no hand-designed matrices to take them from.
    """

    title: str
    seed: int
    drawn_before: int
    shown: tuple[int, ...]
    usual: Sizes


SETTINGS: Final = {
    Task.CONTENT: Setting(
        "Attention by content", settings.TRAIN_SEED, 0, (0, 1, 1, 2, 2), Sizes(3, 3, 3, None, 10)
    ),
    Task.POSITION: Setting(
        "Attention by position",
        TASK_FACTS[Task.POSITION].record_seed or 0,
        1,
        (0, 1, 1),
        Sizes(3, 1, 3, 4, 4),
    ),
    Task.UNIQUE: Setting(
        "Unique tokens (optional)", settings.TRAIN_SEED, 0, (0, 1, 2, 2), Sizes(4, 8, 1, 4, 5)
    ),
}
"""In the notebook unique tokens are trained unseeded, after everything else; here under the first seed."""


def sizes_of(name: Task, hand: NumpyTransformer | None) -> Sizes:
    """The sizes that the notebook gives the model: those of the hand-designed matrices."""
    usual = SETTINGS[name].usual
    if hand is None:
        return usual
    pos = hand.pos
    rows = usual.max_seq_len if pos is None else len(pos)
    return Sizes(usual.input_dim, hand.qk_dim, hand.v_dim, None if pos is None else hand.pos_dim, rows)


def training(name: Task, sizes: Sizes, steps: int, *, reference: bool) -> tuple[Train, ...]:
    """The calls of one training, each but the first going on where the one before it stopped."""
    setting, task = SETTINGS[name], TASKS[name.value]
    lengths, inputs, targets = _drawn(task, setting, sizes.v_dim, steps)
    ignored = 1 if task.has_cls else 0
    return tuple(
        Train(
            sizes,
            setting.seed,
            settings.TRAIN_LEARNING_RATE,
            tuple(lengths[start : start + PART_STEPS]),
            inputs[start : start + PART_STEPS],
            targets[start : start + PART_STEPS],
            ignored,
            reference,
            resume=start > 0,
        )
        for start in range(0, steps, PART_STEPS)
    )


def _drawn(
    task: SequenceTask, setting: Setting, v_dim: int, steps: int
) -> tuple[list[int], FloatArray, FloatArray]:
    """Lengths with CLS; inputs (steps, longest, input_dim); targets (steps, max_len, v_dim); 0 is padding."""
    lengths_drawn, tokens_drawn = np.random.RandomState(setting.seed), random.Random(setting.seed)  # noqa: S311 - the notebook's
    cls = 1 if task.has_cls else 0
    lengths: list[int] = []
    inputs = np.zeros((steps, task.max_len + cls, task.input_dim))
    targets = np.zeros((steps, task.max_len, v_dim))
    for step in range(-setting.drawn_before, steps):
        length = int(lengths_drawn.randint(1, task.max_len + 1))
        tokens = tokens_drawn.choices(range(len(TOKEN_NAMES)), k=length)
        if step >= 0:
            batch = task.batch([tokens])
            lengths.append(length + cls)
            inputs[step, : length + cls] = batch.inputs[0]
            targets[step, :length] = batch.expected[0]
    return lengths, inputs, targets
