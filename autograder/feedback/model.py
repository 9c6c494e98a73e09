"""Explains why a model's answers are not the reference's: which call, what came, which known mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autograder import settings
from autograder.feedback.guard import with_fallback
from autograder.feedback.message import Explained, Message
from autograder.feedback.numbers import agree, difference
from autograder.sandbox.calls import Answer, Call, Ended, FloatArray, Forward, LoadReport, Outcome

if TYPE_CHECKING:  # a model that is right pays nothing for its neighbours' mistakes
    from autograder.feedback.hypotheses.diagnose import Diagnosis

Load = LoadReport | Ended | None


@dataclass(frozen=True)
class Run:
    """One Forward call: what came of it, and the reference's output (seq_len, v_dim)."""

    name: str
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
    from autograder.feedback.translate import explain

    return Message(with_fallback(lambda: explain(outcome, call, load).text, lambda: str(outcome)))


def diagnose_runs(runs: Sequence[Run], *, has_bias: bool) -> Diagnosis | None:
    """The known mistake that explains all these runs, right ones included; None if none is wrong.

    has_bias: the model's layers have biases, whose numbers nobody knows.
    """
    from autograder.feedback.hypotheses.diagnose import Observation, diagnose

    observed = [Observation(run.call.sizes, run.call.weights, run.call.seq, run.output) for run in runs]
    return with_fallback(lambda: diagnose(observed, has_bias=has_bias), lambda: None)


def explain_runs(
    runs: Sequence[Run], load: Load, found: Diagnosis | None, *, show: bool, told_in: str
) -> Explained:
    """Explain the runs of a check, not all of which are right.

    found: what `diagnose_runs` says of them. show: whether inputs' sizes and numbers may be told; the
    mistake's name always may. told_in: the number of the check that has the diagnosis in full, "" if
    this one is to have it.
    """
    wrong = [run for run in runs if not run.is_right]
    first = next((run for run in wrong if run.output is None), wrong[0])
    lines = [f"{len(wrong)} of {len(runs)} cases fail. {_case(first, show)}{_what_came(first, load, show)}"]
    if found is None:
        return Explained(Message(lines[0]))
    if told_in and found.faults:
        lines.append(f"It is the mistake that {told_in} explains.")
    else:
        lines += found.sentences
    return Explained(Message("\n".join(lines)), ", ".join(fault.value for fault in found.faults))


def _what_came(run: Run, load: Load, show: bool) -> str:
    if run.output is None:
        return "\n" + explain_outcome(run.outcome, run.call, load).text
    return " " + difference(run.output, run.expected, rtol=settings.RTOL, atol=settings.MODEL_ATOL, show=show)


def _case(run: Run, show: bool) -> str:
    """The case as a student can rebuild it; hidden cases keep their sizes to themselves."""
    if not show:
        return "The first of them, whose input is not shown:"
    sizes: Mapping[str, object] = vars(run.call.sizes)
    told = ", ".join(f"{name}={value}" for name, value in sizes.items())
    return f"The first of them, with {told} and {len(run.call.seq)} tokens:"
