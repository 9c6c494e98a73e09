"""What checks ask of feedback: a message for a student, whether numbers agree, why they do not.

What explains is loaded only when something is wrong: an upload that is right pays nothing for it.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from autograder import settings
from autograder.sandbox.calls import (
    Answer,
    Call,
    End,
    Ended,
    Forward,
    LoadReport,
    Outcome,
    Raised,
)
from reference.tasks import Batch, SequenceTask
from reference.transformer import Attention, BoolArray, FloatArray, NumpyTransformer

if TYPE_CHECKING:
    from autograder.feedback.diagnose import Diagnosis

NOT_GIVEN: Final = (
    "PermissionError|OSError|FileNotFoundError|ConnectionError|URLError|gaierror|BlockingIOError"
)
"""Errors of code that wants a file, a program or the network: a pattern of their names."""
T = TypeVar("T")
Array = npt.NDArray[Any]
Load = LoadReport | Ended | None


@dataclass(frozen=True)
class Message:
    """What a student is told. headline: what is wrong. change: what to do about it.

    where: the student's line. said: Python's own words. details: further lines, such as numbers. Each may
    be empty. table: lines whose columns stand below each other. picture: an img element, escaped by who
    makes it. diagnosis: the short stable name of the mistake that is recognised, "" if none.
    """

    headline: str
    change: str = ""
    where: str = ""
    said: str = ""
    details: tuple[str, ...] = ()
    table: str = ""
    picture: str = field(default="", repr=False)
    diagnosis: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """One line each, the table left out."""
        told = (
            self.headline,
            self.change and f"What to do: {self.change}",
            self.where and f"Where: {self.where}",
            self.said and f"Python says: {self.said}",
            *self.details,
        )
        return tuple(filter(None, told))

    @property
    def text(self) -> str:
        """All of it, in its format."""
        if not self.picture:
            return "\n".join([*self.lines, *filter(None, [self.table])])
        style = "margin:0.5em 0;overflow-x:auto;white-space:pre;font:12px monospace"
        parts = [f"<p>{escape(line)}</p>" for line in self.lines]
        return "\n".join([*parts, f'<pre style="{style}">{escape(self.table)}</pre>', self.picture])

    @property
    def format(self) -> str:
        """Gradescope's name for how the text is to be shown."""
        return "html" if self.picture else "text"


def with_fallback(make: Callable[[], T], instead: Callable[[], T]) -> T:
    """What make gives, or, if it raises, what instead gives. The traceback goes to the log of the run.

    Explaining never costs a point: a check sets its score before it asks for an explanation, and an
    exception in here would turn that verdict into a fault of the grader, which scores 0.
    """
    try:
        return make()
    except Exception as error:
        # Not sys.stderr: while a check runs, that is collected into the output that the student sees.
        with contextlib.suppress(Exception):
            print("grader: an explanation failed; scores stand", file=sys.__stderr__)
            traceback.print_exception(error, file=sys.__stderr__)
        return instead()


# --- Numbers. ---


def agree(got: Array, expected: Array) -> bool:
    """Whether every number of got is finite and within MODEL_ATOL + RTOL * |got| of expected.

    Shapes must be the same: nothing is broadcast. The tolerance is relative to got because the
    notebook calls np.allclose(reference, student), whose second argument sets the scale.
    """
    return got.shape == expected.shape and bool(
        np.isfinite(got).all() and (_excess(got, expected) <= 0).all()
    )


def difference(got: Array, expected: Array, *, show: bool = True) -> str:
    """How got differs from expected, in one or two lines; for arrays that do not `agree`.

    The share of numbers, the worst place, the tolerance, as torch.testing has it: a student sees at once
    whether one number or all of them are off. show: False for cases that stay hidden: then neither sizes nor
    places nor counts, by which a program could tell what it was given.
    """
    if got.shape != expected.shape:
        shapes = f"The shape is {shape_text(got.shape)}, expected {shape_text(expected.shape)}."
        return shapes if show else "The shape is another."
    bad = ~np.isfinite(got)
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        what = f"{_share(bad)} NaN or infinite, the first at {place}: "
        advice = "look for a division by zero, or an exp of a very large score."
        return what + advice if show else "There are NaN or infinite numbers in it."
    excess = _excess(got, expected)
    wrong = ~(excess <= 0)  # NaN, of an expected number that is, is wrong too
    allowed = f"(allowed: {settings.RTOL:g} relative plus {settings.MODEL_ATOL:g})."
    if not show:
        return f"{'All' if wrong.all() else 'Some'} numbers are off {allowed}"
    worst = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    numbers = f"worst at {list(worst)}: got {got[worst]:.6g}, expected {expected[worst]:.6g}"
    return f"{_share(wrong)} off; {numbers} {allowed}"


def _excess(got: Array, expected: Array) -> Array:
    """How far each number is beyond the tolerance."""
    got64 = got.astype(np.float64)
    return np.asarray(np.abs(got64 - expected) - (settings.MODEL_ATOL + settings.RTOL * np.abs(got64)))


