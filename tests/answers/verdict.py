"""Holds results.json against what an answer deserves, in the form in which it was handed in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.answers.answer import SECTIONS, Answer, Share
from tests.answers.run import log_of

Results = Mapping[str, Any]


def complaints(answer: Answer, form: str, results: Results) -> list[str]:
    """One line per section or check that did not get what it deserves; none if all did."""
    lines = list(share_complaints(deserved(answer, form), results))
    if form == "log and notebook":
        lines += _check_complaints(answer, results)
    if form != "log alone":
        lines += _unique_complaints(answer, results)
    return [f"{answer.name}, {form}: {line}" for line in lines]


def deserved(answer: Answer, form: str) -> dict[str, Share]:
    """By section, what the answer deserves in this form."""
    shares = {section: answer.share(section) for section in SECTIONS}
    if form == "notebook alone":
        shares["submission_log"] = 0
    if form == "log alone":
        shares |= _shown_by_log(answer, shares)
    return shares


def _shown_by_log(answer: Answer, shares: Mapping[str, Share]) -> dict[str, Share]:
    """What changes if nothing but the log is there."""
    if answer.needs_notebook:
        return {"submission_log": "any", "pytorch_transformer": "any"}
    log = json.loads(log_of(answer))
    missing = {
        "pytorch_transformer": "torch_transformer_init",
        "attention_by_content": "attention_by_content_K",
        "attention_by_position": "attention_by_position_K",
    }
    return {section: 0 for section, key in missing.items() if key not in log and shares[section] != "any"}


def share_complaints(shares: Mapping[str, Share], results: Results) -> Iterator[str]:
    """By section: 1 wants all points, 0 none, "less" fewer than all."""
    for section, share in shares.items():
        tests = [test for test in results["tests"] if section in test["tags"]]
        got, points = sum(t["score"] for t in tests), sum(t["max_score"] for t in tests)
        fair = {1: got == points, 0: got == 0, "less": got < points, "any": True}[share]
        if not fair:
            told = " | ".join(t.get("output", "") for t in tests if t["score"] < t["max_score"])
            yield f"{section} has {got:g} of {points:g}, deserves {share}: {told}"


def _check_complaints(answer: Answer, results: Results) -> Iterator[str]:
    tests = {test["number"]: test for test in results["tests"]}
    for number in answer.loses:
        if tests[number]["score"] >= tests[number]["max_score"]:
            yield f"{number} keeps its points"
        elif not tests[number].get("output"):
            yield f"{number} does not say why it lost points"
    for number in answer.keeps:
        if tests[number]["score"] < tests[number]["max_score"]:
            yield f"{number} loses points: {tests[number].get('output')}"


def _unique_complaints(answer: Answer, results: Results) -> Iterator[str]:
    (test,) = (test for test in results["tests"] if "unique_tokens" in test["tags"])
    status = {True: "passed", False: "failed"}.get(answer.passes_unique)  # type: ignore[arg-type]  # None: neither
    if status and test.get("status") != status:
        yield f"unique_tokens is {test.get('status')}: {test.get('output')}"
    if status is None and "Not attempted" not in test.get("output", ""):
        yield f"unique_tokens was left alone, but: {test.get('output')}"
