"""Hostile uploads against the whole grader: valid results, no point too many, no fault of the grader's.

After each, an honest upload gets the results it got before.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import Allowance, ForkServer

from .base import HONEST_FORWARD, Files, honest, wrong
from .uploads import UPLOADS, Upload

SECRET = "secret-metadata-of-the-course"
ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Scores:
    honest: dict[str, Any]
    wrong: float


@pytest.fixture(scope="module")
def scores(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    good = results_of(filled(tmp_path_factory.mktemp("honest"), honest()), fork_server)
    bad = results_of(filled(tmp_path_factory.mktemp("wrong"), wrong()), fork_server)
    return Scores(good, total(bad))


def test_the_honest_upload_is_worth_all_and_the_wrong_one_little(scores: Scores) -> None:
    assert total(scores.honest) == 100
    assert scores.wrong < 60


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.family}: {row.name}") for row in UPLOADS])
def test_a_hostile_upload_gains_nothing(
    fork_server: ForkServer, scores: Scores, tmp_path: Path, row: Upload
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(f'{{"{SECRET}": 1}}')
    folder = filled(tmp_path / "upload", row.files)
    if row.put is not None:
        row.put(folder, secret)
    results = results_of(folder, fork_server)
    passed = {test["number"] for test in results["tests"] if test.get("status") == "passed"}
    if row.verdict == "SAME":
        assert total(results) == total(scores.honest)
    elif row.verdict == "WRONG":
        assert total(results) <= scores.wrong
    assert passed.isdisjoint(row.fails)
    assert SECRET not in str(results)
    again = results_of(filled(tmp_path / "honest", honest()), fork_server)
    assert again == scores.honest


def test_a_forward_that_sleeps_is_cut_with_the_time_of_the_upload_and_keeps_what_it_earned(
    fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.grade.Allowance", lambda: Allowance(wall_left=12.0))
    sleepy = HONEST_FORWARD.replace("seq):\n", "seq):\n        __import__('time').sleep(1)\n", 1)
    began = time.monotonic()
    results = results_of(filled(tmp_path / "upload", honest(forward=sleepy)), fork_server)
    assert time.monotonic() - began < 60
    output = {test["number"]: test.get("output", "") for test in results["tests"]}
    passed = {test["number"] for test in results["tests"] if test.get("status") == "passed"}
    assert "Not run: your program used up its time (12 s for the whole upload)" in output["2.4"]
    assert passed >= {"2.1", "3.1", "3.2", "4.1", "4.2"}
    assert passed.isdisjoint({"2.4", "2.6"})  # 2.5 is judged by the outputs that came


def filled(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def results_of(folder: Path, fork_server: ForkServer) -> dict[str, Any]:
    """The results, found valid, without a fault of the grader's, and with no character that acts."""
    graded = grade(folder, fork_server)
    validate(graded.results)
    assert graded.faults == ()
    for text, form in texts(graded.results):
        assert [c for c in text if unicodedata.category(c) in ACTING and c not in "\n\t"] == []
        assert form != "html" or "<script" not in text
        assert form not in ("md", "simple_format") or "<img" not in text
        assert len(text) < 100_000
    graded.results.pop("execution_time", None)
    return graded.results


def texts(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part in (results, *results["tests"]):
        yield part.get("output", ""), part.get("output_format", "text")
        yield part.get("name", ""), part.get("name_format", "text")


def total(results: dict[str, Any]) -> float:
    return sum(test["score"] for test in results["tests"])
