"""The forward passes of one upload's model against the reference's, and the mistake behind them.

Three checks judge them group by group; the mistake is looked for once, in all groups together: what
one group cannot tell apart, another does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from autograder.checks.questions import OTHER, WITH, WITHOUT, cases, describe, questions
from autograder.checks.run import StudentRun
from autograder.feedback.messages import Run, diagnose_runs
from autograder.sandbox.calls import Answer, Forward

if TYPE_CHECKING:
    from autograder.feedback.diagnose import Diagnosis

NUMBERS = {WITHOUT: "2.2", WITH: "2.3", OTHER: "2.4"}
"""The check that judges each group."""


def runs_of(evidence: StudentRun, group: str) -> list[Run]:
    """The runs of a group, in the order in which they were asked."""
    runs = []
    for name, case in cases(group).items():
        call = questions()[name]
        if not isinstance(call, Forward):
            raise TypeError(f"the question {name!r} is no forward pass")
        runs.append(Run(name, call, evidence.outcomes[name], case.output))
    return runs


@lru_cache(maxsize=1)
def diagnosis_of(evidence: StudentRun) -> Diagnosis | None:
    """The mistake that explains the runs of all groups together; for a model that is not right."""
    outcomes = (evidence.outcomes[describe(group)] for group in (WITHOUT, WITH))
    has_bias = any(
        isinstance(outcome, Answer) and any(name.endswith("m.bias") for name in outcome.arrays)
        for outcome in outcomes
    )
    runs = [run for group in NUMBERS for run in runs_of(evidence, group)]
    return diagnose_runs(runs, has_bias=has_bias)


@lru_cache(maxsize=1)
def told_in(evidence: StudentRun) -> str:
    """The number of the first check that fails for its runs, which has the diagnosis in full."""
    failing = (NUMBERS[group] for group in NUMBERS if not all(r.is_right for r in runs_of(evidence, group)))
    return next(failing, "")
