from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.regrade.cli import _chosen
from autograder.regrade.export import read_export
from tests.regrade.exports import METADATA, write_plain
from tests.regrade.fakes import broken_grader, main, regrade

ROOT = Path(__file__).resolve().parents[2]
IDS = [str(100 + i) for i in range(12)]


pytestmark = pytest.mark.usefixtures("one_grader")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    counts = str(tmp_path / "counts")
    return write_plain(tmp_path / "export", {name: {"log": name, "counts": counts} for name in IDS})


def contents(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def times_graded(tmp_path: Path) -> int:
    return len((tmp_path / "counts").read_text()) if (tmp_path / "counts").exists() else 0


def start(export: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.regrade", str(export), "-o", str(out), "--jobs", "2"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell that runs these tests in the background has SIGINT ignored, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_one_command_writes_results_grades_and_report(export: Path, tmp_path: Path) -> None:
    assert regrade(export, tmp_path / "OUT") == 0
    assert {p.name for p in (tmp_path / "OUT" / "results").iterdir()} == {f"{name}.json" for name in IDS}
    assert (tmp_path / "OUT" / "grades.csv").read_text().count("\n") >= len(IDS) + 1
    assert "Regrade of 12 submissions" in (tmp_path / "OUT" / "report.html").read_text()


def test_the_second_run_grades_nothing_and_changes_nothing(export: Path, tmp_path: Path) -> None:
    regrade(export, tmp_path / "OUT")
    before = contents(tmp_path / "OUT")
    assert regrade(export, tmp_path / "OUT") == 0
    assert times_graded(tmp_path) == len(IDS)
    assert contents(tmp_path / "OUT") == before


def test_only_the_upload_that_changed_is_graded_again(export: Path, tmp_path: Path) -> None:
    regrade(export, tmp_path / "OUT")
    (export / "submission_103" / "log").write_text("another")
    regrade(export, tmp_path / "OUT")
    assert times_graded(tmp_path) == len(IDS) + 1


def test_a_fault_is_told_is_no_zero_and_is_tried_again(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    (export / "submission_103" / "raises").touch()
    assert regrade(export, tmp_path / "OUT") == 1
    assert "grader fault: 103: KeyError" in capsys.readouterr().out
    assert not (tmp_path / "OUT" / "results" / "103.json").exists()
    (export / "submission_103" / "raises").unlink()
    assert regrade(export, tmp_path / "OUT") == 0


def test_a_damaged_entry_is_skipped_and_told(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    with (export / METADATA).open("a", encoding="utf-8") as stream:
        stream.write("submission_999:\n  :score: 3.0\n")
    assert regrade(export, tmp_path / "OUT") == 0
    assert "skipped: 999" in capsys.readouterr().out
    assert '"submission_999","","3","","","","","","skipped' in (tmp_path / "OUT" / "grades.csv").read_text()


def test_names_stand_in_grades_and_report_alone(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    regrade(export, tmp_path / "OUT", "--format", "json")
    holders = {name for name, data in contents(tmp_path / "OUT").items() if "Øster".encode() in data}
    assert holders == {"grades.csv", "report.html", *(f"pages/{name}.html" for name in IDS)}
    told = capsys.readouterr()
    assert "Øster" not in told.out + told.err
    assert [one["id"] for one in json.loads(told.out)["submissions"]] == IDS


def test_without_names_ids_alone_are_left(export: Path, tmp_path: Path) -> None:
    regrade(export, tmp_path / "OUT", "--anonymous")
    told = b"".join(contents(tmp_path / "OUT").values())
    assert "Øster".encode() not in told
    assert b"uni.example" not in told
    assert b"103" in told


def test_only_grades_and_shows_those_that_are_named(export: Path, tmp_path: Path) -> None:
    assert regrade(export, tmp_path / "OUT", "--only", "103", "105") == 0
    assert times_graded(tmp_path) == 2
    assert "Regrade of 2 submissions" in (tmp_path / "OUT" / "report.partial.html").read_text()


def test_changed_only_shows_those_whose_score_moved(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    regrade(export, tmp_path / "OUT", "--changed-only", "--format", "json")
    shown = json.loads(capsys.readouterr().out)["submissions"]
    assert 0 < len(shown) <= len(IDS)
    assert all(one["change"] for one in shown)


def test_wrong_usage_is_told_and_exits_with_2(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    assert regrade(export, tmp_path / "OUT", "--only", "nobody") == 2
    assert regrade(tmp_path / "nothing", tmp_path / "OUT") == 2
    assert regrade(export, export / "OUT") == 2
    told = capsys.readouterr().err
    assert "nobody" in told
    assert "does not exist" in told
    assert "lies inside" in told


def test_a_grader_that_cannot_start_exits_with_1(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    assert main([str(export), "-o", str(tmp_path / "OUT")], broken_grader) == 1
    assert "there is no torch" in capsys.readouterr().err


def test_an_interrupt_stops_cleanly_and_says_how_to_go_on(export: Path, tmp_path: Path) -> None:
    for name in IDS:
        (export / f"submission_{name}" / "sleeps").write_text("0.4")
    process = start(export, tmp_path / "OUT")
    while not list((tmp_path / "OUT" / "results").glob("*.json")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "go on with the same command" in told
    assert "Traceback" not in told
    kept = len(list((tmp_path / "OUT" / "results").glob("*.json")))
    assert 0 < kept < len(IDS)


@pytest.mark.slow
def test_killed_at_ten_random_moments_the_end_is_that_of_an_undisturbed_run(
    export: Path, tmp_path: Path
) -> None:
    dice = random.Random(5)
    for name in IDS:
        (export / f"submission_{name}" / "sleeps").write_text("0.3")
    regrade(export, tmp_path / "undisturbed")
    (tmp_path / "counts").unlink()
    for _ in range(10):
        process = start(export, tmp_path / "OUT")
        time.sleep(dice.uniform(0.2, 1.8))
        process.kill()
        process.communicate()
    assert regrade(export, tmp_path / "OUT") == 0
    assert contents(tmp_path / "OUT") == contents(tmp_path / "undisturbed")
    # A kill costs at most what the two workers had in hand.
    assert times_graded(tmp_path) <= len(IDS) + 20


@pytest.mark.parametrize("others", ["sleeps", "hangs"])
def test_a_worker_whose_parent_was_killed_ends(export: Path, tmp_path: Path, others: str) -> None:
    for name in IDS[2:]:
        (export / f"submission_{name}" / others).write_text("0.5")
    process = start(export, tmp_path / "OUT")
    while not list((tmp_path / "OUT" / "results").glob("*.json")):
        time.sleep(0.05)
    workers = [int(pid) for pid in _children(process.pid)]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers
    assert not any(_alive(pid) for pid in workers)


def _children(pid: int) -> list[str]:
    by_thread = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for children in by_thread for child in children.read_text().split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_student_is_found_by_name_number_email_or_folder(export: Path, tmp_path: Path) -> None:
    known = read_export(export).entries[3]
    one = known.submitters[0]
    for word in (
        known.id,
        f"submission_{known.id}",
        one.sid,
        one.email,
        one.name,
        one.name.replace("ø", "Ø"),
    ):
        assert [entry.id for entry in _chosen(read_export(export).entries, [word])] == [known.id]
    with pytest.raises(UsageError, match="may be any of 12"):
        _chosen(read_export(export).entries, ["zoe"])


def test_two_graders_are_compared_before_an_upload(export: Path, tmp_path: Path) -> None:
    regrade(export, tmp_path / "one")
    assert regrade(export, tmp_path / "two", "--against", str(tmp_path / "one")) == 0
    assert "scores changed: 0 up, 0 down" in (tmp_path / "two" / "report.html").read_text("utf-8")
    assert regrade(export, tmp_path / "two", "--against", str(tmp_path)) == 2


def test_how_far_it_is_stands_on_standard_error(export: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]  # pytest's fixture
    regrade(export, tmp_path / "OUT")
    told = capsys.readouterr()
    assert "Regrading: 100%" in told.err
    assert "Regrading" not in told.out
