"""The committed uploads score what is committed beside them, and grading has no memory."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers.write import EXPECTED, SUBMISSIONS, TOLD, cases, scores_of, told_of

RENEW = """If the change of scores is meant, renew expected.json and read the difference before you commit it:
    .venv/bin/python -m tests.answers.write --expect"""
SCORES: dict[str, dict[str, float]] = json.loads(EXPECTED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_committed_upload_scores_what_is_expected(name: str, fork_server: ForkServer) -> None:
    assert scores_of(SUBMISSIONS / name, fork_server) == SCORES[name], RENEW


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_committed_upload_is_told_the_same_on_every_python(name: str, fork_server: ForkServer) -> None:
    """After a change of wording: python -m tests.answers.write --expect, and read the difference."""
    assert told_of(SUBMISSIONS / name, fork_server) == json.loads(TOLD.read_text(encoding="utf-8"))[name]


def test_every_committed_upload_has_its_expected_scores() -> None:
    folders = {path.name for path in SUBMISSIONS.iterdir() if path.is_dir()}
    assert folders == set(SCORES) == {*cases(), "blank"}


def test_the_committed_uploads_are_what_the_builder_writes() -> None:
    for name, files in cases().items():
        written = {
            path.relative_to(SUBMISSIONS / name).as_posix(): path.read_text(encoding="utf-8")
            for path in (SUBMISSIONS / name).rglob("*")
            if path.is_file()
        }
        assert written.keys() == files.keys()
        assert [path for path in files if not path.endswith(".json") and written[path] != files[path]] == []


def test_the_perfect_upload_has_all_points(fork_server: ForkServer) -> None:
    results = grade(SUBMISSIONS / "perfect", fork_server).results
    assert results["score"] == sum(test["max_score"] for test in results["tests"]) == 100


def test_the_same_upload_gets_the_same_results_but_for_times(fork_server: ForkServer) -> None:
    for name in ("perfect", "wrong_no_scale", "wrong_content_overflow"):
        assert _without_times(name, fork_server) == _without_times(name, fork_server)


def test_a_fresh_sandbox_gives_the_same_results(fork_server: ForkServer) -> None:
    with ForkServer() as fresh:
        assert _without_times("wrong_no_scale", fresh) == _without_times("wrong_no_scale", fork_server)


def test_the_order_of_uploads_does_not_matter(fork_server: ForkServer) -> None:
    names = sorted(SCORES)
    forward = {name: _without_times(name, fork_server) for name in names}
    backward = {name: _without_times(name, fork_server) for name in reversed(names)}
    assert backward == forward


def _without_times(name: str, sandbox: ForkServer) -> dict[str, Any]:
    results = copy.deepcopy(grade(SUBMISSIONS / name, sandbox).results)
    for timed in (results, *results["tests"]):
        timed.pop("execution_time", None)
    return results
