"""Explains why a model's answers are not the reference's: which call, what came, which known mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autograder import settings
from autograder.feedback.message import Explained, Message
from autograder.feedback.numbers import agree, difference
from autograder.sandbox.types import Answer, Call, Ended, FloatArray, Forward, LoadReport, Outcome


@dataclass(frozen=True)
class Run:
    """One Forward call: what came of it, and the reference's output (seq_len, v_dim)."""

    name: str
    call: Forward
    outcome: Outcome
    expected: FloatArray

    @property
    def is_right(self) -> bool:
        """Whether the student's output equals the reference's, by the grade's tolerance."""
        return isinstance(self.outcome, Answer) and agree(
            self.outcome.arrays["output"], self.expected, rtol=settings.RTOL, atol=settings.MODEL_ATOL
        )


def explain_outcome(outcome: Outcome, call: Call, load: LoadReport | Ended | None) -> Message:
    """Say why a call gave no answer, where, and what to change; for anything but an Answer."""
    from autograder.feedback.translate import explain

    return Message(explain(outcome, call, load).text)


def explain_runs(runs: Sequence[Run], load: LoadReport | Ended | None, *, show: bool) -> Explained:
    """Explain the runs of a check, not all of which are right.

    show: whether inputs' sizes and numbers may be told; the fault's name always may.
    """
    wrong = [run for run in runs if not run.is_right]
    head = f"{len(wrong)} of {len(runs)} cases fail."
    silent = [run for run in wrong if not isinstance(run.outcome, Answer)]
    if silent:
        first = silent[0]
        told = explain_outcome(first.outcome, first.call, load).text
        return Explained(Message(f"{head} {_case(first, show)}\n{told}"))
    worst = wrong[0]
    diagnosis, sentences = _diagnose(runs)
    output = worst.outcome.arrays["output"] if isinstance(worst.outcome, Answer) else worst.expected
    told = difference(output, worst.expected, rtol=settings.RTOL, atol=settings.MODEL_ATOL, show=show)
    return Explained(Message("\n".join([f"{head} {_case(worst, show)} {told}", *sentences])), diagnosis)


def _case(run: Run, show: bool) -> str:
    """The case as a student can rebuild it; hidden cases keep their sizes to themselves."""
    if not show:
        return "The first of them, whose input is not shown:"
    sizes: Mapping[str, object] = vars(run.call.sizes)
    told = ", ".join(f"{name}={value}" for name, value in sizes.items())
    return f"The first of them, with {told} and {len(run.call.seq)} tokens:"


def _diagnose(runs: Sequence[Run]) -> tuple[str, tuple[str, ...]]:
    """The name of the known mistake that explains every run, "" if none, and sentences about it."""
    from autograder.feedback.hypotheses import Observation, diagnose

    observed = [
        Observation(run.call.sizes, run.call.weights, run.call.seq, run.outcome.arrays["output"])
        for run in runs
        if isinstance(run.outcome, Answer)
    ]
    found = diagnose(observed)
    if found is None:
        return "", ()
    return ", ".join(fault.value for fault in found.faults), found.sentences
