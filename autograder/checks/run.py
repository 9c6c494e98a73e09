"""What every check is, and what it judges: one upload, and what its code answered. None runs student code.

`calls()` is what every upload's code is asked, in order, and holds no expected value; `StudentRun.of` puts
the outcomes, in the same order, under names.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import Final, NoReturn

from autograder import settings
from autograder.assignment import MODEL_RECORD_SEED, MODEL_RECORD_SEQ_LEN, MODEL_RECORD_SIZES, TEST_SEED, Task
from autograder.feedback.messages import Load, Message, Run, RunGroup
from autograder.sandbox.calls import (
    Call,
    Describe,
    End,
    Ended,
    FloatingArray,
    Forward,
    Gradients,
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
    """The forward passes that are held against the reference; the value is the number of their check."""

    WITHOUT = "2.2"
    WITH = "2.3"
    OTHER = "2.4"


LAYER_SIZES: Final = {Group.WITHOUT: Sizes(5, 3, 4, None, 10), Group.WITH: Sizes(5, 3, 4, 2, 9)}
"""Sizes at which the layers are looked at: no two dimensions are the same."""


@dataclass(frozen=True)
class GradientRun:
    """One Gradients call, what came of it, and the right gradients by the name of their matrix."""

    call: Gradients
    outcome: Outcome
    right: Mapping[str, FloatingArray]


@dataclass(frozen=True, eq=False)
class StudentRun:
    """Everything known of one upload; what its code was asked is empty if there is no program.

    load: how loading the program went; None if there is no program. layers: of the model built at
    `LAYER_SIZES`. recorded: the output that the notebook records. outcomes: all, in the order of the calls.
    """

    submission: Submission
    load: Load = None
    matrices: Mapping[Task, Outcome] = field(default_factory=dict)
    layers: Mapping[Group, Outcome] = field(default_factory=dict)
    forward: Mapping[Group, RunGroup] = field(default_factory=dict)
    recorded: Outcome | None = None
    gradients: tuple[GradientRun, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @staticmethod
    def of(submission: Submission, transcript: Transcript) -> StudentRun:
        """The run of an upload's program, whose transcript answers `calls()`."""
        outcomes = iter(transcript.outcomes)
        asked = _ask_all(submission, lambda call: next(outcomes))
        return replace(asked, load=transcript.load, outcomes=transcript.outcomes)


class Check(unittest.TestCase):
    """A section of the rubric, bound to the upload it judges; each of its test methods is a check:

        @weight(5)
        @number("2.7")
        @tags("pytorch_transformer")
        def test_something(self) -> None:
            \"\"\"The name that students see\"\"\"
            self.fail("what was expected, what came, where, what to do next")

    `self.fail(message)` costs the points, `self.skipTest(reason)` says why the check cannot be made, any
    other exception counts as the grader's own fault. For a part of the points, call `self.earn(share)`
    before failing: the points themselves stand in the decorator alone.

    student is the instance's own: nothing of one upload can reach the next one. diagnosis: the short stable
    name of the mistake that a failed check has recognised, or "".
    """

    def __init__(self, method: str, run: StudentRun) -> None:
        super().__init__(method)
        self.student = run
        self.output_format = "text"
        self.share: float | None = None
        self.diagnosis = ""

    def earn(self, share: float) -> None:
        """Have this share of the points, 0 to 1, whether the check then passes or fails."""
        self.share = share

    def explain(self, message: Message) -> NoReturn:
        """Fail with a message that carries its own format and diagnosis."""
        self.output_format, self.diagnosis = message.format, message.diagnosis
        raise self.failureException(message.text)


@cache
def calls() -> tuple[Call, ...]:
    """Every call, in the order in which they are made."""
    made: list[Call] = []

    def note(call: Call) -> Outcome:
        made.append(call)
        return Ended(End.NOT_RUN)

    _ask_all(Submission(None, None, ()), note)
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


def _ask_all(submission: Submission, ask: Callable[[Call], Outcome]) -> StudentRun:
    """Ask each call in turn: what is cheap and safe first, what is not shown last, since a program can keep
    what it saw and print it later."""
    matrices = {task: ask(TaskMatrices(task)) for task in Task}
    layers = {group: ask(Describe(sizes)) for group, sizes in LAYER_SIZES.items()}
    forward = {Group.WITHOUT: _runs(Group.WITHOUT, ask)}
    # Not before: how a model dies is explained where it is held to the reference.
    recorded = ask(RecordedOutput(MODEL_RECORD_SEED, Sizes(*MODEL_RECORD_SIZES), MODEL_RECORD_SEQ_LEN))
    forward[Group.WITH] = _runs(Group.WITH, ask)
    asked = ((Gradients(*_model(case), case.upstream), case.gradients) for case in gradient_cases())
    gradients = tuple(GradientRun(call, ask(call), right) for call, right in asked)
    forward[Group.OTHER] = _runs(Group.OTHER, ask)
    return StudentRun(submission, None, matrices, layers, forward, recorded, gradients)


def _runs(group: Group, ask: Callable[[Call], Outcome]) -> RunGroup:
    asked = ((Forward(*_model(case)), case.output) for case in forward_cases(group))
    runs = tuple(Run(call, ask(call), expected) for call, expected in asked)
    return RunGroup(group.value, runs, show=group is not Group.OTHER)


def _model(case: Case) -> tuple[Sizes, Weights, FloatingArray]:
    s = case.sizes
    sizes = Sizes(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len)
    return sizes, Weights(**vars(case.transformer)), case.seq
