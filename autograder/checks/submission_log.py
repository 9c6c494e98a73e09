"""Section 1: the log is there, fits together, and records what the code and matrices really give."""

from __future__ import annotations

import numpy as np
from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import LOG_NAME, MODEL_RECORD_ITEMS, TASK_FACTS, Section, Task
from autograder.checks.pytorch_transformer import first_wrong
from autograder.checks.run import Check
from autograder.feedback.messages import agree, difference, shape_text
from autograder.sandbox.calls import Answer, Refused
from autograder.submission.shapes import work_out_shapes
from autograder.submission.types import Log, Matrices, ModelRecord, ProblemKind
from reference.tasks import TASKS, drawn_sequences
from reference.transformer import FloatArray, NumpyTransformer

_SECTION = "submission_log"
_MAX_LINES = 12
TASKS_RECORDED = tuple(
    (Section(task.value), task, facts.record_seed)
    for task, facts in TASK_FACTS.items()
    if facts.record_seed is not None
)


class SubmissionLog(Check):
    """submission_log.json, as the notebook writes it."""

    @weight(4)
    @number("1.1")
    @tags(_SECTION)
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
            missing = section and faults and all(p.kind is ProblemKind.MISSING for p in faults)
            if section and missing and (why := self.why_missing(section)):
                lines.append(f"{section.value} is missing: {why}.")
            else:
                lines += [f"{problem.where}: {problem.message}" for problem in faults]
        self.fail_with(lines)

    @weight(2)
    @number("1.2")
    @tags(_SECTION)
    @visibility("visible")
    def test_arrays_fit(self) -> None:
        """The arrays of the log fit together and hold only finite numbers"""
        log = self.needs_log()
        faults = [_model_faults(log), *(_task_faults(log, *recorded) for recorded in TASKS_RECORDED)]
        self.earn(sum(not lines for lines in faults) / len(faults))
        self.fail_with([line for lines in faults for line in lines])

    @weight(4)
    @number("1.3")
    @tags(_SECTION)
    @visibility("visible")
    def test_recorded_outputs(self) -> None:
        """The recorded outputs are what the recorded matrices and the code give"""
        log = self.needs_log()
        model = self.model_record(log.model)
        tasks = [_task_record(log, *recorded) for recorded in TASKS_RECORDED]
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
            more = [f"(and {len(lines) - _MAX_LINES} more)"] if len(lines) > _MAX_LINES else []
            self.fail("\n".join([*lines[:_MAX_LINES], *more]))

    def model_record(self, record: ModelRecord | None) -> str:
        """What is wrong with torch_transformer_shape and _value against a run of the code, or ""."""
        if record is None:
            return "torch_transformer: see 1.1."
        outcome = self.student.recorded
        if not isinstance(outcome, Answer):
            return "torch_transformer: not compared, because your code does not run (see 2.1 to 2.3)."
        shape = tuple(outcome.arrays["shape"].tolist())
        if shape != record.shape:
            came = f"torch_transformer_shape is {shape_text(record.shape)}, but your code gives"
            return f"{came} {shape_text(shape)}. {RERUN}"
        outputs = (outcome.arrays.get(name) for name in ("older", "output"))
        given = [output[MODEL_RECORD_ITEMS] for output in outputs if output is not None]
        if any(agree(record.value, each) for each in given):
            return ""
        what = "torch_transformer_value is not what your code gives under the notebook's seed."
        return f"{what} {difference(record.value, given[-1])} {RERUN}"


RERUN = "Run all cells again, download submission_log.json again, and upload it with your notebook."


def _model_faults(log: Log) -> list[str]:
    """What keeps the recorded model's arrays from fitting together; if it is not there, one line."""
    if log.model is None:
        return [f"{Section.MODEL.value}: see 1.1."]
    came, last = len(log.model.value), min(MODEL_RECORD_ITEMS.stop, int(np.prod(log.model.shape)))
    wanted = max(0, last - MODEL_RECORD_ITEMS.start)
    lines = _not_finite(log, Section.MODEL)
    if not lines and came != wanted:
        shape = shape_text(log.model.shape)
        lines = [f"torch_transformer_value has {came} numbers; an output of shape {shape} gives {wanted}."]
    return lines


def _task_faults(log: Log, section: Section, task: Task, seed: int) -> list[str]:
    """What keeps a task's arrays from fitting together; if they are not there, one line."""
    record = log.record(task)
    if record is None:
        return [f"{section.value}: see 1.1."]
    lines, shaped = _not_finite(log, section), work_out_shapes(task, record)
    if isinstance(shaped, str):
        return [*lines, f"{section.value}: {shaped}"]
    output_alone = len(lines) == 1 and not np.isfinite(record.output).all()
    if output_alone and not np.isfinite(_computed(shaped, task, seed)).all():
        sequences = "3.2" if task is Task.CONTENT else "4.2"
        return [f"{section.value} holds NaN or infinity, as its matrices give: see {sequences}."]
    tokens, columns = next(drawn_sequences(TASKS[task.value], seed)).tokens.size, shaped.Vm.shape[1]
    if (came := len(record.output)) != tokens * columns:
        lines.append(
            f"{section.value} has {came} numbers, expected {tokens * columns}: "
            f"{tokens} tokens of {columns} numbers each."
        )
    return lines


def _not_finite(log: Log, section: Section) -> list[str]:
    found = (problem for problem in log.problems if problem.kind is ProblemKind.NOT_FINITE)
    return [f"{problem.where}: {problem.message}" for problem in found if problem.section is section]


def _task_record(log: Log, section: Section, task: Task, seed: int) -> str:
    """What is wrong with a recorded output against a run of the recorded matrices, or ""."""
    record = log.record(task)
    if record is None:
        return f"{section.value}: see 1.1."
    shaped = work_out_shapes(task, record)
    if isinstance(shaped, str):
        return f"{section.value}: not compared, because the shapes do not fit (see 1.2)."
    if not np.isfinite(record.output).all():
        return f"{section.value}: not compared, because it holds NaN or infinity (see 1.2)."
    expected = _computed(shaped, task, seed)
    if agree(record.output, expected):
        return ""
    spelled = next(drawn_sequences(TASKS[task.value], seed)).spell(0)
    return (
        f"{section.value} is not what the recorded matrices give on {spelled}, the sequence that "
        f"the notebook draws. {difference(record.output, expected)} {RERUN}"
    )


def _computed(matrices: Matrices, task: Task, seed: int) -> FloatArray:
    """What the notebook computes from matrices for its log, flattened."""
    inputs = next(drawn_sequences(TASKS[task.value], seed)).inputs[0]
    transformer = NumpyTransformer(matrices.Km, matrices.Qm, matrices.Vm, matrices.pos)
    return transformer.plain(inputs).output.reshape(-1)
