"""Runs the checks of one upload and makes results.json of what they say.

How a check ends, and whose fault that is:

    it returns                          all its points, or the share it earned
    AssertionError with a message       the student's: the message, and the share it earned, else 0
    SkipTest                            not graded: the reason, 0
    bounds.TOO_MUCH                     not graded: it took too much time or memory, 0
    NotAttempted                        an optional part left alone: the reason, 0 of 0, no red
    anything else                       the grader's: said so, 0, traceback on the staff's output

An AssertionError without a message is a bare `assert` of the grader's own code, and counts as the grader's.
gradescope-utils' decorators say the rest; its partial_credit, whose score is in points, is honoured beside
`Check.earn`, which takes a share.
"""

from __future__ import annotations

import html
import io
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import PurePath
from typing import Any, Final
from unittest import SkipTest, TestCase

from gradescope_utils.autograder_utils.decorators import partial_credit

from autograder.bounds import TOO_MUCH, OutOfTime, within
from autograder.errors import GraderFault
from autograder.results.schema import FORMATS, MARKUP, VISIBILITIES, output_of, safe
from autograder.settings import MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES, PART_CPU_SECONDS
from autograder.submission.types import Submission
from autograder.text import by_number

NOT_YOUR_FAULT: Final = (
    "The grader itself failed in this check. This is not your fault, and the 0 shown here says nothing "
    "about your work. Please tell the course staff: they can look into it and rerun the autograder."
)
_NO_VERDICT: Final = "This is not your fault, and the 0 shown here is not a verdict on your work. Please "
_INTERRUPTED: Final = (
    f"Grading was interrupted before it finished. {_NO_VERDICT}submit again, or ask the course staff to "
    "rerun the autograder."
)
_FAILED: Final = (
    f"The grader itself failed before it could finish. {_NO_VERDICT}tell the course staff: they can look "
    "into it and rerun the autograder."
)
_NOTICE: Final = (
    "The grader itself failed in {}, named below. That is not your fault; the score is not final. Please ask "
    "the course staff to rerun the autograder."
)
_NOT_JUDGED: Final = (
    "Not graded: judging this part of your upload took more time or memory than the grader has for it. Make "
    "what you upload smaller and simpler; if nothing in it is out of the ordinary, tell the course staff."
)
_SLACK: Final = 1e-9
"""A score this far outside its range, relative to the points, is rounding and is pulled inside."""
_MAX_FRAMES: Final = 3
_MAX_TEXT: Final = 600


class NotAttempted(SkipTest):
    """An optional part that the student left alone: it is no zero."""


