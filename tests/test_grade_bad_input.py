"""Bad input: results.json is valid, says what to do, and only what is broken costs points."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from autograder import settings
from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from tests.answers.answer import SECTIONS
from tests.answers.bad import BAD_CODE, BAD_FILES, HANGS, BadUpload
from tests.answers.upload import write
from tests.answers.verdict import share_complaints

SMALL = dataclasses.replace(DEFAULT_LIMITS, memory=256 * settings.MIB)
SHORT = dataclasses.replace(SMALL, load_cpu=1.0, call_cpu=0.5, wall_factor=8.0)
"""For what hangs by design: it meets its limits soon."""


@pytest.mark.parametrize("bad", [*BAD_FILES, *BAD_CODE], ids=lambda bad: bad.name)
def test_bad_input_costs_only_what_it_broke(bad: BadUpload, fork_server: ForkServer, tmp_path: Path) -> None:
    upload = write(bad.files(), tmp_path / "upload")
    graded = grade(upload, fork_server, SHORT if bad in HANGS else SMALL)
    validate(graded.results)
    assert graded.faults == ()
    shares = dict.fromkeys(SECTIONS, 1) | dict(bad.shares)
    assert list(share_complaints(shares, graded.results)) == []
    told = _told(graded.results)
    assert [text for text in bad.says if text.lower() not in told.lower()] == []
    assert len(told) < settings.MAX_OUTPUT_BYTES


def _told(results: dict[str, Any]) -> str:
    return "\n".join([results["output"], *(test.get("output", "") for test in results["tests"])])
