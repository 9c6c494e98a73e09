"""The lines above the tests: what was found in the upload, what was left out, what did not run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from autograder.assignment import Task
from autograder.checks.agreement import disagreements
from autograder.checks.run import StudentRun
from autograder.sandbox.calls import Answer, End, Ended, LoadReport, StatementFate, StatementReport
from autograder.submission.types import NoteLevel
from autograder.text import NAME_LIMIT, clean

MAX_STATEMENTS = 8
TOLD = (StatementFate.FAILED, StatementFate.STOPPED, StatementFate.ENDED)
OPTIONAL_MARKER = "generate_test_cases_unique"
_WARNING = "Please note"
_MESSAGE_LIMIT = 300


def preamble(evidence: StudentRun) -> str:
    """Plain text for the head of results.json, one line per fact."""
    lines = [
        f"{_WARNING}: {notice.text}" if notice.tone is NoteLevel.WARNING else notice.text
        for notice in evidence.submission.notices
    ]
    lines += [f"{_WARNING}: {text}" for text in disagreements(evidence)]
    if isinstance(evidence.load, Ended):
        lines.append(
            f"{_WARNING}: your code could not be loaded: {evidence.load.reason.value} "
            f"({evidence.load.detail}). Remove whatever runs long or leaves the process, and upload again."
        )
    elif evidence.load is not None:
        lines += _loading(evidence.load, _left_alone(evidence))
    return "\n".join(lines)


def _left_alone(evidence: StudentRun) -> Mapping[str, int]:
    """By a cell's label, the line from which on it is the optional part, which fails in every upload that
    leaves that part out; empty if the part was attempted."""
    program = evidence.submission.program
    if program is None or isinstance(evidence.matrices.get(Task.UNIQUE), Answer):
        return {}
    return {
        cell.label: cell.source[: cell.source.index(OPTIONAL_MARKER)].count("\n") + 1
        for cell in program.cells
        if OPTIONAL_MARKER in cell.source
    }


def _loading(load: LoadReport, left_alone: Mapping[str, int]) -> list[str]:
    failed = [
        report
        for report in load.statements
        if report.fate in TOLD and report.place.line < left_alone.get(report.place.label, sys.maxsize)
    ]
    told = _causes(failed)[:MAX_STATEMENTS]
    lines = [_statement(report) for report in told]
    if len(failed) > len(told):
        lines.append(
            f"(and {len(failed) - len(told)} more statements that did not run, most because of these)"
        )
    if load.definitions_only:
        lines.append(
            "Your program took too long, so only its imports, functions and classes were run from there on."
        )
    if load.absent:
        listed = clean(", ".join(load.absent), NAME_LIMIT)
        lines.append(
            f"{listed}: neither in your upload nor installed where it is graded; what your code does with it "
            "was left out."
        )
    return lines


def _causes(failed: Sequence[StatementReport]) -> list[StatementReport]:
    """Without the names that a cell lacks after its first failure: those follow from it."""
    causes: list[StatementReport] = []
    for report in failed:
        follows = report.error is not None and report.error.type_name == "NameError"
        if not (follows and any(cause.place.label == report.place.label for cause in causes)):
            causes.append(report)
    return causes


def _statement(report: StatementReport) -> str:
    where = f"{report.place.label}, line {report.place.line}"
    code = f"`{clean(report.place.text, 80)}`"
    if report.error is None:
        return f"{where}: {code} took too long and was stopped; the rest went on."
    if report.fate is StatementFate.ENDED:
        ends = {end.name: end.value for end in End}  # the name comes from the student's process
        reason = ends.get(report.error.type_name, "it ended")
        detail = clean(report.error.message, NAME_LIMIT)
        return f"{where}: {code} was left out, since in it the program died: {reason} ({detail})."
    message = clean(report.error.message, _MESSAGE_LIMIT)
    kind = clean(report.error.type_name, NAME_LIMIT)
    return f"{where}: {code} raised {kind}: {message} (the rest went on)."
