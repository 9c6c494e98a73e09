"""The lines above the tests: what was found in the upload, what was left out, what did not run."""

from __future__ import annotations

from autograder.checks.agreement import disagreements
from autograder.checks.evidence import Evidence
from autograder.checks.questions import matrices
from autograder.sandbox.types import Answer, Ended, LoadReport, StatementFate, StatementReport, Task
from autograder.submission.types import Tone
from autograder.text import NAME_LIMIT, clean

MAX_STATEMENTS = 8
TOLD = (StatementFate.FAILED, StatementFate.STOPPED)
OPTIONAL_MARKER = "generate_test_cases_unique"
_WARNING = "Please note"
_MESSAGE_LIMIT = 300


def preamble(evidence: Evidence) -> str:
    """Plain text for the head of results.json, one line per fact."""
    lines = [
        f"{_WARNING}: {notice.text}" if notice.tone is Tone.WARNING else notice.text
        for notice in evidence.submission.notices
    ]
    lines += [f"{_WARNING}: {text}" for text in disagreements(evidence)]
    if isinstance(evidence.load, Ended):
        lines.append(
            f"{_WARNING}: your code could not be loaded: {evidence.load.reason.value} "
            f"({evidence.load.detail}). Remove whatever runs long or leaves the process, and upload again."
        )
    elif evidence.load is not None:
        lines += _loading(evidence.load, _cells_left_alone(evidence))
    return "\n".join(lines)


def _cells_left_alone(evidence: Evidence) -> frozenset[str]:
    """Labels of the optional part's cells, which fail in every upload that leaves that part out."""
    program = evidence.submission.program
    if program is None or isinstance(evidence.outcomes.get(matrices(Task.UNIQUE)), Answer):
        return frozenset()
    return frozenset(cell.label for cell in program.cells if OPTIONAL_MARKER in cell.source)


def _loading(load: LoadReport, left_alone: frozenset[str]) -> list[str]:
    told = [
        report for report in load.statements if report.fate in TOLD and report.place.label not in left_alone
    ]
    lines = [_statement(report) for report in told[:MAX_STATEMENTS]]
    if len(told) > MAX_STATEMENTS:
        lines.append(f"(and {len(told) - MAX_STATEMENTS} more statements that did not run)")
    if load.definitions_only:
        lines.append(
            "Your program took too long, so only its imports, functions, classes and assignments were run."
        )
    return lines


def _statement(report: StatementReport) -> str:
    where = f"{report.place.label}, line {report.place.line}"
    code = f"`{clean(report.place.text, 80)}`"
    if report.error is None:
        return f"{where}: {code} took too long and was stopped; the rest went on."
    message = clean(report.error.message, _MESSAGE_LIMIT)
    kind = clean(report.error.type_name, NAME_LIMIT)
    return f"{where}: {code} raised {kind}: {message} (the rest went on)."
