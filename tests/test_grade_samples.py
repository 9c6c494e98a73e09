"""The sample uploads beside the repository get their verdicts, in every form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import ForkServer
from tests.answers.answer import Share
from tests.answers.upload import LOG, NOTEBOOK, Files, write
from tests.answers.verdict import share_complaints

SAMPLES = Path(__file__).parents[1].parent / "shared" / "assignment" / "answers"
NAMES = sorted(folder.name for folder in SAMPLES.glob("*")) if SAMPLES.is_dir() else []
needs_samples = pytest.mark.skipif(not NAMES, reason="the assignment is not beside the repository")


def _script(notebook: str) -> str:
    cells = json.loads(notebook)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _files(name: str, form: str) -> Files:
    log, notebook = ((SAMPLES / name / file).read_text(encoding="utf-8") for file in (LOG, NOTEBOOK))
    return {
        "log and notebook": {LOG: log, NOTEBOOK: notebook},
        "log alone": {LOG: log},
        "notebook alone": {NOTEBOOK: notebook},
        "log and script": {LOG: log, "q_hand_transformer.py": _script(notebook)},
    }[form]


def _verdict(name: str, form: str) -> Mapping[str, Share]:
    verdict: dict[str, Share] = json.loads((SAMPLES / name / "verdict.json").read_text(encoding="utf-8"))
    verdict.pop("unique_tokens", None)  # worth no points: its status is looked at
    if form == "notebook alone":
        verdict["submission_log"] = 0
    return verdict


@needs_samples
@pytest.mark.parametrize("form", ["log and notebook", "log alone", "notebook alone", "log and script"])
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_upload_gets_its_verdict(
    name: str, form: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    graded = grade(write(_files(name, form), tmp_path / "upload"), fork_server)
    validate(graded.results)
    assert graded.faults == ()
    assert list(share_complaints(_verdict(name, form), graded.results)) == []


@needs_samples
def test_the_sample_with_the_optional_part_passes_it(fork_server: ForkServer, tmp_path: Path) -> None:
    graded = grade(write(_files("ok_unique_too", "log and notebook"), tmp_path / "upload"), fork_server)
    assert [t["status"] for t in graded.results["tests"] if "unique_tokens" in t["tags"]] == ["passed"]