def _share(wrong: BoolArray) -> str:
    count = int(wrong.sum())
    if count == wrong.size:
        return "All numbers are" if count > 1 else "The number is"
    return f"{count} of {wrong.size} numbers {'is' if count == 1 else 'are'}"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as students write it: (3, 4), (3,), or "a single number" for ()."""
    return str(tuple(int(size) for size in shape)) if shape else "a single number"


# --- A model's answers. ---


@dataclass(frozen=True)
class Run:
    """One Forward call: what came of it, and the reference's output (seq_len, v_dim)."""

    call: Forward
    outcome: Outcome
    expected: FloatArray

    @property
    def ran(self) -> bool:
        """Whether the model gave an output."""
        return isinstance(self.outcome, Answer)

    @property
    def output(self) -> FloatArray:
        """What the model gave, in any shape, in float64; (0,) if it gave nothing."""
        given = self.outcome.arrays["output"] if isinstance(self.outcome, Answer) else np.empty(0)
        return given.astype(np.float64)

    @property
    def is_right(self) -> bool:
        """Whether the student's output equals the reference's, by the grade's tolerance."""
        return agree(self.output, self.expected)


def explain_outcome(outcome: Outcome, call: Call, load: Load) -> Message:
    """Say why a call gave no answer, where, and what to change; for anything but an Answer."""
    from autograder.feedback.errors import explain_error

    return with_fallback(lambda: explain_error(outcome, call, load), lambda: Message(str(outcome)))


_NOT_TRIED: Final = (End.USED_UP, End.NOT_RUN)
_OF_TIME: Final = (*_NOT_TRIED, End.CPU_TIME, End.WALL_TIME)
"""Endings that hold nothing of the inputs, and for which the inputs need not be the reason."""


def _reason(run: Run) -> Any:
    """Of a refusal or an ending; None for others."""
    return getattr(run.outcome, "reason", None)


@dataclass(frozen=True)
class RunGroup:
    """The runs of one check. number: of the check. show: whether inputs' sizes and numbers may be told."""

    number: str
    runs: Sequence[Run]
    show: bool = True

    @cached_property
    def wrong(self) -> list[Run]:
        """The runs that are not right."""
        return [run for run in self.runs if not run.is_right]

    @property
    def first(self) -> Run:
        """The wrong run to tell of: the first that gave nothing, else the first."""
        return next((run for run in self.wrong if not run.ran), self.wrong[0])

    @property
    def cases(self) -> str:
        """How many fail; those that were never tried say nothing of the model."""
        total, untried = len(self.runs), sum(_reason(run) in _NOT_TRIED for run in self.runs)
        failed = len(self.wrong) - untried
        said = [f"{failed} of {total} cases fail"] if failed or not untried else []
        return ", ".join([*said, *([f"{untried} of {total} were not run"] if untried else [])]) + "."

    @property
    def count(self) -> str:
        """How many fail, and the first as a student can rebuild it."""
        if not self.show:
            return f"{self.cases} Their inputs are not shown."
        call = self.first.call
        sizes = ", ".join(str(value) for value in vars(call.sizes).values())
        return f"{self.cases} The first: PytorchTransformer({sizes}) on {len(call.seq)} tokens."


@dataclass(frozen=True)
class ModelFeedback:
    """messages: by the number of each check whose runs are not all right. diagnosis: of every group together,
    or, if nothing explains all of them, of the first; None if nothing is known. told: by mistake, or by type
    and line of an error of the student's code, the number of the check whose message tells it."""

    messages: Mapping[str, Message]
    diagnosis: Diagnosis | None = None
    told: Mapping[object, str] = field(default_factory=dict)

    def told_error(self, outcome: Outcome) -> str:
        """The number of the check whose message tells this error of the student's code, "" if none does."""
        return self.told.get(_error(outcome), "")


_TRY_OTHER_SIZES = (
    "Compare your model with the NumpyTransformer at sizes and lengths of your own that differ from the "
    "notebook's, where no two of them are equal: shapes first, then numbers."
)
_UNEXPLAINED = "Your outputs differ, and no known mistake explains all of them."


def explain_model(groups: Sequence[RunGroup], load: Load, *, has_bias: bool) -> ModelFeedback:
    """Explain the runs of a model that are not right. Never raises.

    What one group cannot tell apart, another does, so the mistake is looked for in all of them together.
    Each mistake is told in the first group in which it shows; later ones point there, and tell what is wrong
    with them besides. has_bias: the model's layers have biases, whose numbers nobody knows.
    """
    failing = [group for group in groups if group.wrong]

    def explained() -> ModelFeedback:
        from autograder.feedback.diagnose import diagnose

        found = diagnose([run for group in groups for run in group.runs], has_bias=has_bias)
        told: dict[object, str] = {}
        messages: dict[str, Message] = {}
        for group in failing:
            its = found
            if not found.mistakes or not found.explains(group.runs):
                its = diagnose(group.runs, has_bias=has_bias)  # what is there in this group alone?
            if group is groups[0] and not found.mistakes:
                found = its
            messages[group.number] = _message(group, load, its, told)
        return ModelFeedback(messages, found if found.mistakes else None, told)

    plain = {group.number: Message(group.count, details=_came(group, load)) for group in failing}
    return with_fallback(explained, lambda: ModelFeedback(plain))


