"""The command line on one submission: results.json, the table, the exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autograder.__main__ import COMMANDS
from autograder.results.schema import validate
from tests.answers.write import SUBMISSIONS

ROOT = Path(__file__).parents[1]
BROKEN_GRADER = """
import sys
import autograder.grade
def broken(upload, sandbox):
    raise LookupError("a name that only staff should see")
autograder.grade.grade = broken
from autograder.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def run(
    *arguments: str | Path, cwd: Path, program: tuple[str, ...] = ("-m", "autograder"), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def read(path: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    validate(results)
    return results


def test_a_perfect_upload_gives_a_table_and_results_json(tmp_path: Path) -> None:
    ran = run(SUBMISSIONS / "perfect", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Score: 100 of 100" in ran.stdout
    assert ran.stdout.count("\nok ") == 13
    assert read(tmp_path / "results.json")["score"] == 100


def test_a_wrong_upload_exits_with_0_and_the_message_stands_under_its_test(tmp_path: Path) -> None:
    ran = run(SUBMISSIONS / "wrong_loop_over_queries", "--results", "out.json", cwd=tmp_path)
    assert ran.returncode == 0
    _, _, below = ran.stdout.partition("2.5       0/5")
    assert "Score: 95 of 100" in below
    assert "rows one at a time" in below.split("2.6")[0]
    assert read(tmp_path / "out.json")["score"] == 95


@pytest.mark.parametrize(("file", "score"), [("q_hand_transformer.ipynb", 90), ("submission_log.json", 100)])
def test_a_single_file_is_graded(file: str, score: float, tmp_path: Path) -> None:
    assert run(SUBMISSIONS / "perfect" / file, cwd=tmp_path).returncode == 0
    assert read(tmp_path / "results.json")["score"] == score


def test_without_arguments_gradescope_s_folders_are_used(tmp_path: Path) -> None:
    shutil.copytree(SUBMISSIONS / "perfect", tmp_path / "submission")
    ran = run(cwd=tmp_path, AUTOGRADER_HOME=str(tmp_path))
    assert ran.returncode == 0
    assert read(tmp_path / "results" / "results.json")["score"] == 100


def test_a_report_for_a_person_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    assert run(SUBMISSIONS / "blank", "--html", "report.html", cwd=tmp_path).returncode == 0
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_help_lists_every_command_with_a_line_each(tmp_path: Path) -> None:
    told = run("--help", cwd=tmp_path, COLUMNS="100").stdout
    for command, (_, line) in COMMANDS.items():
        assert f"    {command} " in told
        assert line in told


def test_grade_is_the_command_that_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    assert run("grade", "bundle", cwd=tmp_path).returncode == 0
    assert read(tmp_path / "results.json")["score"] == 0


def test_a_misspelt_command_is_told_what_it_may_have_meant(tmp_path: Path) -> None:
    ran = run("bundel", cwd=tmp_path)
    assert ran.returncode == 2
    assert "Did you mean the command bundle?" in ran.stderr


def test_the_line_for_staff_names_the_version(tmp_path: Path) -> None:
    told = run("--version", cwd=tmp_path).stdout.strip()
    first = run(SUBMISSIONS / "blank", cwd=tmp_path).stdout.partition("\n")[0]
    assert first.startswith("isolation: ")
    assert first.endswith(f"; {told}")


@pytest.mark.parametrize("arguments", [["missing"], ["--no-such-option"], []])
def test_wrong_usage_exits_with_2_and_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    ran = run(*arguments, cwd=tmp_path, AUTOGRADER_HOME=str(tmp_path / "nowhere"))
    assert ran.returncode == 2
    assert "run_autograder" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_grader_is_no_silent_zero(tmp_path: Path) -> None:
    ran = run(SUBMISSIONS / "perfect", cwd=tmp_path, program=("-c", BROKEN_GRADER))
    assert ran.returncode == 1
    assert "LookupError" in ran.stderr
    results = read(tmp_path / "results.json")
    assert "not your fault" in results["output"]
    assert results["tests"] == []


BROKEN_PART = """
import sys
import autograder.submission.choose as choose
import autograder.checks.pytorch_transformer as check
def broken(*arguments):
    raise LookupError("a name that only staff should see")
{part} = broken
from autograder.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("part", "lost", "told"),
    [
        ("choose.read_log", 10, "submission_log.json could not be read"),
        ("choose.read_notebook", 0, "q_hand_transformer.ipynb could not be read"),
        ("choose._readings", 0, "Your files could not be compared"),
        ("choose.files_of", 100, "Your upload could not be read"),
        ("check.loop_message", 5, "The grader itself failed in this check"),
    ],
)
def test_an_exception_in_one_part_costs_that_part_and_is_told_to_staff(
    part: str, lost: int, told: str, tmp_path: Path
) -> None:
    ran = run(SUBMISSIONS / "perfect", cwd=tmp_path, program=("-c", BROKEN_PART.format(part=part)))
    results = read(tmp_path / "results.json")
    assert (ran.returncode, results["score"]) == (0, 100 - lost)
    assert "LookupError" in ran.stderr
    shown = " ".join([results["output"], *(test.get("output", "") for test in results["tests"])])
    assert told in shown
    assert "only staff" not in shown


def test_results_that_cannot_be_written_are_the_grader_s_fault(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    ran = run(SUBMISSIONS / "perfect", cwd=tmp_path)
    assert ran.returncode == 1
    assert "results.json" in ran.stderr
