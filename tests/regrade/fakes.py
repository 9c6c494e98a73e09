"""A grader for tests of everything around grading: its verdict follows from the upload's bytes.

A file in the upload may make it misbehave; `python -m tests.regrade`
is the command line with this grader.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autograder.__main__ import exit_status
from autograder.errors import SandboxFault
from autograder.regrade import cli
from autograder.regrade.types import GradeFunction, GraderFactory, Record

POINTS = {"2.2": 10.0, "2.10": 10.0, "3.2": 20.0}


@contextmanager
def fake_grader() -> Iterator[GradeFunction]:
    yield grade


@contextmanager
def broken_grader() -> Iterator[GradeFunction]:
    raise SandboxFault("there is no torch")
    yield grade


def main(arguments: Sequence[str], factory: GraderFactory = fake_grader) -> int:
    """The command line with another grader; gives its exit status."""
    return exit_status(lambda: cli.main(arguments, factory))


def regrade(export: Path, out: Path, *arguments: str) -> int:
    """The command line with this grader and two workers; gives its exit status."""
    return main([str(export), "-o", str(out), "--jobs", "2", *arguments])


def grade(upload: Path) -> Record:
    files = sorted(upload.rglob("*")) if upload.is_dir() else [upload]
    texts = {file.name: file.read_text("utf-8") for file in files if file.is_file()}
    _misbehave(texts)
    digest = hashlib.sha256("".join(texts.values()).encode()).digest()
    tests = [
        {
            "name": f"the check {number}",
            "number": number,
            "score": points if digest[i] % 3 else 0.0,
            "max_score": points,
            "output": "" if digest[i] % 3 else f"expected {digest[i]}</script><script>alert(1)</script>",
            "output_format": "text",
        }
        for i, (number, points) in enumerate(POINTS.items())
    ]
    results = {"score": sum(float(test["score"]) for test in tests), "tests": tests}
    return Record(
        results=json.dumps(results).encode(),
        faults=("2.2: KeyError",) if "faulty" in texts else (),
        diagnoses=("scale: none",) if digest[4] % 2 else (),
        timed_out="slow" in texts,
        signals={"matrices": f"m{digest[5] % 9}"},
    )


def _misbehave(texts: dict[str, str]) -> None:
    if "raises" in texts:
        raise KeyError("pos")
    if "dies" in texts:
        os._exit(9)
    if "dies once" in texts and not Path(texts["dies once"]).exists():
        Path(texts["dies once"]).touch()
        os._exit(9)
    if "hangs" in texts:
        time.sleep(600)
    if "counts" in texts:
        with Path(texts["counts"]).open("a", encoding="utf-8") as stream:
            stream.write("1")
    time.sleep(float(texts.get("sleeps", 0)))
