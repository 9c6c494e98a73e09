"""Grades a class of checks as one submission would be."""

from __future__ import annotations

import unittest
from typing import Any

from autograder.results.blame import NOT_YOUR_FAULT
from autograder.results.runner import GradingResult, GradingRunner


def grade(*cases: type[unittest.TestCase]) -> tuple[dict[str, Any], GradingResult]:
    load = unittest.TestLoader().loadTestsFromTestCase
    runner = GradingRunner()
    result = runner.run(unittest.TestSuite(load(case) for case in cases))
    return runner.json_data, result


def entry_of(case: type[unittest.TestCase]) -> dict[str, Any]:
    results, _ = grade(case)
    (entry,) = results["tests"]
    return entry


def fault_of(case: type[unittest.TestCase]) -> str:
    """Return the one fault of a case whose one test is the grader's fault, after looking at its entry."""
    results, run = grade(case)
    (entry,) = results["tests"]
    (fault,) = run.faults
    assert entry["score"] == 0
    assert entry["status"] == "failed"
    assert entry["output"].startswith(NOT_YOUR_FAULT)
    return fault
