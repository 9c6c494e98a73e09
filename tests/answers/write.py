"""Writes the uploads under tests/submissions: `python -m tests.answers.write`.

With `--expect`, grades them too, and writes expected.json, the scores, and told.json, what each check says:
read the difference before committing it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers import upload
from tests.answers.every import BY_NAME
from tests.answers.upload import Files

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
EXPECTED = SUBMISSIONS / "expected.json"
TOLD = SUBMISSIONS / "told.json"


def cases() -> Mapping[str, Files]:
    """The committed uploads by their folder's name, but for the blank one: the others are made from it."""
    optional = BY_NAME["unique: a compass"]
    return {
        "perfect": upload.log_and_notebook(BY_NAME["plain"]),
        "perfect_with_optional": upload.log_and_notebook(optional),
        "perfect_log_alone": upload.log_alone(BY_NAME["sdpa"]),
        "perfect_colab_script": upload.log_and_colab_script(BY_NAME["notebook: magics"]),
        "perfect_in_a_folder": upload.in_a_folder(BY_NAME["helper methods"]),
        "wrong_no_scale": upload.log_and_notebook(BY_NAME["no scale"]),
        "wrong_loop_over_queries": upload.log_and_notebook(BY_NAME["loop over queries"]),
        "wrong_content_overflow": upload.log_and_notebook(BY_NAME["content overflow"]),
        "wrong_position_soft": upload.log_and_notebook(BY_NAME["position soft"]),
    }


def main() -> None:
    """Write the uploads, and what they score if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.answers.write", description=__doc__)
    parser.add_argument("--expect", action="store_true", help="grade them, write expected.json and told.json")
    wants_scores = parser.parse_args().expect
    for name, files in cases().items():
        shutil.rmtree(SUBMISSIONS / name, ignore_errors=True)
        upload.write(files, SUBMISSIONS / name)
    if wants_scores:
        names = [*cases(), "blank"]
        with ForkServer() as sandbox:
            scores = {name: scores_of(SUBMISSIONS / name, sandbox) for name in names}
            told = {name: told_of(SUBMISSIONS / name, sandbox) for name in names}
        EXPECTED.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        TOLD.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def scores_of(folder: Path, sandbox: ForkServer) -> dict[str, float]:
    """By a check's number, what an upload scores."""
    return {test["number"]: test["score"] for test in grade(folder, sandbox).results["tests"]}


def told_of(folder: Path, sandbox: ForkServer) -> dict[str, str]:
    """By a check's number, what its output says, but for pictures; a check that says nothing is left out."""
    outputs = {test["number"]: test.get("output", "") for test in grade(folder, sandbox).results["tests"]}
    return {number: re.sub(r"data:[^\"]*", "picture", text) for number, text in outputs.items() if text}


if __name__ == "__main__":
    main()
