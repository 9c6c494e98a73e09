"""What checks ask of feedback: a message for a student, whether numbers agree, why they do not.

What explains is loaded only when something is wrong: an upload that is right pays nothing for it.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from autograder import settings
from autograder.sandbox.calls import (
    Answer,
    Call,
    Ended,
    FloatArray,
    Forward,
    LoadReport,
    Outcome,
    Raised,
    Refused,
)
from reference.tasks import SequenceTask
from reference.transformer import BoolArray, NumpyTransformer

if TYPE_CHECKING:
    from autograder.feedback.diagnose import Diagnosis

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
        style = "margin:0.5em 0;overflow-x:auto;white-space:pre;font-family:monospace"
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


def agree(got: Array, expected: Array, *, rtol: float, atol: float) -> bool:
    """Whether every number of got is finite and within atol + rtol * |got| of expected.

    Shapes must be the same: nothing is broadcast. The tolerance is relative to got because the
    notebook calls np.allclose(reference, student), whose second argument sets the scale.
    """
    if got.shape != expected.shape or not np.isfinite(got).all():
        return False
    return bool(np.all(_excess(got, expected, rtol, atol) <= 0))


def difference(got: Array, expected: Array, *, rtol: float, atol: float, show: bool = True) -> str:
    """How got differs from expected, in one or two lines; for arrays that do not `agree`.

    The share of numbers, the worst place, the tolerance, as torch.testing has it: a student sees at once
    whether one number or all of them are off. show: whether the worst place's numbers may be told (False
    for cases that stay hidden).
    """
    if got.shape != expected.shape:
        return f"The shape is {shape_text(got.shape)}, expected {shape_text(expected.shape)}."
    finite = np.isfinite(got)
    if not finite.all():
        place = [int(i) for i in np.argwhere(~finite)[0]]
        return (
            f"{_count(int((~finite).sum()), got.size)} NaN or infinite, the first at {place}: "
            "look for a division by zero, or an exp of a very large score."
        )
    excess = _excess(got, expected, rtol, atol)
    worst = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    line = f"{_count(int((excess > 0).sum()), got.size)} off"
    if show:
        line += f"; worst at {list(worst)}: got {got[worst]:.6g}, expected {expected[worst]:.6g}"
    return f"{line} (allowed: {rtol:g} relative plus {atol:g})."


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as students write it: (3, 4), (3,), or "a single number" for ()."""
    return str(tuple(int(size) for size in shape)) if shape else "a single number"


def _excess(got: Array, expected: Array, rtol: float, atol: float) -> Array:
    got64 = got.astype(np.float64)
    excess: Array = np.abs(got64 - expected) - (atol + rtol * np.abs(got64))
    return excess


def _count(wrong: int, size: int) -> str:
    if wrong == size:
        return "All numbers are" if size > 1 else "The number is"
    return f"{wrong} of {size} numbers {'is' if wrong == 1 else 'are'}"


# --- A model's answers. ---


@dataclass(frozen=True)
class Run:
    """One Forward call: what came of it, and the reference's output (seq_len, v_dim)."""

    call: Forward
    outcome: Outcome
    expected: FloatArray

    @property
    def output(self) -> FloatArray | None:
        """What the model gave, in any shape; None if it gave nothing."""
        return self.outcome.arrays["output"] if isinstance(self.outcome, Answer) else None

    @property
    def is_right(self) -> bool:
        """Whether the student's output equals the reference's, by the grade's tolerance."""
        return self.output is not None and agree(
            self.output, self.expected, rtol=settings.RTOL, atol=settings.MODEL_ATOL
        )


def explain_outcome(outcome: Outcome, call: Call, load: Load) -> Message:
    """Say why a call gave no answer, where, and what to change; for anything but an Answer."""
    from autograder.feedback.errors import explain

    return with_fallback(lambda: explain(outcome, call, load), lambda: Message(str(outcome)))


def diagnose_runs(runs: Sequence[Run], *, has_bias: bool) -> Diagnosis | None:
    """The known mistake that explains all these runs, right ones included; None if none is wrong.

    has_bias: the model's layers have biases, whose numbers nobody knows.
    """
    from autograder.feedback.diagnose import Observation, diagnose

    observed = [Observation(run.call.sizes, run.call.weights, run.call.seq, run.output) for run in runs]
    return with_fallback(lambda: diagnose(observed, has_bias=has_bias), lambda: None)


def explain_runs(
    runs: Sequence[Run], load: Load, found: Diagnosis | None, *, show: bool, told_in: str
) -> Message:
    """Explain the runs of a check, not all of which are right.

    found: what `diagnose_runs` says of them. show: whether inputs' sizes and numbers may be told; the
    mistake's name always may. told_in: the number of the check that has the diagnosis in full, "" if
    this one is to have it.
    """
    wrong = [run for run in runs if not run.is_right]
    first = next((run for run in wrong if run.output is None), wrong[0])
    count = f"{len(wrong)} of {len(runs)} cases fail. {_case(first, show)}"
    came: list[str] = []
    if first.output is None and not show:
        count += f" {_ending(first.outcome)}"
    elif first.output is None:
        came = explain_outcome(first.outcome, first.call, load).text.splitlines()
    else:
        count += " " + difference(
            first.output, first.expected, rtol=settings.RTOL, atol=settings.MODEL_ATOL, show=show
        )
    if found is None:
        return Message(count, details=tuple(came))
    name = "; ".join(mistake.what for mistake in found.mistakes)
    if told_in and found.mistakes:
        told: tuple[str, ...] = (f"It is the mistake that {told_in} explains.",)
    else:
        told = found.sentences
    return Message(count, details=(*came, *told), diagnosis=name)


def _ending(outcome: Outcome) -> str:
    """How a hidden case ended, in words that the student's code has no say in: it has seen the input."""
    if isinstance(outcome, Raised):
        known = isinstance(getattr(builtins, outcome.type_name, None), type)
        return f"it raises {outcome.type_name}." if known else "it raises an error of its own type."
    return f"{outcome.reason.value}." if isinstance(outcome, (Refused, Ended)) else ""


def _case(run: Run, show: bool) -> str:
    """The case as a student can rebuild it; hidden cases keep their sizes to themselves."""
    if not show:
        return "The first of them, whose input is not shown:"
    told = ", ".join(f"{name}={value}" for name, value in vars(run.call.sizes).items())
    return f"The first of them, with {told} and {len(run.call.seq)} tokens:"


# --- Hand-designed matrices. ---


def explain_matrices(
    task: SequenceTask, transformer: NumpyTransformer, right: Sequence[BoolArray], *, half: bool = False
) -> Message:
    """Say what is wrong. right: per batch of task.all_sequences(), which sequences pass; not all do.

    half: half of the points are given because attention lands on the right tokens everywhere. Never raises.
    """
    total, passed = sum(len(r) for r in right), int(sum(r.sum() for r in right))
    count = f"{passed} of {total} sequences are right."

    def told() -> Message:
        from autograder.feedback.hand_designed import explain

        return explain(task, transformer, right, count, half=half)

    return with_fallback(told, lambda: Message(count))
