"""The lines above the tests: where to start, what was found in the upload, what did not run."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from autograder.assignment import MATRICES, Task
from autograder.checks.hand_designed import find_matrices
from autograder.checks.run import StudentRun
from autograder.checks.submission_log import RERUN
from autograder.feedback.messages import NOT_GIVEN
from autograder.sandbox.calls import Answer, End, Ended, LoadReport, StatementFate, StatementReport
from autograder.submission.source import same_code
from autograder.submission.types import NoteLevel, Origin
from autograder.text import NAME_LIMIT, clean, text_of_html

MAX_STATEMENTS = 8
TOLD = (StatementFate.FAILED, StatementFate.STOPPED, StatementFate.ENDED)
OPTIONAL_MARKER = "generate_test_cases_unique"
_MESSAGE_LIMIT = 300
_MAX_STARTS: Final = 3
_MAX_READ, _MAX_CAUSE = 4096, 160
_OWN_TEST: Final = re.compile(r"test\(\)\s*(#|$)")
_SEE: Final = re.compile(r"\b[Ss]ee (\d\.\d)\b(?: (?:and|to) (\d\.\d)\b)?")
_HINTS: Final = r"""
'list' object has no attribute '(shape|ndim|reshape|T)'
  A list is no matrix to the notebook, which logs nothing of that part if it meets one: write np.array(...).
Output shape: expected \((\d+), (\d+)\), got \(\1, 1, \2\)
  An np.matrix has two dimensions whatever is cut out of it: the notebook wants an np.array.
was removed in the NumPy 2\.0 release
  If it ran for you, you used NumPy 1; it is graded with NumPy {numpy}.
module 'torch[\w.]*' has no attribute
  If it ran for you, you used another PyTorch than {torch}, which grades it.
""".strip().splitlines()
"""What an error does not say by itself: a pattern of its text, and below it the sentence to say."""


def header(evidence: StudentRun, tests: Sequence[Mapping[str, Any]] = ()) -> str:
    """Plain text for the head of results.json, one line per fact. tests: its entries, once all are judged."""
    notices = evidence.submission.notices
    lines = [("Please note: " if each.tone is NoteLevel.WARNING else "") + each.text for each in notices]
    lines += [f"Please note: {text}" for text in _disagreements(evidence)]
    lines += _loading(evidence, judged=bool(tests))
    return "\n".join(filter(None, [start(tests), *lines]))


def start(tests: Sequence[Mapping[str, Any]]) -> str:
    """Where to start: the first check that fails for a reason of its own, and what that explains besides.

    A check each line of whose message points to another one ("see 2.2") is explained by it. "" if nothing
    fails.
    """
    failed: dict[str, str] = {}
    for test in tests:
        if test.get("status") == "failed" and test.get("number"):
            text = str(test.get("output", ""))[:_MAX_READ]
            failed[test["number"]] = text_of_html(text) if test.get("output_format") == "html" else text
    sources = {number: _explained_in(text, failed) or number for number, text in failed.items()}
    for _ in failed:  # follow each to its end
        sources = {number: sources[source] for number, source in sources.items()}
    own = sorted(set(sources.values()), key=lambda number: (number.startswith("1."), number))
    told: list[str] = []
    for number in [number for number in own if not failed[number].startswith("Not graded")][:_MAX_STARTS]:
        explained = [other for other in failed if sources[other] == number != other]
        also = f"; that also explains {', '.join(explained)}" if explained else ""
        told.append(f"{'Then look at' if told else 'Start with'} {number}: {_cause(failed[number])}{also}.")
    return " ".join(told)


def _explained_in(text: str, failed: Mapping[str, str]) -> str:
    """The first check that every line points to, among those that fail; "" if a line points nowhere."""
    lines = [_SEE.findall(line) for line in text.splitlines() if line]
    there = [[number for pair in line for number in pair if number in failed] for line in lines]
    return max(numbers[0] for numbers in there) if there and all(there) else ""


def _cause(text: str) -> str:
    """The message's first sentence up to its details, as part of another."""
    line = text.removeprefix("- ").split("\n", 1)[0][:_MAX_CAUSE]
    cause = re.split(r"[:;.] |[:;.]$", line, maxsplit=1)[0]
    if re.fullmatch(r"[\w.]+(, item \d+)?", cause):  # a place in the log, whose fault comes behind it
        cause = re.split(r"[;.] |[;.]$", line, maxsplit=1)[0]
    first = cause.split(" ", 1)[0]  # a name stays as it is written: Km, Km.weight, Q, F
    plain = first in ("A", "One") or (first.isalpha() and len(first) > 2 and first[1:].islower())
    return cause[:1].lower() + cause[1:] if plain else cause


