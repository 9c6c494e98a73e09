"""run_autograder, in front of an autograder that reports what it was started with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from autograder.results.schema import RESULTS_SCHEMA

ROOT = Path(__file__).parents[2]
MAIN = """
import json, os, sys
def main(arguments):
    print(json.dumps([arguments, os.getcwd(), json.__file__, os.path.dirname(os.path.dirname(__file__))]))
    return 7
"""
WORKING_SETUP = 'echo "making it"; cp "${0%/*}/requirements.txt" "${0%/*}/.venv/.ready"\n'


def make_source(root: Path) -> Path:
    """A source whose environment is ready: this test's own Python."""
    (root / "autograder").mkdir(parents=True)
    (root / "autograder" / "__init__.py").touch()
    (root / "autograder" / "__main__.py").write_text(MAIN)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name in ("requirements.txt", ".venv/.ready"):
        (root / name).write_text("numpy==1\n")
    (root / "setup.sh").write_text("echo the network is down; exit 3\n")
    shutil.copy(ROOT / "run_autograder", root)
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "a source")


def run(command: str | Path, *arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def started_with(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 7, result.stderr
    return json.loads(result.stdout)


def test_arguments_working_folder_and_status_pass_through(source: Path, tmp_path: Path) -> None:
    result = run(source / "run_autograder", "my upload", "--results", "", cwd=tmp_path)
    assert started_with(result)[:2] == [["my upload", "--results", ""], str(tmp_path)]
    assert result.stderr == ""


@pytest.mark.parametrize("command", ["./run_autograder", "../a source/run_autograder"])
def test_a_relative_command_finds_its_source(command: str, source: Path) -> None:
    assert Path(started_with(run(command, cwd=source))[3]).resolve() == source


def test_bash_with_the_bare_name_finds_its_source(source: Path) -> None:
    assert Path(started_with(run("bash", "run_autograder", cwd=source))[3]).resolve() == source


def test_symbolic_links_are_followed(source: Path, tmp_path: Path) -> None:
    (source / "link").symlink_to("run_autograder")
    (tmp_path / "grade").symlink_to(source / "link")
    assert started_with(run(tmp_path / "grade", cwd=tmp_path))[3] == str(source)


def test_a_copy_beside_the_folder_source_finds_it(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    shutil.copy(source / "run_autograder", tmp_path)
    assert started_with(run(tmp_path / "run_autograder", cwd=tmp_path))[3] == str(source)


def test_a_module_in_the_working_folder_is_never_imported(source: Path, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the upload ran in the grader')")
    result = run(source / "run_autograder", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert Path(started_with(result)[2]).parent != tmp_path


def test_changed_requirements_make_the_environment_again(source: Path, tmp_path: Path) -> None:
    (source / "requirements.txt").write_text("numpy==2\n")
    (source / "setup.sh").write_text(WORKING_SETUP)
    first, second = (run(source / "run_autograder", "x", cwd=tmp_path) for _ in range(2))
    assert started_with(first)[0] == started_with(second)[0] == ["x"]
    assert "making it" in first.stderr
    assert second.stderr == ""


def test_an_unfinished_environment_is_not_used(source: Path, tmp_path: Path) -> None:
    (source / ".venv" / ".ready").unlink()
    result = run(source / "run_autograder", cwd=tmp_path)
    assert result.returncode == 1
    assert "the network is down" in result.stderr
    assert result.stdout == ""


def test_on_gradescope_a_failed_environment_is_told_as_the_graders_fault(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source")
    (source / ".venv" / ".ready").unlink()
    (tmp_path / "results").mkdir()
    shutil.copy(source / "run_autograder", tmp_path)
    assert run(tmp_path / "run_autograder", cwd=tmp_path).returncode == 1
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    jsonschema.validate(results, RESULTS_SCHEMA)
    assert results["score"] == 0
    assert "grader itself failed" in results["output"]
    assert "rerun" in results["output"]
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["results.json"]
