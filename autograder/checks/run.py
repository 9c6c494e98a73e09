"""What the checks judge: one upload, and what its code answered. No check runs student code.

`calls()` is what every upload's code is asked, in order, and holds no expected value; `StudentRun.of` puts
the outcomes, in the same order, under names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Final

from autograder import settings
from autograder.assignment import MODEL_RECORD_SEED, MODEL_RECORD_SEQ_LEN, MODEL_RECORD_SIZES, TEST_SEED, Task
from autograder.feedback.messages import Run
from autograder.sandbox.calls import (
    Call,
    Describe,
    End,
    Ended,
    Forward,
    Gradients,
    LoadReport,
    Outcome,
    RecordedOutput,
    Sizes,
    TaskMatrices,
    Transcript,
    Weights,
)
from autograder.submission.types import Submission
from reference.cases import (
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    FOR_GRADIENTS,
    Case,
    drawn_sizes,
    equivalence_cases,
    random_cases,
)


class Group(Enum):
    """The forward passes that are held against the reference, each judged by a check of its own."""

    WITHOUT = "without positions"
    WITH = "with positions"
    OTHER = "other sizes"


LAYER_SIZES: Final = {Group.WITHOUT: Sizes(5, 3, 4, None, 10), Group.WITH: Sizes(5, 3, 4, 2, 9)}
"""Sizes at which the layers are looked at: no two dimensions are the same."""


@dataclass(frozen=True)
class GradientRun:
    """One Gradients call, what came of it, and the case with the right gradients."""

    call: Gradients
    outcome: Outcome
    case: Case


@dataclass(frozen=True, eq=False)
class StudentRun:
    """Everything known of one upload; what its code was asked is empty if there is no program.

    load: how loading the program went; None if there is no program. layers: of the model built at
    `LAYER_SIZES`. recorded: the output that the notebook records. outcomes: all, in the order of the calls.
    """

    submission: Submission
    load: LoadReport | Ended | None = None
    matrices: Mapping[Task, Outcome] = field(default_factory=dict)
    layers: Mapping[Group, Outcome] = field(default_factory=dict)
    forward: Mapping[Group, tuple[Run, ...]] = field(default_factory=dict)
    recorded: Outcome | None = None
    gradients: tuple[GradientRun, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @staticmethod
    def of(submission: Submission, transcript: Transcript) -> StudentRun:
        """The run of an upload's program, whose transcript answers `calls()`."""
        outcomes = iter(transcript.outcomes)
        return _ask_all(submission, transcript.load, transcript.outcomes, lambda call: next(outcomes))


@cache
def calls() -> tuple[Call, ...]:
    """Every call, in the order in which they are made."""
    made: list[Call] = []

    def note(call: Call) -> Outcome:
        made.append(call)
        return Ended(End.NOT_RUN)

    _ask_all(Submission(None, None, ()), None, (), note)
    return tuple(made)


@cache
def forward_cases(group: Group) -> tuple[Case, ...]:
    """The cases of a group, the notebook's own first."""
    if group is Group.OTHER:
        return random_cases(drawn_sizes(settings.OTHER_SIZES_SEED), settings.OTHER_SIZES_SEED)
    without = group is Group.WITHOUT
    notebook = (c for c in equivalence_cases(TEST_SEED) if (c.sizes.pos_dim is None) == without)
    extra = EXTRA_WITHOUT_POSITIONS if without else EXTRA_WITH_POSITIONS
    return (*notebook, *random_cases(extra, settings.EXTRA_CASES_SEED))


@cache
def gradient_cases() -> tuple[Case, ...]:
    """The cases of 2.6."""
    return random_cases(FOR_GRADIENTS, settings.GRADIENT_SEED)


def _ask_all(
    submission: Submission,
    load: LoadReport | Ended | None,
    outcomes: tuple[Outcome, ...],
    ask: Callable[[Call], Outcome],
) -> StudentRun:
    """Ask each call in turn: what is cheap and safe first, what is not shown last, since a program can keep
    what it saw and print it later."""
    matrices = {task: ask(TaskMatrices(task)) for task in Task}
    layers = {group: ask(Describe(sizes)) for group, sizes in LAYER_SIZES.items()}
    forward = {Group.WITHOUT: _runs(forward_cases(Group.WITHOUT), ask)}
    # Not before: how a model dies is explained where it is held to the reference.
    recorded = ask(RecordedOutput(MODEL_RECORD_SEED, Sizes(*MODEL_RECORD_SIZES), MODEL_RECORD_SEQ_LEN))
    forward[Group.WITH] = _runs(forward_cases(Group.WITH), ask)
    gradients = tuple(
        GradientRun(call, ask(call), case)
        for case in gradient_cases()
        for call in [Gradients(_sizes(case), _weights(case), case.seq, case.upstream)]
    )
    forward[Group.OTHER] = _runs(forward_cases(Group.OTHER), ask)
    return StudentRun(submission, load, matrices, layers, forward, recorded, gradients, outcomes)


def _runs(cases: Iterable[Case], ask: Callable[[Call], Outcome]) -> tuple[Run, ...]:
    asked = ((Forward(_sizes(case), _weights(case), case.seq), case) for case in cases)
    return tuple(Run(call, ask(call), case.output) for call, case in asked)


def _sizes(case: Case) -> Sizes:
    s = case.sizes
    return Sizes(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len)


def _weights(case: Case) -> Weights:
    t = case.transformer
    return Weights(t.Km, t.Qm, t.Vm, t.pos)
