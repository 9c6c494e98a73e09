"""Trains the student's model in the sandbox; the reference one where the student's cannot be trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autograder import settings
from autograder.assignment import Task
from autograder.compare.plan import PART_STEPS, training
from autograder.errors import SandboxFault
from autograder.sandbox.calls import Answer, Cell, Ended, Outcome, Raised, Refused, Sizes
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.text import clean
from reference.transformer import NumpyTransformer

_LIMITS = replace(DEFAULT_LIMITS, call_cpu=settings.TRAIN_CPU_SECONDS, failed_attempts=1)
_REASON_LIMIT = 300


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained model. final_loss: of the last step's sequence, as the notebook reports it; recent_loss:
    the mean of the last thousand steps. why_reference: why it is not the student's own model, or ""."""

    transformer: NumpyTransformer
    steps: int
    final_loss: float
    recent_loss: float
    why_reference: str


def learn(
    fork_server: ForkServer,
    cells: Sequence[Cell],
    task: Task,
    sizes: Sizes,
    steps: int,
    heard: Callable[[], None],
) -> Learned:
    """Train on a task. heard: called after each part of a training. Raises SandboxFault."""
    if not cells:
        why = "there is no code to train"
    else:
        outcomes = fork_server.run(
            cells, training(task, sizes, steps, reference=False), _LIMITS, heard
        ).outcomes
        learned = _result(outcomes, sizes, steps)
        if isinstance(learned, Learned):
            return learned
        why = learned
    outcomes = fork_server.run((), training(task, sizes, steps, reference=True), _LIMITS, heard).outcomes
    learned = _result(outcomes, sizes, steps)
    if isinstance(learned, str):
        raise SandboxFault(f"the reference model cannot be trained on {task.value}: {learned}")
    return replace(learned, why_reference=why)


def _result(outcomes: Sequence[Outcome], sizes: Sizes, steps: int) -> Learned | str:
    """The trained model, or why there is none."""
    losses: list[float] = []
    for number, outcome in enumerate(outcomes):
        if not isinstance(outcome, Answer):
            return _reason(outcome)
        losses += outcome.arrays["losses"].tolist()
        if not np.isfinite(outcome.arrays["losses"]).all():
            return f"its loss became NaN or infinite within the first {(number + 1) * PART_STEPS} steps"
    last = outcomes[-1]
    arrays = last.arrays if isinstance(last, Answer) else {}
    try:
        transformer = NumpyTransformer(arrays["Km"], arrays["Qm"], arrays["Vm"], arrays.get("pos"))
    except (KeyError, ValueError) as error:
        return f"its weights do not fit together ({clean(str(error), _REASON_LIMIT)})"
    if (transformer.input_dim, transformer.v_dim) != (sizes.input_dim, sizes.v_dim):
        return "its weights have other shapes than the matrices they stand for"
    recent = float(np.mean(losses[-PART_STEPS:]))
    return Learned(transformer, steps, losses[-1], recent, "")


def _reason(outcome: Outcome) -> str:
    if isinstance(outcome, Raised):
        where = f" ({outcome.trace[-1].label}, line {outcome.trace[-1].line})" if outcome.trace else ""
        return f"{outcome.type_name}{where}: {clean(outcome.message, _REASON_LIMIT)}"
    if isinstance(outcome, Refused):
        return outcome.reason.value
    return outcome.reason.value if isinstance(outcome, Ended) else "it gave no answer"