# --- Where the log and the code of one upload tell different stories. It costs nothing by itself. ---


def _disagreements(evidence: StudentRun) -> list[str]:
    """One line per part in which log and code differ, with what was graded and what to do."""
    log, program = evidence.submission.log, evidence.submission.program
    if log is None or program is None or program.origin is Origin.LOG:
        return []
    lines = []
    if log.model is not None and same_code(program, log.model) is False:
        lines.append(
            f"PytorchTransformer in {program.name} is not the one recorded in {log.name}; "
            f"{program.name} was graded. {RERUN}"
        )
    if isinstance(evidence.load, LoadReport) and evidence.load.is_cut:
        return lines  # what the grader's own limits left out may be all the difference
    for task in (Task.CONTENT, Task.POSITION):
        graded, ran = find_matrices(evidence, task).matrices, evidence.matrices.get(task)
        if graded is None or not isinstance(ran, Answer):
            continue
        different = [n for n in MATRICES if not _same_matrix(getattr(graded, n), ran.arrays.get(n))]
        if different:
            lines.append(
                f"{', '.join(different)} of {task.value} differ between {log.name} and {program.name}; "
                f"{log.name} was graded. {RERUN}"
            )
    return lines


def _same_matrix(graded: npt.NDArray[Any] | None, ran: npt.NDArray[Any] | None) -> bool:
    if graded is None or ran is None:
        return graded is None  # content has no pos, whatever the code has by that name
    return graded.shape == ran.shape and bool(np.allclose(graded, ran, rtol=1e-6, atol=1e-9))


# --- What did not run. ---


def _loading(evidence: StudentRun, *, judged: bool) -> list[str]:
    """judged: the checks tell what is wrong with the model; the notebook's own test of it need not."""
    load, program = evidence.load, evidence.submission.program
    if load is None or program is None:
        return []
    if isinstance(load, Ended):
        died = f"Please note: your code could not be loaded: {load.reason.value} ({load.detail})."
        return [f"{died} Remove whatever runs long or leaves the process, and upload again."]
    left_alone = {  # from this line on, the optional part fails in every upload that leaves it out
        cell.label: cell.source.partition(OPTIONAL_MARKER)[0].count("\n") + 1
        for cell in program.cells
        if OPTIONAL_MARKER in cell.source and not isinstance(evidence.matrices.get(Task.UNIQUE), Answer)
    }
    failed = [
        report
        for report in load.statements
        if report.fate in TOLD
        and report.place.line < left_alone.get(report.place.label, sys.maxsize)
        and not (judged and _OWN_TEST.match(report.place.text))
    ]
    told = _causes(failed)[:MAX_STATEMENTS]
    lines = [*map(_statement, told), *_hints(told)]
    if more := len(failed) - len(told):
        lines.append(f"(and {more} more statements that did not run, most because of these)")
    if load.definitions_only:
        lines.append(
            "Your program took too long, so only its imports, functions and classes were run from there on."
        )
    if load.absent:
        lines.append(
            f"{clean(', '.join(load.absent), NAME_LIMIT)}: neither in your upload nor installed where it is "
            "graded; what your code does with it was left out."
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
    if re.fullmatch(NOT_GIVEN, kind):
        needs = "needs a file, the network or another program, which the grader gives to nobody"
        return f"{where}: {code} {needs} ({kind}: {message}); the rest went on."
    return f"{where}: {code} raised {kind}: {message} (the rest went on)."


def _hints(told: Sequence[StatementReport]) -> list[str]:
    """What the errors do not say themselves, each once."""
    messages = [report.error.message for report in told if report.error is not None]
    pairs = zip(_HINTS[::2], map(str.strip, _HINTS[1::2]), strict=True)
    hints = [hint for pattern, hint in pairs if any(re.search(pattern, message) for message in messages)]
    if not hints:
        return []
    from importlib.metadata import version  # it imports email, for which a perfect upload need not pay

    return [hint.format(numpy=version("numpy"), torch=version("torch")) for hint in hints]