@dataclass(frozen=True)
class Graded:
    """What grading one upload gave, from here to the tables of a regrade.

    results: a complete results.json. faults: what the grader itself got wrong, a line each, for staff.
    diagnoses: short stable names of the mistakes recognised, each once. submission: what was graded.
    timed_out: whether the student's code met a limit on time.
    """

    results: dict[str, Any]
    faults: tuple[str, ...]
    diagnoses: tuple[str, ...]
    submission: Submission | None = None
    timed_out: bool = False

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The labels and the sources of the code that was graded."""
        program = self.submission.program if self.submission else None
        return tuple((cell.label, cell.source) for cell in program.cells) if program is not None else ()


def run_checks(
    checks: Iterable[TestCase], *, output: Callable[[Sequence[Mapping[str, Any]]], str] = lambda tests: ""
) -> Graded:
    """Run the checks in their order; the results have one entry for each, ordered by number.

    output: plain text for the head, from the entries. A fault of the grader is announced there too.
    """
    started = time.perf_counter()
    checks = list(checks)
    limit = min(MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES // (len(checks) + 2))
    tests: list[dict[str, Any]] = []
    board: list[dict[str, Any]] = []
    faults: list[str] = []
    for check in checks:
        entry, fault = _entry(check, board, limit)
        tests.append(entry)
        if fault:
            faults.append(safe(f"{entry.get('number') or check.id()}: {fault}", "text"))
    results: dict[str, Any] = {
        "tests": sorted(tests, key=lambda test: by_number(test.get("number", ""))),
        "score": math.fsum(test.get("score", 0.0) for test in tests),
        "execution_time": round(time.perf_counter() - started, 3),
    }
    if board:
        results["leaderboard"] = board
    notice = _NOTICE.format(f"{len(faults)} place{'s' if len(faults) > 1 else ''}") if faults else ""
    results |= output_of(_joined(notice, output(results["tests"])), "text", limit)
    diagnoses = dict.fromkeys(name for check in checks if (name := getattr(check, "diagnosis", "")))
    return Graded(results, tuple(faults), tuple(diagnoses))


def interrupted() -> dict[str, Any]:
    """Return the results that stand until grading has finished."""
    return {"score": 0.0, "output": _INTERRUPTED, "output_format": "text", "tests": []}


def failed(error: BaseException) -> dict[str, Any]:
    """Return the results of a grader that failed as a whole."""
    return interrupted() | output_of(
        f"{_FAILED}\n\nFor staff: {describe_error(error)}", "text", MAX_OUTPUT_BYTES
    )


def describe_error(error: BaseException) -> str:
    """Return "ValueError at tasks.py:41 in copies_first, called from run.py:12 in test_sequences".

    Students may see it: it holds no value, only the text of a `GraderFault`, written for staff.
    """
    kind = type(error).__name__[:80]
    text = f" ({str(error)[:_MAX_TEXT]})" if isinstance(error, GraderFault) and str(error) else ""
    cause = f" from {type(error.__cause__).__name__[:80]}" if error.__cause__ is not None else ""
    frames = [
        f"{PurePath(frame.f_code.co_filename).name}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code is not _run.__code__
        and not {"unittest", "gradescope_utils"}.intersection(PurePath(frame.f_code.co_filename).parts)
    ][-_MAX_FRAMES:]
    place = " at " + ", called from ".join(reversed(frames)) if frames else ""
    return kind + cause + place + text


# --- One check. ---


def _entry(check: TestCase, board: list[dict[str, Any]], limit: int) -> tuple[dict[str, Any], str]:
    """The check's entry in results.json, and what the grader got wrong in it, or ""."""
    method = _method(check)
    number = str(getattr(method, "__number__", ""))
    hide_errors = str(getattr(method, "__hide_errors__", "") or "")
    entry: dict[str, Any] = {"name": _name(check, number), "number": number}
    printed = ""
    points: float | None = None
    score: float | None = None
    ending: BaseException | None
    try:
        if (worth := getattr(method, "__weight__", None)) is not None:
            points = _number(worth, f"the points of {number or check.id()}", math.inf)
        visibility = getattr(method, "__visibility__", "")
        if visibility not in ("", *VISIBILITIES):  # Gradescope would take it for visible
            raise GraderFault(
                f"expected one of {', '.join(VISIBILITIES)} as the visibility of {number or check.id()}, "
                f"got {visibility!r}: correct the decorator of {check.id()}"
            )
        entry |= {"visibility": visibility, "tags": [str(tag) for tag in getattr(method, "__tags__", ())]}
        ending, printed = _run(check)
        scores, values = (_taken(check, f"__{what}__") for what in ("score", "leaderboard_value"))
        score = _score(check, ending, points, scores)
        if ending is None:
            board += _rows(check, values)
    except GraderFault as error:
        ending, score = error, None if points is None else 0.0
    skipped = isinstance(ending, (SkipTest, *TOO_MUCH))
    attempted = not isinstance(ending, NotAttempted)
    if score is not None:
        entry |= {"score": score, "max_score": points if attempted else 0.0}
    if attempted and (points or not skipped):
        full = score is None or score >= (points or 0.0)
        entry["status"] = "passed" if ending is None and full else "failed"
    entry = {key: value for key, value in entry.items() if value not in ("", [])}
    fault, shown = "", [str(ending or "")]
    if isinstance(ending, TOO_MUCH):
        limits = f": {ending}" if isinstance(ending, OutOfTime) else ""
        shown = [f"{_NOT_JUDGED} ({type(ending).__name__}{limits})"]
    elif _is_the_students(ending):
        shown = [hide_errors or str(ending)]
    elif ending is not None and not skipped:
        fault = describe_error(ending) + (", without a message" if isinstance(ending, AssertionError) else "")
        shown = [NOT_YOUR_FAULT, "" if hide_errors else f"For staff: {fault}"]
    if fault or isinstance(ending, TOO_MUCH):
        with suppress(Exception):  # on the output that Gradescope shows to staff alone
            print(f"grader fault in {check.id()}:", file=sys.__stderr__)
            traceback.print_exception(ending, file=sys.__stderr__)
    text_format = getattr(check, "output_format", "text")
    if text_format not in FORMATS or fault:
        text_format = "text"
    if printed and text_format in MARKUP:
        printed = f"<pre>{html.escape(printed)}</pre>\n"
    return entry | output_of(_joined("" if hide_errors else printed, *shown), text_format, limit), fault


