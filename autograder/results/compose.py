"""The whole of results.json: of a graded upload, of one not graded yet, of a grader that failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from unittest import TestCase, TestSuite

from autograder.results.blame import describe
from autograder.results.output import bounded, joined, safe
from autograder.results.runner import GradingRunner
from autograder.settings import MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES

_INTERRUPTED: Final = (
    "Grading was interrupted before it finished. This is not your fault, and the 0 shown here is not a "
    "verdict on your work. Please submit again, or ask the course staff to rerun the autograder."
)
_FAULT: Final = (
    "The grader itself failed before it could finish. This is not your fault, and the 0 shown here is not "
    "a verdict on your work. Please tell the course staff: they can look into it and rerun the autograder."
)


@dataclass(frozen=True)
class RunOutcome:
    """results: valid for `write`. faults: a line for staff per fault of the grader, none if all went well."""

    results: dict[str, Any]
    faults: tuple[str, ...]


def run_checks(
    tests: Iterable[TestCase],
    *,
    output: str = "",
    output_format: str = "text",
    extra_data: dict[str, Any] | None = None,
) -> RunOutcome:
    """Run the tests in their order and return the results, the tests ordered by number.

    output: what stands above the tests, in output_format. A fault of the grader is announced there too.
    """
    runner = GradingRunner()
    run = runner.run(TestSuite(tests))
    results = runner.json_data
    results["tests"].sort(key=_by_number)
    limit = min(MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES // (len(results["tests"]) + 2))
    notice = _notice(len(run.faults), output_format) if run.faults else ""
    text, text_format = bounded(safe(joined(notice, output), output_format), output_format, limit)
    if text:
        results |= {"output": text, "output_format": text_format}
    if extra_data is not None:
        results["extra_data"] = extra_data
    return RunOutcome(results, tuple(run.faults))


def interrupted() -> dict[str, Any]:
    """Return the results that stand until grading has finished."""
    return _ungraded(_INTERRUPTED)


def fault(error: BaseException) -> dict[str, Any]:
    """Return the results of a grader that failed as a whole."""
    return _ungraded(joined(_FAULT, f"For staff: {describe(error)}"))


def _ungraded(text: str) -> dict[str, Any]:
    text, _ = bounded(safe(text, "text"), "text", MAX_OUTPUT_BYTES)
    return {"score": 0.0, "output": text, "output_format": "text", "tests": []}


def _notice(faults: int, output_format: str) -> str:
    text = (
        f"The grader itself failed in {faults} place{'s' if faults > 1 else ''}, named below. That is not "
        "your fault; the score is not final. Please ask the course staff to rerun the autograder."
    )
    return f"<p>{text}</p>" if output_format == "html" else text


def _by_number(test: dict[str, Any]) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Order 2.10 after 2.9, and tests without a number last, as they came."""
    parts = test.get("number", "").split(".") if "number" in test else []
    return not parts, [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
