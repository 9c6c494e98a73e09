"""Regrading with the real grader: the same bytes as alone, killed or not, and points that move."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.answers.upload import LOG, NOTEBOOK, notebook_text
from tests.regrade.exports import GREEDY, HANGS, KINDS, METADATA, write_export, zipped

ROOT = Path(__file__).resolve().parents[2]
SOME = {name: KINDS[name] for name in ("right", "no scale", "soft", "log cut in half", "exits", "a PDF")}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "export"
    write_export(folder, 10, kinds=SOME)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the grader that nobody edits while it grades."""
    copy = tmp_path_factory.mktemp("project")
    for room in ("autograder", "reference"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def start(project: Path, export: Path, out: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autograder", "regrade", str(export), "-o", str(out), "--jobs", "2"]
    return subprocess.Popen(
        [*command, *arguments], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def regrade(project: Path, export: Path, out: Path, *arguments: str) -> None:
    assert start(project, export, out, *arguments).wait(300) == 0


def without_times(path: Path) -> Any:
    results = json.loads(path.read_bytes())
    results.pop("execution_time", None)
    return results


def all_results(out: Path) -> dict[str, Any]:
    return {path.stem: without_times(path) for path in sorted((out / "results").iterdir())}


def grades(out: Path) -> list[dict[str, str]]:
    with (out / "grades.csv").open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))[1:]


@pytest.fixture(scope="module")
def undisturbed(project: Path, export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "OUT"
    regrade(project, export, out)
    return out


def test_a_result_is_what_the_submission_gets_alone(
    project: Path, undisturbed: Path, export: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "results.json"
    for name, found in all_results(undisturbed).items():
        command = [
            sys.executable,
            "-m",
            "autograder",
            str(export / f"submission_{name}"),
            "--results",
            str(alone),
        ]
        subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=120)
        assert found == without_times(alone)


HOSTILE = {
    "sleeps": {"hw.py": "import time\n" + "time.sleep(0.5)\n" * 40},
    "spins in forward": {NOTEBOOK: notebook_text(HANGS)},
    "takes all memory": {NOTEBOOK: notebook_text(GREEDY), LOG: "[" * 1_000_000},
}


def test_a_class_is_not_harmed_by_its_hostile_members(
    project: Path, undisturbed: Path, export: Path, tmp_path: Path
) -> None:
    short = tmp_path / "project"
    shutil.copytree(project, short)
    settings = short / "autograder" / "settings.py"
    text = settings.read_text()
    for name, value in {"LOAD_CPU": 4, "CALL_CPU": 2, "UPLOAD_WALL": 25, "UPLOAD_CPU": 10}.items():
        text, found = re.subn(rf"^({name}_SECONDS: Final = )[\d.]+", rf"\g<1>{value}.0", text, flags=re.M)
        assert found == 1
    settings.write_text(text)
    wild = tmp_path / "export"
    honest = sorted(all_results(undisturbed))[:4]
    for number, files in enumerate(HOSTILE.values()):
        (wild / f"submission_{number + 1}").mkdir(parents=True)
        for name, content in files.items():
            (wild / f"submission_{number + 1}" / name).write_text(content)
    for name in honest:
        shutil.copytree(export / f"submission_{name}", wild / f"submission_{name}")
    began = time.monotonic()
    regrade(short, wild, tmp_path / "OUT")
    assert time.monotonic() - began < 200
    results = all_results(tmp_path / "OUT")
    assert len(results) == len(HOSTILE) + len(honest)
    for name in honest:
        now, alone = results[f"submission_{name}"], all_results(undisturbed)[name]
        assert [told(test) for test in now["tests"]] == [told(test) for test in alone["tests"]]
    assert {line["status"] for line in grades(tmp_path / "OUT")} <= {
        "graded",
        "time-out; its code met a time limit",
    }


def told(test: dict[str, Any]) -> tuple[Any, ...]:
    return test["number"], test.get("score"), test.get("output")


def test_a_zip_in_another_order_with_one_worker_gives_the_same_results(
    project: Path, undisturbed: Path, export: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "export"
    shutil.copytree(export, shuffled)
    regrade(project, zipped(shuffled, tmp_path / "export.zip"), tmp_path / "OUT", "--jobs", "1")
    assert all_results(tmp_path / "OUT") == all_results(undisturbed)


def test_killed_at_ten_random_moments_the_end_is_that_of_an_undisturbed_run(
    project: Path, undisturbed: Path, export: Path, tmp_path: Path
) -> None:
    dice = random.Random(3)
    results = tmp_path / "OUT" / "results"
    for done in range(10):  # each time a little after so many are done, of ten
        process = start(project, export, tmp_path / "OUT")
        while len(list(results.glob("[0-9]*.json"))) < done and process.poll() is None:
            time.sleep(0.01)
        time.sleep(dice.uniform(0.0, 0.15))
        process.kill()
        process.wait()
    regrade(project, export, tmp_path / "OUT")
    assert all_results(tmp_path / "OUT") == all_results(undisturbed)
    assert grades(tmp_path / "OUT") == grades(undisturbed)


def test_other_points_of_one_check_move_the_grades_that_they_should(
    project: Path, undisturbed: Path, export: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "project"
    shutil.copytree(project, changed)
    double_the_points(changed, "2.6")
    again = with_old_results(export, undisturbed, tmp_path / "export")
    out = tmp_path / "OUT"
    shutil.copytree(undisturbed, out)
    regrade(changed, again, out)
    before, now = all_results(undisturbed), all_results(out)
    right = {name for name, results in before.items() if score_of(results, "2.6") > 0}
    assert 0 < len(right) < len(before)
    for line in grades(out):
        assert float(line["change"]) == (5.0 if line["id"] in right else 0.0)
    assert {name: score_of(results, "2.6") for name, results in now.items()} == {
        name: 10.0 if name in right else 0.0 for name in before
    }
    report = (out / "report.html").read_text("utf-8")
    assert f"scores changed: {len(right)} up, 0 down" in report


def double_the_points(project: Path, number: str) -> None:
    for path in (project / "autograder" / "checks").glob("*.py"):
        text = path.read_text("utf-8")
        changed = re.sub(rf"@weight\((\d+)\)(\s+@number\(\"{number}\"\))", r"@weight(\1 * 2)\2", text)
        if changed != text:
            path.write_text(changed, "utf-8")
            return
    raise AssertionError(f"no check {number} with a @weight above its @number")


def score_of(results: Any, number: str) -> float:
    return next(float(test["score"]) for test in results["tests"] if test.get("number") == number)


def with_old_results(export: Path, out: Path, folder: Path) -> Path:
    """The export as it would be after `out` had been Gradescope's own results."""
    shutil.copytree(export, folder)
    lines = ["---"]
    for path in sorted((out / "results").iterdir()):
        results = json.loads(path.read_bytes())
        lines.append(f"submission_{path.stem}:\n  :score: {results['score']}")
        lines.append(f"  :results: {json.dumps({'tests': results['tests']})}")
    (folder / METADATA).write_text("\n".join(lines) + os.linesep, encoding="utf-8")
    return folder