def _run(check: TestCase) -> tuple[BaseException | None, str]:
    """What ended the check, None if it returned, and what it printed."""
    printed = io.StringIO()
    try:
        if getattr(check, "__unittest_skip__", False):
            raise SkipTest(getattr(check, "__unittest_skip_why__", ""))
        with redirect_stdout(printed), redirect_stderr(printed), within(PART_CPU_SECONDS):
            try:
                check.setUp()
                _method(check)()
            finally:
                check.tearDown()
                check.doCleanups()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error, printed.getvalue()
    return None, printed.getvalue()


def _is_the_students(ending: BaseException | None) -> bool:
    return isinstance(ending, AssertionError) and ending.args not in ((), (None,), ("",))


def _name(check: TestCase, number: str) -> str:
    """The docstring's first line without the number, or the method's name in words."""
    line = check.shortDescription() or check._testMethodName.removeprefix("test_").replace("_", " ")
    if number and line.startswith(number):
        line = line.removeprefix(number).lstrip(" .:") or line
    return safe(line, "text")


# --- What gradescope-utils' decorators leave on a method. It keeps a set score on the function itself,
# where it would outlive the check and be the next submission's: `_taken` takes it away. ---


# partial_credit leaves no mark on a function, but all its wrappers share one code object
_PARTIAL_CODE: Final = partial_credit(0)(lambda: None).__code__


def _method(check: TestCase) -> Any:
    return getattr(check, check._testMethodName)


def _layers(check: TestCase) -> Iterator[Any]:
    """The check's function and what it wraps, from the outside in."""
    layer = getattr(_method(check), "__func__", _method(check))
    while layer is not None:
        yield layer
        layer = getattr(layer, "__wrapped__", None)


def _taken(check: TestCase, name: str) -> list[Any]:
    """What the check set under this name, as [value]; [] if it set nothing."""
    return [vars(layer).pop(name) for layer in _layers(check) if name in vars(layer)][:1]


def _score(
    check: TestCase, ending: BaseException | None, points: float | None, scores: list[Any]
) -> float | None:
    """What the check earned. scores: what it set. Raises GraderFault if that is not valid, or lacking."""
    if points is None:
        return None
    if ending is not None and not _is_the_students(ending):
        return 0.0
    share = getattr(check, "share", None)
    if share is not None:
        share = _number(share, "the share it earned", 1.0)
        return points if share == 1.0 else round(points * share, 2)
    if scores:
        return _number(scores[0], "the score it set", points)
    if ending is not None:
        return 0.0
    if any(getattr(layer, "__code__", None) is _PARTIAL_CODE for layer in _layers(check)):
        raise GraderFault("a check with partial credit passed, but never set its score")
    return points


def _rows(check: TestCase, values: list[Any]) -> list[dict[str, Any]]:
    """The leaderboard's row of a check that set a value for it."""
    name, order = (getattr(_method(check), f"__leaderboard_{of}__", "") for of in ("column", "sort_order"))
    numbers = (
        v if isinstance(v, str) else _number(v, "its leaderboard value", math.inf, -math.inf) for v in values
    )
    return [{"name": name, "value": value, "order": order} for value in numbers]


def _number(value: object, what: str, top: float, bottom: float = 0.0) -> float:
    """The value as a finite float, within bottom..top. Raises GraderFault."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise GraderFault(f"expected a number as {what}, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise GraderFault(f"expected a finite number as {what}, got {number}")
    slack = _SLACK * top if math.isfinite(top) else 0.0
    if not bottom - slack <= number <= top + slack:
        raise GraderFault(f"expected a number from {bottom:g} to {top:g} as {what}, got {number}")
    return min(max(number, bottom), top)


def _joined(*texts: str) -> str:
    """The texts that are not empty, with an empty line between them."""
    return "\n\n".join(text.strip("\n") for text in texts if text.strip())
