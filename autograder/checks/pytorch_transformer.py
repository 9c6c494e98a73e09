"""Section 2: `PytorchTransformer` equals the NumPy transformer, is vectorized, and can be trained."""

from __future__ import annotations

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder import settings
from autograder.assignment import MATRICES
from autograder.checks import vectorized
from autograder.checks.base import Check
from autograder.checks.layers import layer_faults, unloadable
from autograder.checks.model_runs import NUMBERS, diagnosis_of, runs_of, told_in
from autograder.checks.questions import (
    DESCRIBE,
    GRADIENT,
    OTHER,
    SEQ_LENS,
    WITH,
    WITHOUT,
    cases,
    describe,
    operations,
    questions,
)
from autograder.feedback.messages import agree, difference, explain_outcome, explain_runs
from autograder.sandbox.calls import Answer

SECTION = "pytorch_transformer"


class PytorchTransformer(Check):
    """The student's model, built and run at many sizes in the sandbox."""

    @weight(5)
    @number("2.1")
    @tags(SECTION)
    @visibility("visible")
    def test_layers(self) -> None:
        """The model builds, with the layers that the assignment asks for and no others"""
        self.needs_code(first=True)
        for group, sizes in DESCRIBE.items():
            outcome = self.outcome(describe(group))
            if not isinstance(outcome, Answer):
                self.explain(explain_outcome(outcome, questions()[describe(group)], self.evidence.load))
            faults = layer_faults(outcome, sizes)
            if faults:
                self.fail(f"Built {group} as PytorchTransformer{_arguments(sizes)}:\n" + "\n".join(faults))

    @weight(10)
    @number("2.2")
    @tags(SECTION)
    @visibility("visible")
    def test_without_positions(self) -> None:
        """Equals the NumPy transformer without positions"""
        self.equals_reference(WITHOUT)

    @weight(10)
    @number("2.3")
    @tags(SECTION)
    @visibility("visible")
    def test_with_positions(self) -> None:
        """Equals the NumPy transformer with positions"""
        self.equals_reference(WITH)

    @weight(5)
    @number("2.4")
    @tags(SECTION)
    @visibility("visible")
    def test_other_sizes(self) -> None:
        """Equals the NumPy transformer at other sizes and lengths"""
        self.equals_reference(OTHER, show=False)

    @weight(5)
    @number("2.5")
    @tags(SECTION)
    @visibility("visible")
    def test_vectorized(self) -> None:
        """All attention scores are computed at once, without a loop over keys or queries"""
        self.needs_code()
        self.needs_layers()
        program = self.evidence.submission.program
        loops = vectorized.loops(program) if program is not None else ()
        if loops:
            self.fail(vectorized.loop_message(loops))
        for group in (WITHOUT, WITH):
            outcome = self.outcome(operations(group))
            if not isinstance(outcome, Answer):
                self.skipTest(f"Not graded because your model does not run {group}: see 2.2 and 2.3.")
            counts = vectorized.operation_counts(outcome)
            if counts is None or counts[-1] > counts[0]:  # fewer: something was made once and kept
                self.fail(vectorized.count_message(counts, SEQ_LENS, group))

    @weight(5)
    @number("2.6")
    @tags(SECTION)
    @visibility("visible")
    def test_gradients(self) -> None:
        """Can be trained: the gradient of every weight equals the NumPy transformer's"""
        self.needs_code()
        self.needs_layers()
        for name, case in cases(GRADIENT).items():
            outcome = self.outcome(name)
            if not isinstance(outcome, Answer):
                self.explain(explain_outcome(outcome, questions()[name], self.evidence.load))
            for matrix in MATRICES:
                right = getattr(case.gradients, matrix)
                if right is None:
                    continue
                got = outcome.arrays.get(matrix)
                if got is None:
                    self.fail(
                        f"{matrix} gets no gradient, so training would never change it. Compute the output "
                        f"from self.{matrix} with tensor operations alone: no .detach(), .data, .numpy() or "
                        "torch.no_grad()."
                    )
                if not agree(got, right, rtol=settings.RTOL, atol=settings.MODEL_ATOL):
                    told = difference(got, right, rtol=settings.RTOL, atol=settings.MODEL_ATOL)
                    self.fail(
                        f"The gradient of {matrix} is not the NumPy transformer's, so training would go "
                        f"another way. {told} If 2.2 and 2.3 fail, mend those first: the gradients follow."
                    )

    # --- What the checks above share. ---

    def needs_code(self, *, first: bool = False) -> None:
        """Without code there is nothing to run: 2.1 fails with the reason, the others point to it."""
        if self.evidence.submission.program is not None:
            return
        if first:
            self.fail(
                "There is no code to run. Upload your notebook (.ipynb) together with submission_log.json; "
                "a log whose equivalence test has passed holds the code as well."
            )
        self.skipTest("Not graded because there is no code to run: see 2.1.")

    def needs_layers(self, groups: tuple[str, ...] = (WITHOUT, WITH)) -> None:
        """A model that cannot be built costs 2.1 its points and is explained there, once."""
        for group in groups:
            outcome = self.outcome(describe(group))
            if not isinstance(outcome, Answer):
                self.skipTest(f"Not graded because your model cannot be built {group}: see 2.1.")
            missing = unloadable(outcome, DESCRIBE[group])
            if missing:
                told = ", ".join(missing)
                self.skipTest(f"Not graded because no weights can be loaded into {told}: see 2.1.")

    def equals_reference(self, group: str, *, show: bool = True) -> None:
        """Hold every case of a group against the reference."""
        self.needs_code()
        self.needs_layers((WITHOUT, WITH) if group == OTHER else (group,))
        runs = runs_of(self.evidence, group)
        if not all(run.is_right for run in runs):
            first = told_in(self.evidence)
            explained = explain_runs(
                runs,
                self.evidence.load,
                diagnosis_of(self.evidence),
                show=show,
                told_in=first if first != NUMBERS[group] else "",
            )
            self.diagnosis = explained.diagnosis
            self.explain(explained)


def _arguments(sizes: object) -> str:
    values = vars(sizes).items()
    return "(" + ", ".join(f"{name}={value}" for name, value in values) + ")"
