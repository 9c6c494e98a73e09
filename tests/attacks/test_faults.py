"""Whatever is killed, filled or taken away: results.json is whole and old, or whole and new."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.results.schema import validate

from .base import CODE, LOG, code, filled, honest, log

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
START = [
    sys.executable,
    "-I",
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    "from autograder.__main__ import main\nsys.exit(main(sys.argv[1:]))",
]
OLD = '{"score": 1.0, "output": "the old one", "tests": []}'
SECONDS = 60.0


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return filled(tmp_path / "upload", honest())


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results" / "results.json"
    path.parent.mkdir()
    path.write_text(OLD)
    return path


def started(upload: Path, results: Path, *before: str) -> subprocess.Popen[bytes]:
    command = [*before, *START, str(upload), "--results", str(results)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


def is_whole(results: Path) -> bool:
    """Whether what stands there is the old one or a valid new one, and nothing lies beside it."""
    text = results.read_text()
    if text != OLD:
        validate(json.loads(text))
    return True


def below(pid: int) -> list[int]:
    """The processes that descend from pid, found by their parents."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            waiting += [int(child) for child in task.read_text().split()]
        found.append(parent)
    return found[1:]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(true: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]  # a function without arguments
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("delay", [0.05, 0.3, 0.8, 1.2])
def test_a_grader_that_is_killed_leaves_a_whole_file_and_no_process(
    upload: Path, results: Path, delay: float
) -> None:
    grader = started(upload, results)
    time.sleep(delay)
    children = below(grader.pid)
    grader.kill()
    grader.wait(SECONDS)
    assert is_whole(results)
    assert until(lambda: all(is_gone(pid) for pid in children))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_fork_server_that_is_killed_is_a_fault_that_says_so_or_no_harm(
    upload: Path, results: Path, delay: float
) -> None:
    slow = filled(upload, {LOG: log(), CODE: code(after="import time\ntime.sleep(3)")})
    grader = started(slow, results)
    assert until(lambda: below(grader.pid))
    time.sleep(delay)
    for pid in below(grader.pid)[:1]:
        os.kill(pid, signal.SIGKILL)
    assert grader.wait(SECONDS) in (0, 1)
    assert is_whole(results)
    new = json.loads(results.read_text())
    assert new["tests"] or "grader itself failed" in new["output"]


def test_a_student_process_that_is_killed_costs_nothing_but_its_answer(upload: Path, results: Path) -> None:
    slow = filled(upload, {LOG: log(), CODE: code(after="import os\nos.kill(os.getpid(), 9)")})
    assert started(slow, results).wait(SECONDS) == 0
    assert len(json.loads(results.read_text())["tests"]) > 10


def test_a_full_disk_leaves_the_old_file(upload: Path, results: Path) -> None:
    limit = ["/bin/sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@"', "sh"]
    assert started(upload, results, *limit).wait(SECONDS) == 1
    assert results.read_text() == OLD
    assert [path.name for path in results.parent.iterdir()] == ["results.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_its_write_bit_leaves_the_old_file(upload: Path, results: Path) -> None:
    results.parent.chmod(0o500)
    assert started(upload, results).wait(SECONDS) == 1
    results.parent.chmod(0o700)
    assert results.read_text() == OLD


def test_a_folder_that_is_not_there_is_a_fault_of_the_grader(upload: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert started(upload, tmp_path / "file" / "results.json").wait(SECONDS) == 1


def test_an_upload_with_modules_of_its_own_is_graded_from_within_its_folder(
    upload: Path, results: Path
) -> None:
    for name in ("json", "numpy", "torch", "autograder", "sitecustomize"):
        (upload / f"{name}.py").write_text("import os\nos._exit(3)\n")
    done = subprocess.run(
        [*START, str(upload), "--results", str(results)],
        cwd=upload,
        env={"PYTHONPATH": str(upload), "HOME": str(upload)},
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0
    assert sum(test["score"] for test in json.loads(results.read_text())["tests"]) == 100
