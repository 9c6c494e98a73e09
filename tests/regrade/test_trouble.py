"""A disk that is full, faults among what is shown, tables that are not of the whole class."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.regrade.exports import write_plain
from tests.regrade.fakes import regrade

ROOT = Path(__file__).resolve().parents[2]
IDS = [str(100 + i) for i in range(6)]


pytestmark = pytest.mark.usefixtures("one_grader")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_plain(tmp_path / "export", {name: {"log": name} for name in IDS})


@pytest.mark.parametrize("limit", [100, 5000], ids=["results do not fit", "the report does not fit"])
def test_a_disk_that_takes_no_more_is_told_and_the_next_run_goes_on(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    out = tmp_path / "OUT"
    process = subprocess.run(
        [sys.executable, "-m", "tests.regrade", str(export), "-o", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "go on with the same command" in process.stderr
    assert not list(out.rglob("*.new"))
    regrade(export, out)
    graded = "6" if limit == 100 else "0"
    assert f"6 submissions, {graded} graded now" in capsys.readouterr().out


def test_a_fault_is_shown_whatever_else_is_asked_for(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "submission_103" / "raises").touch()
    assert regrade(export, tmp_path / "OUT", "--changed-only", "--format", "json") == 1
    shown = json.loads(capsys.readouterr().out)["submissions"]
    assert next(one["status"] for one in shown if one["id"] == "103") == "grader fault"
    assert "103" in (tmp_path / "OUT" / "grades.partial.csv").read_text("utf-8")


@pytest.mark.parametrize("asked", [("--only", "101"), ("--changed-only",)])
def test_tables_that_are_not_of_the_whole_class_say_so(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...]
) -> None:
    regrade(export, tmp_path / "OUT")
    whole = {name: (tmp_path / "OUT" / name).read_bytes() for name in ("report.html", "grades.csv")}
    regrade(export, tmp_path / "OUT", *asked)
    told = f"of 6 submissions, as {asked[0]} asked for"
    assert told in capsys.readouterr().out
    assert told in (tmp_path / "OUT" / "report.partial.html").read_text("utf-8")
    assert {name: (tmp_path / "OUT" / name).read_bytes() for name in whole} == whole


def test_a_time_out_says_what_met_the_limit(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "submission_103" / "slow").touch()
    assert regrade(export, tmp_path / "OUT") == 0
    assert "time-out: 103: its code met a time limit" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["0", "-1", "x", "1.5", "²"])
def test_a_number_of_workers_that_is_none_is_wrong_usage(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        regrade(export, tmp_path / "OUT", "--jobs", jobs)
    assert "expected a whole number, at least 1" in capsys.readouterr().err
