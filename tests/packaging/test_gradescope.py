"""The bundle in the container's layout: built, set up and run as Gradescope does it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.bundle import pack

ROOT = Path(__file__).parents[2]
UPLOAD = ROOT / "tests" / "submissions" / "perfect"
HOME = Path("/autograder")


def can_mount() -> bool:
    return (
        os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    )


class Container:
    """A folder that the commands run in it, and no one else, see as /autograder.

    Without the right to mount, AUTOGRADER_HOME stands in for it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts = can_mount()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": "/root"}
        environ |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        if self.mounts:
            script = f"mount --bind {self.folder} {HOME} && cd {HOME} && {command}"
            arguments = ["unshare", "-m", "sh", "-c", script]
        else:
            environ["AUTOGRADER_HOME"] = str(self.folder)
            arguments = ["sh", "-c", f"cd {self.folder} && {command}"]
        return subprocess.run(
            arguments, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
        )


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """The image after Gradescope has unpacked the bundle, and a submission in it."""
    folder = tmp_path / "autograder"
    pack(tmp_path / "bundle.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        bundle.extractall(folder / "source")
    for name in ("results", "submission"):
        (folder / name).mkdir()
    shutil.copy(folder / "source" / "run_autograder", folder)
    (folder / "run_autograder").chmod(0o755)
    container = Container(folder)
    mount_point_is_ours = container.mounts and not HOME.exists()
    if mount_point_is_ours:
        HOME.mkdir()
    yield container
    shutil.rmtree(folder / "source" / ".venv", ignore_errors=True)  # pytest keeps folders, this one is 1 GB
    if mount_point_is_ours:
        HOME.rmdir()


@pytest.mark.slow
def test_the_bundle_sets_itself_up_and_grades_a_perfect_upload(container: Container) -> None:
    shutil.copytree(UPLOAD, container.folder / "submission", dirs_exist_ok=True)

    image = container.run("bash source/setup.sh")
    assert image.returncode == 0, image.stdout + image.stderr

    grading = container.run("./run_autograder")
    assert grading.returncode == 0, grading.stdout + grading.stderr
    assert "environment is made first" not in grading.stderr
    assert [path.name for path in (container.folder / "results").iterdir()] == ["results.json"]
    results = json.loads((container.folder / "results" / "results.json").read_text(encoding="utf-8"))
    assert sum(test.get("max_score", 0) for test in results["tests"]) == 100
    assert [test for test in results["tests"] if test.get("score") != test.get("max_score")] == []
