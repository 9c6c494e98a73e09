"""Section 1: the log is there, fits together, and records what the code and matrices really give."""

from __future__ import annotations

import numpy as np
from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import LOG_NAME, MODEL_RECORD_ITEMS, TASK_FACTS, Section, Task
from autograder.checks.base import Check
from autograder.checks.pytorch_transformer import first_wrong
from autograder.feedback.messages import agree, difference, shape_text
from autograder.sandbox.calls import Answer, Refused
from autograder.submission.shapes import work_out_shapes
from autograder.submission.types import Log, ModelRecord, ProblemKind, TaskRecord
from reference.tasks import TASKS, drawn_sequence
from reference.transformer import NumpyTransformer

SECTION = "submission_log"
MAX_LINES = 12
TASKS_RECORDED = tuple(
    (Section(task.value), task, facts.record_seed)
    for task, facts in TASK_FACTS.items()
    if facts.record_seed is not None
)


class SubmissionLog(Check):
    """submission_log.json, as the notebook writes it."""

    @weight(4)
    @number("1.1")
    @tags(SECTION)
    @visibility("visible")
    def test_schema(self) -> None:
        """submission_log.json is there and holds every section that the notebook writes"""
        log = self.student.submission.log
        if log is None:
            self.fail(
                "There is no submission_log.json in your upload. Run all cells of your notebook, download "
                "the submission_log.json it writes, and upload it with the notebook."
            )
        if not log.has_ending:
            self.fail(
                f"{log.name} has no ending. Its matrices were read, but the assignment asks for "
                f"{LOG_NAME}: rename it to that and upload it again."
            )
        problems = [problem for problem in log.problems if problem.kind is not ProblemKind.NOT_FINITE]
        broken = {problem.section for problem in problems}
        if None not in broken:
            self.earn(sum(section not in broken for section in Section) / len(Section))
        lines = []
        for section in (None, *Section):
            faults = [problem for problem in problems if problem.section is section]
            why = self.why_missing(section) if faults and section is not None else ""
            if section is not None and why and all(p.kind is ProblemKind.MISSING for p in faults):
                lines.append(f"{section.value} is missing: {why}.")
            else:
                lines += [f"{problem.where}: {problem.message}" for problem in faults]
        self.fail_with(lines)

    @weight(2)
    @number("1.2")
    @tags(SECTION)
    @visibility("visible")
    def test_arrays_fit(self) -> None:
        """The arrays of the log fit together and hold only finite numbers"""
        log = self.needs_log()
        lines = {section: _array_faults(log, section) for section in Section if section is not Section.TIME}
        self.earn(sum(not faults for faults in lines.values()) / len(lines))
        self.fail_with([line for faults in lines.values() for line in faults])

    @weight(4)
    @number("1.3")
    @tags(SECTION)
    @visibility("visible")
    def test_recorded_outputs(self) -> None:
        """The recorded outputs are what the recorded matrices and the code give"""
        log = self.needs_log()
        model = self.model_record(log.model)
        tasks = [
            _task_record(log.record(task), section, task, seed) for section, task, seed in TASKS_RECORDED
        ]
        self.earn((0 if model else 0.5) + sum(0.5 / len(tasks) for line in tasks if not line))
        self.fail_with([line for line in [model, *tasks] if line])

    def why_missing(self, section: Section) -> str:
        """Why the notebook did not write a section, as far as another check tells it; "" if none does."""
        if section is Section.MODEL and (first := first_wrong(self.student)):
            return f"the notebook's test fails, see {first}"
        task = {Section.CONTENT: Task.CONTENT, Section.POSITION: Task.POSITION}.get(section)
        if task is not None and isinstance(self.student.matrices.get(task), Refused):
            return f"so are its matrices, see {'3.1' if task is Task.CONTENT else '4.1'}"
        return ""

    def needs_log(self) -> Log:
        """The log; without one, 1.1 says so and the others point to it."""
        log = self.student.submission.log
        if log is None or not log.readable or not log.has_ending:
            self.skipTest("Not graded because there is no log that can be read: see 1.1.")
        return log

    def fail_with(self, lines: list[str]) -> None:
        """Fail with one line per fault, bounded; pass if there is none."""
        if lines:
            more = [f"(and {len(lines) - MAX_LINES} more)"] if len(lines) > MAX_LINES else []
            self.fail("\n".join([*lines[:MAX_LINES], *more]))

    def model_record(self, record: ModelRecord | None) -> str:
        """What is wrong with torch_transformer_shape and _value against a run of the code, or ""."""
        if record is None:
            return "torch_transformer: see 1.1."
        outcome = self.student.recorded
        if not isinstance(outcome, Answer):
            return "torch_transformer: not compared, because your code does not run (see 2.1 to 2.3)."
        shape = tuple(int(size) for size in outcome.arrays["shape"])
        if shape != record.shape:
            came = f"torch_transformer_shape is {shape_text(record.shape)}, but your code gives"
            return f"{came} {shape_text(shape)}. {RERUN}"
        given = [
            outcome.arrays[name][MODEL_RECORD_ITEMS] for name in ("older", "output") if name in outcome.arrays
        ]
        if any(agree(record.value, each) for each in given):
            return ""
        what = "torch_transformer_value is not what your code gives under the notebook's seed."
        return f"{what} {difference(record.value, given[-1])} {RERUN}"