def _message(group: RunGroup, load: Load, found: Diagnosis, told: dict[object, str]) -> Message:
    """What one group is told. told: as of `ModelFeedback`, goes on here."""
    shown = found.showing(group.runs)
    new = [mistake for mistake in shown if mistake not in told]
    seen = sorted({told[mistake] for mistake in shown if mistake in told})
    told.update(dict.fromkeys(new, group.number))
    name = "; ".join(mistake.what for mistake in shown)
    raised = not group.first.ran and not found.explains(group.runs)
    error = _error(group.first.outcome)
    before = told.get(error) if raised else seen[0] if seen else told.get(_UNEXPLAINED)
    if before and not new:
        return Message(f"See {before}: {group.cases}", diagnosis=name)
    also = [f"{mistake.what}. {mistake.do}" for mistake in new]
    besides = [*(f"Besides, see {number}." for number in seen), group.count]
    if raised:
        errors = {_error(run.outcome) for run in group.wrong} - {(), *told}
        told.update(dict.fromkeys(errors, group.number))
        message = _raised(group, load)
        return replace(message, details=(*message.details, *also, *besides), diagnosis=name)
    came = _came(group, load)
    if new:
        remark = [found.remark] if found.remark else []
        details = (*also[1:], *remark, *besides, *came)
        return Message(f"{new[0].what}.", new[0].do, details=details, diagnosis=name)
    told.setdefault(_UNEXPLAINED, group.number)
    change = found.remark if group.show else _TRY_OTHER_SIZES
    return Message(_UNEXPLAINED, change, details=(group.count, *came))


def _error(outcome: Outcome) -> tuple[str, ...]:
    """The type of an error and the student's line, or how the process ended; () for everything else."""
    if isinstance(outcome, Ended):
        return outcome.reason.name, outcome.detail
    if not isinstance(outcome, Raised) or not outcome.trace:
        return ()
    return outcome.type_name, outcome.trace[-1].label, str(outcome.trace[-1].line)


def _raised(group: RunGroup, load: Load) -> Message:
    """Why a run gave nothing; on inputs that are not shown, by its type alone, since a text may hold them."""
    outcome, call = group.first.outcome, group.first.call
    reason = _reason(group.first)
    if group.show or reason in _OF_TIME:
        return explain_outcome(outcome, call, load)
    kind = reason.value if reason else "it raises an error of its own type"  # named after the input, maybe
    if isinstance(outcome, Raised) and isinstance(getattr(builtins, outcome.type_name, None), type):
        kind = f"it raises {outcome.type_name}"
    return Message(
        f"Your model fails at other sizes ({kind}).",
        "Look in the class for numbers that fit only the sizes of the notebook's own test, and for "
        "dimensions of 1 that are dropped.",
    )


def _came(group: RunGroup, load: Load) -> tuple[str, ...]:
    first = group.first
    if not first.ran:
        return _raised(group, load).lines
    return (difference(first.output, first.expected, show=group.show),)


# --- Hand-designed matrices. ---


def judged(task: SequenceTask, attend: Callable[[FloatArray], Attention]) -> Iterator[BoolArray]:
    """Which sequences pass the notebook's own test, per batch of the task's. attend: a transformer's `plain`,
    or `sharp`."""
    for batch in task.all_sequences():
        output = attend(batch.inputs).output
        yield task.judge(output, batch.expected, rtol=settings.RTOL, atol=settings.TASK_ATOL)


@dataclass(frozen=True, eq=False)
class Verdict:
    """How a transformer does on every sequence of a task. right: which pass, (n,) per batch of the task's."""

    task: SequenceTask
    transformer: NumpyTransformer
    right: tuple[BoolArray, ...]

    @staticmethod
    def of(task: SequenceTask, transformer: NumpyTransformer) -> Verdict:
        """By the notebook's own test."""
        return Verdict(task, transformer, tuple(judged(task, transformer.plain)))

    @property
    def share(self) -> float:
        """Of the sequences that are right."""
        return float(np.concatenate(self.right).mean())

    @property
    def count(self) -> str:
        """How many of them are right."""
        every = np.concatenate(self.right)
        return f"{every.sum()} of {every.size} sequences are right."

    @property
    def shortest_failure(self) -> tuple[Batch, int]:
        """The batch and the index in it of the shortest sequence that fails; not all pass."""
        sequences = zip(self.task.all_sequences(), self.right, strict=True)
        return next((batch, int(np.argmin(ok))) for batch, ok in sequences if not ok.all())
