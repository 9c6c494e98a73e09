from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autograder.errors import ResultsFault
from autograder.results.schema import write

ROOT = Path(__file__).parents[2]


def results(text: str = "", size: int = 1) -> dict[str, Any]:
    return {"score": 0, "tests": [{"name": "it", "output": text * size} for _ in range(10)]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def child(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE)


def test_the_file_holds_the_results_for_its_owner_alone(tmp_path: Path) -> None:
    write(results("é"), tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == results("é")
    assert stat.S_IMODE((tmp_path / "results.json").stat().st_mode) == 0o600
    assert names(tmp_path) == ["results.json"]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    write(results(), tmp_path / "a" / "b" / "results.json")
    assert (tmp_path / "a" / "b" / "results.json").is_file()


def test_a_path_without_a_folder_is_in_the_current_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write(results(), Path("results.json"))
    assert (tmp_path / "results.json").is_file()


def test_results_that_are_not_valid_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(results("old"), path)
    with pytest.raises(ResultsFault):
        write({**results("new"), "score": float("nan")}, path)
    assert json.loads(path.read_text()) == results("old")


def test_a_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("untouched")
    path = tmp_path / "results.json"
    path.symlink_to(other)
    write(results(), path)
    assert not path.is_symlink()
    assert other.read_text() == "untouched"


def test_a_fifo_is_replaced_and_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    os.mkfifo(path)
    write(results(), path)
    assert path.is_file()


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("untouched")
    (tmp_path / f".results.json.{os.getpid()}.tmp").symlink_to(other)
    write(results(), tmp_path / "results.json")
    assert other.read_text() == "untouched"
    assert names(tmp_path) == ["other", "results.json"]


def test_a_folder_in_the_place_of_the_file_is_a_fault_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.mkdir()
    with pytest.raises(ResultsFault, match=r"results\.json: expected a file .*--results"):
        write(results(), path)
    assert names(tmp_path) == ["results.json"]


def test_a_file_in_the_place_of_the_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(ResultsFault, match="could not be written to"):
        write(results(), tmp_path / "folder" / "results.json")


NO_PERMISSION = """
import os, sys
from pathlib import Path
from autograder.errors import ResultsFault
from autograder.results.schema import write
from tests.results.test_write import results
write(results("old"), Path(sys.argv[1]))
Path(sys.argv[1]).parent.chmod(0o500)
if os.geteuid() == 0:  # root may write anywhere
    os.setgroups([])
    os.setuid(65534)
try:
    write(results("new"), Path(sys.argv[1]))
except ResultsFault as fault:
    print("fault:", fault)
"""


def test_a_folder_without_permission_is_a_fault_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.json"
    with child(NO_PERMISSION, str(path)) as process:
        said, _ = process.communicate(timeout=60)
    path.parent.chmod(0o700)
    assert b"fault: The results could not be written" in said
    assert b"Permission denied" in said
    assert json.loads(path.read_text()) == results("old")


FULL_DISK = """
import resource, sys
from pathlib import Path
from autograder.errors import ResultsFault
from autograder.results.schema import write
from tests.results.test_write import results
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write(results("new", 10_000), Path(sys.argv[1]))
except ResultsFault as fault:
    print("fault:", fault)
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(results("old"), path)
    with child(FULL_DISK, str(path)) as process:
        said, _ = process.communicate(timeout=60)
    assert b"fault: The results could not be written" in said
    assert json.loads(path.read_text()) == results("old")
    assert names(tmp_path) == ["results.json"]


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from autograder.results.schema import write
from tests.results.test_write import results
for turn in range(100_000):
    write(results("ab"[turn % 2], 50_000), Path(sys.argv[1]))
    print("x" if turn == 0 else "", end="", flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    whole = [results("a", 50_000), results("b", 50_000)]
    draw = random.Random(7)
    for _ in range(8):
        with child(WRITE_FOR_EVER, str(path)) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"x"
            time.sleep(draw.uniform(0, 0.05))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert json.loads(path.read_text()) in whole
