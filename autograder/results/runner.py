"""gradescope-utils' runner, with its known faults repaired.

Each test of the suite becomes exactly one entry of results.json, whatever happens to it; `verdict` says
whose fault each ending is. The grader's own are said so in the output, cost 0 and are noted in `faults`:
besides stray exceptions, a partial-credit test that passes without a score, a score outside 0..points,
and a class or module whose setup fails, whose tests are entered as not graded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final
from unittest import TestCase, TestSuite
from unittest.util import strclass

from gradescope_utils.autograder_utils.json_test_runner import JSONTestResult, JSONTestRunner

from autograder.errors import GraderFault
from autograder.results import credit
from autograder.results.blame import NOT_YOUR_FAULT, describe
from autograder.results.output import FORMATS, as_printed, bounded, joined, safe
from autograder.results.verdict import Ending, Verdict, ending_of
from autograder.settings import MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES

_MAX_MESSAGES: Final = 5
"""Failed subtests of one test that are shown."""
_NEVER_RUN: Final = "The check was never run, and the runner gave no reason."
_UNEXPECTED: Final = "This check passes when what it tries fails, and it did not fail."


class GradingResult(JSONTestResult):  # type: ignore[misc]  # gradescope-utils ships no types
    """Collects the endings of each test and enters it once, when it stops.

    results, leaderboard: the lists that are filled. faults: one line for staff per fault of the grader.
    """

    def __init__(
        self, results: list[dict[str, Any]], leaderboard: list[dict[str, Any]], output_limit: int
    ) -> None:
        super().__init__(None, True, 1, results, leaderboard, "")
        self.buffer = True
        self.faults: list[str] = []
        self._output_limit = output_limit
        self._current: TestCase | None = None
        self._endings: list[Ending] = []
        self._entered: set[int] = set()
        self._blocked: dict[str, Ending] = {}

    def startTest(self, test: TestCase) -> None:  # noqa: N802  # unittest's name
        """Begin with no score from an earlier run."""
        credit.forget(test)
        self._current = test
        self._endings = []
        super().startTest(test)

    def stopTest(self, test: TestCase) -> None:  # noqa: N802  # unittest's name
        """Enter the test, and forget its score."""
        if self._current is not None:
            self._enter(test, self._endings)
        self._mirrorOutput = False  # what a check prints is in its output, or hidden
        super().stopTest(test)
        credit.forget(test)
        self._current = None

    def addSuccess(self, test: TestCase) -> None:  # noqa: N802, D102  # unittest's
        self._endings.append(Ending(Verdict.PASSED))

    def addFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802, D102  # unittest's
        self._endings.append(ending_of(err[1]))

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802  # unittest's name
        """Note an error; one without a test is the setup or teardown of a class or module."""
        if isinstance(test, TestCase):
            self._endings.append(ending_of(err[1]))
        else:
            ending = Ending(Verdict.FAULT, describe(err[1]))
            self._blocked[_scope(test)] = ending
            self._fault(test.id(), ending.text)

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802  # unittest's name
        """Note a skip; one without a test skips a class or module, one of a subtest leaves its test."""
        ending = Ending(Verdict.NOT_GRADED, reason)
        if not isinstance(test, TestCase):
            self._blocked[_scope(test)] = ending
        elif self._current is None:  # Python 3.12.1 does not start a test it skips, but stops it
            self._enter(test, [ending])
        else:
            self._endings.append(ending if test is self._current else Ending(Verdict.PASSED, reason))

    def addExpectedFailure(self, test: TestCase, err: Any) -> None:  # noqa: N802  # unittest's name
        """Count a failure that was expected as a pass, but not another exception."""
        ending = ending_of(err[1])
        self._endings.append(ending if ending.verdict is Verdict.FAULT else Ending(Verdict.PASSED))

    def addUnexpectedSuccess(self, test: TestCase) -> None:  # noqa: N802, D102  # unittest's
        self._endings.append(Ending(Verdict.FAILED, _UNEXPECTED))

    def addSubTest(self, test: TestCase, subtest: Any, err: Any) -> None:  # noqa: N802  # unittest's name
        """Note a subtest that failed, with what tells it from its siblings if the student sees it."""
        if err is not None:
            ending = ending_of(err[1])
            which = f"{subtest._subDescription()} " if ending.verdict is Verdict.FAILED else ""
            self._endings.append(Ending(ending.verdict, which + ending.text))

    def enter_missed(self, tests: Iterable[TestCase]) -> None:
        """Enter the tests that never started, with what kept them."""
        for test in tests:
            if id(test) not in self._entered:
                scopes = (strclass(type(test)), type(test).__module__)
                found = [self._blocked[scope] for scope in scopes if scope in self._blocked]
                self._enter(test, found or [Ending(Verdict.FAULT, _NEVER_RUN)])

    def _enter(self, test: TestCase, endings: list[Ending]) -> None:
        self._entered.add(id(test))
        verdict = max((ending.verdict for ending in endings), default=Verdict.FAULT)
        texts = [ending.text for ending in endings if ending.verdict is verdict and ending.text]
        if verdict is Verdict.FAULT and not texts:
            texts = ["the test ended without a verdict"]
        points = score = None
        try:
            points = credit.weight(test)
            score = _score(test, verdict, points)
            if verdict is Verdict.PASSED and (row := credit.leaderboard(test)) is not None:
                self.leaderboard.append(dict(zip(("name", "value", "order"), row, strict=True)))
        except GraderFault as error:
            verdict, texts = Verdict.FAULT, [describe(error)]
            score = None if points is None else 0.0
        if verdict is Verdict.FAULT:
            self._fault(self.getNumber(test) or test.id(), "; ".join(texts))
        kept = {Verdict.FAULT: self.errors, Verdict.FAILED: self.failures, Verdict.NOT_GRADED: self.skipped}
        kept.get(verdict, []).append((test, "; ".join(texts)))
        self.results.append(self._entry(test, verdict, texts, score, points))

    def _entry(
        self, test: TestCase, verdict: Verdict, texts: list[str], score: float | None, points: float | None
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {"name": _name(test, self.getNumber(test))}
        if points is not None:
            entry |= {"score": score, "max_score": points}
        passed = verdict is Verdict.PASSED and (points is None or score is None or score >= points)
        if verdict is not Verdict.NOT_GRADED or points:
            entry["status"] = "passed" if passed else "failed"
        if number := self.getNumber(test):
            entry["number"] = number
        if tags := self.getTags(test):
            entry["tags"] = [str(tag) for tag in tags]
        if visibility := self.getVisibility(test):
            entry["visibility"] = visibility
        output, output_format = self._output(test, verdict, texts)
        if output:
            entry |= {"output": output, "output_format": output_format}
        return entry

    def _output(self, test: TestCase, verdict: Verdict, texts: list[str]) -> tuple[str, str]:
        hidden = self.getHideErrors(test)
        output_format = getattr(test, "output_format", "text")
        if output_format not in FORMATS or verdict is Verdict.FAULT:
            output_format = "text"
        shown = texts[:_MAX_MESSAGES]
        if len(texts) > len(shown):
            shown.append(f"… and {len(texts) - len(shown)} more.")
        if verdict is Verdict.FAULT:
            shown = [NOT_YOUR_FAULT, *([] if hidden else [f"For staff: {text}" for text in shown])]
        elif verdict is Verdict.FAILED and hidden:
            shown = [str(hidden)]
        printed = "" if hidden or self._current is None else self.getOutput()
        text = safe(joined(as_printed(printed, output_format), *shown), output_format)
        return bounded(text, output_format, self._output_limit)

    def _fault(self, where: str, text: str) -> None:
        self.faults.append(safe(f"{where}: {text}", "text"))


class GradingRunner(JSONTestRunner):  # type: ignore[misc]  # gradescope-utils ships no types
    """Runs a suite into `json_data`, afresh at each run; writes it to stream if there is one."""

    def __init__(self, stream: Any = None, **options: Any) -> None:
        super().__init__(stream, **options)
        self.json_data: dict[str, Any]
        self._head = {key: value for key, value in self.json_data.items() if isinstance(value, str)}

    def run(self, test: TestSuite | TestCase) -> GradingResult:
        """Run every test once; afterwards json_data has one entry for each, and result.faults the faults."""
        tests = list(_flat(test))
        data: dict[str, Any] = {**self._head, "tests": [], "leaderboard": []}
        share = min(MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES // (len(tests) + 2))
        result = GradingResult(data["tests"], data["leaderboard"], share)
        started = time.perf_counter()
        test(result)
        result.enter_missed(tests)
        data["execution_time"] = round(time.perf_counter() - started, 3)
        data["score"] = math.fsum(entry.get("score", 0.0) for entry in data["tests"])
        if not data["leaderboard"]:
            del data["leaderboard"]
        self.json_data = data
        if self.post_processor is not None:
            self.post_processor(data)
        if self.stream is not None:
            json.dump(data, self.stream, indent=4, allow_nan=False)
            self.stream.write("\n")
        return result


def _flat(test: TestSuite | TestCase) -> Iterator[TestCase]:
    if isinstance(test, TestCase):
        yield test
    else:
        for part in test:
            yield from _flat(part)


def _scope(holder: Any) -> str:
    """Return "module.Class" or "module" of "setUpClass (module.Class)", unittest's name for a setup."""
    return str(holder.id()).partition("(")[2].rstrip(")")


def _score(test: TestCase, verdict: Verdict, points: float | None) -> float | None:
    """Return what the test earned. Raises GraderFault if it set no valid score and had to."""
    if points is None:
        return None
    score = credit.set_score(test, points) if verdict in (Verdict.PASSED, Verdict.FAILED) else 0.0
    if score is not None:
        return score
    if verdict is Verdict.FAILED:
        return 0.0
    if credit.is_partial(test):
        raise GraderFault("a check with partial credit passed, but never set its score")
    return points


def _name(test: TestCase, number: str | None) -> str:
    """Return the docstring's first line without the number, or the method's name in words."""
    line = test.shortDescription() or test._testMethodName.removeprefix("test_").replace("_", " ")
    if number and line.startswith(number):
        line = line.removeprefix(number).lstrip(" .:") or line
    return safe(line, "text")