RERUN = "Run all cells again, download submission_log.json again, and upload it with your notebook."


def _array_faults(log: Log, section: Section) -> list[str]:
    """What keeps a section's arrays from fitting together; one that is not there has one line."""
    if section is Section.MODEL:
        if log.model is None:
            return [f"{section.value}: see 1.1."]
        lines, size = _not_finite(log, section), int(np.prod(log.model.shape))
        wanted = max(0, min(MODEL_RECORD_ITEMS.stop, size) - MODEL_RECORD_ITEMS.start)
        if not lines and len(log.model.value) != wanted:
            lines.append(
                f"torch_transformer_value has {len(log.model.value)} numbers; an output of shape "
                f"{shape_text(log.model.shape)} gives {wanted}."
            )
        return lines
    task, seed = next((task, seed) for found, task, seed in TASKS_RECORDED if found is section)
    record = log.record(task)
    if record is None:
        return [f"{section.value}: see 1.1."]
    lines = _not_finite(log, section)
    shaped = work_out_shapes(task, record)
    if isinstance(shaped, str):
        return [*lines, f"{section.value}: {shaped}"]
    tokens = drawn_sequence(TASKS[task.value], seed).tokens.size
    if len(record.output) != tokens * shaped.Vm.shape[1]:
        lines.append(
            f"{section.value} has {len(record.output)} numbers, expected {tokens * shaped.Vm.shape[1]}: "
            f"{tokens} tokens of {shaped.Vm.shape[1]} numbers each."
        )
    return lines


def _not_finite(log: Log, section: Section) -> list[str]:
    return [
        f"{problem.where}: {problem.message}"
        for problem in log.problems
        if problem.section is section and problem.kind is ProblemKind.NOT_FINITE
    ]


def _task_record(record: TaskRecord | None, section: Section, task: Task, seed: int) -> str:
    """What is wrong with a recorded output against a run of the recorded matrices, or ""."""
    if record is None:
        return f"{section.value}: see 1.1."
    shaped = work_out_shapes(task, record)
    if isinstance(shaped, str):
        return f"{section.value}: not compared, because the shapes do not fit (see 1.2)."
    if not np.isfinite(record.output).all():
        return f"{section.value}: not compared, because it holds NaN or infinity (see 1.2)."
    drawn = drawn_sequence(TASKS[task.value], seed)
    transformer = NumpyTransformer(shaped.Km, shaped.Qm, shaped.Vm, shaped.pos)
    expected = transformer.plain(drawn.inputs[0]).output.reshape(-1)
    if agree(record.output, expected):
        return ""
    return (
        f"{section.value} is not what the recorded matrices give on {drawn.spell(0)}, the sequence that "
        f"the notebook draws. {difference(record.output, expected)} {RERUN}"
    )
