from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.bundle import main, pack, write_docker, write_zip
from autograder.errors import GraderFault, UsageError
from autograder.version import version_line

ROOT = Path(__file__).parents[2]
PERFECT = "tests/submissions/perfect"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small checkout, whole as far as the bundle looks."""
    root = tmp_path / "checkout"
    for folder in ("autograder/templates", "reference", PERFECT, ".venv"):
        (root / folder).mkdir(parents=True)
    for name in ("run_autograder", "setup.sh", "LICENSE", "requirements.txt", "autograder/__main__.py"):
        (root / name).write_text(f"# {name}\n")
    (root / "reference" / "__init__.py").touch()
    return root


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """All that the bundle takes from a checkout, to be changed."""
    root = tmp_path / "checkout"
    for folder in ("autograder", "reference", PERFECT):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run_autograder", "setup.sh", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / name, root)
    return root


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another-machine"
    shutil.copytree(sources, copy)
    for path in copy.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1e9, 1e9))
    pack(tmp_path / "one.zip", sources)
    pack(tmp_path / "two.zip", copy)
    assert checksum(tmp_path / "one.zip") == checksum(tmp_path / "two.zip")


def test_the_scripts_can_be_run_and_nothing_else_can(tmp_path: Path) -> None:
    pack(tmp_path / "bundle.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        modes = {member.filename: member.external_attr >> 16 & 0o777 for member in bundle.infolist()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {"run_autograder", "setup.sh"}
    assert {mode for name, mode in modes.items() if "/" in name} == {0o644}


def test_it_holds_what_grading_needs_and_nothing_else(tmp_path: Path) -> None:
    names = pack(tmp_path / "bundle.zip", ROOT)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"LICENSE", "autograder", "reference", "requirements.txt", "run_autograder", "setup.sh"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert not [name for name in names if name.startswith("autograder/regrade")]


def test_files_that_are_no_python_are_packed_as_they_are(sources: Path, tmp_path: Path) -> None:
    (sources / "autograder" / "templates" / "style.css").write_bytes(b"p { margin: 0 }\r\n")
    names = pack(tmp_path / "bundle.zip", sources)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert bundle.namelist() == names
        assert bundle.read("autograder/templates/style.css") == b"p { margin: 0 }\r\n"


def test_it_is_smaller_than_300_kilobytes(tmp_path: Path) -> None:
    pack(tmp_path / "bundle.zip", ROOT)
    assert (tmp_path / "bundle.zip").stat().st_size < 300_000


@pytest.mark.parametrize(
    "rubbish", ["__pycache__/grade.pyc", "__main__.py~", ".grade.py.swp", "grade.py.orig"]
)
def test_caches_and_backups_stay_out(rubbish: str, sources: Path, tmp_path: Path) -> None:
    expected = pack(tmp_path / "bundle.zip", sources)
    (sources / "autograder" / rubbish).parent.mkdir(exist_ok=True)
    (sources / "autograder" / rubbish).touch()
    assert pack(tmp_path / "bundle.zip", sources) == expected


def test_an_older_bundle_is_replaced_once_a_perfect_upload_has_been_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "autograder.zip"
    target.write_text("older")
    assert main([]) == 0
    assert zipfile.is_zipfile(target)
    assert list(tmp_path.iterdir()) == [target]
    told = capsys.readouterr().out
    assert re.fullmatch(
        rf"autograder\.zip: \d+ files, [\d,]+ bytes, 100 points in total, {re.escape(version_line())}\n", told
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("checks/hand_designed.py", '@visibility("visible")', '@visibility("visable")', "visable"),
        ("checks/submission_log.py", "log is None:", "log is not None:", "1.1: 0 of 4, There is no sub"),
        ("checks/submission_log.py", "import numpy as np", "import numby as np", "No module named 'numby'"),
    ],
    ids=["a misspelt visibility", "a check that is wrong", "a check that cannot be imported"],
)
def test_sources_that_do_not_grade_a_perfect_upload_are_refused_with_the_reason(
    file: str, old: str, new: str, reason: str, checkout: Path, tmp_path: Path
) -> None:
    replace(checkout / "autograder" / file, old, new)
    target = tmp_path / "autograder.zip"
    target.write_text("older")
    with pytest.raises(GraderFault, match="nothing was written") as caught:
        write_zip(target, checkout)
    assert reason in str(caught.value)
    assert target.read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} == {"autograder.zip", "checkout"}


def test_the_bundle_grades_with_the_version_and_fingerprint_of_its_checkout(tmp_path: Path) -> None:
    pack(tmp_path / "bundle.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        bundle.extractall(tmp_path / "source")
    told = subprocess.run(
        [sys.executable, "-m", "autograder", "--version"],
        cwd=tmp_path / "source", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told == f"{version_line()}\n"


@pytest.mark.parametrize("command", ["regrade", "bundle"])
def test_what_staff_alone_call_is_told_to_be_in_the_checkout(command: str, tmp_path: Path) -> None:
    pack(tmp_path / "bundle.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        bundle.extractall(tmp_path / "source")
    ran = subprocess.run(
        [sys.executable, "-m", "autograder", command], cwd=tmp_path / "source", capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert f"{command} is not in the bundle" in ran.stderr


def test_for_manual_docker_there_are_a_dockerfile_and_the_tree(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    names, points = write_docker(folder, ROOT)
    assert points == 100
    lines = (folder / "Dockerfile").read_text().splitlines()
    assert "FROM gradescope/autograder-base:ubuntu-22.04" in lines
    assert "COPY source /autograder/source" in lines
    source = folder / "source"
    assert (
        sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()) == names
    )
    assert os.access(source / "setup.sh", os.X_OK)
    with pytest.raises(UsageError, match="holds something already"):
        write_docker(folder, ROOT)


@pytest.mark.parametrize(("name", "reason"), [("", "is a folder: name"), ("b.tar", "no zip: name .*b.zip")])
def test_another_destination_than_a_zip_is_wrong_usage(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        main(["-o", str(tmp_path / name)])


def test_a_destination_in_no_folder_is_wrong_usage(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        write_zip(tmp_path / "missing" / "bundle.zip", sources)


@pytest.mark.parametrize("part", ["setup.sh", "autograder", PERFECT])
def test_a_checkout_that_is_not_whole_is_named(part: str, sources: Path, tmp_path: Path) -> None:
    (sources / part).rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=f"it has no .*{part}"):
        write_zip(tmp_path / "bundle.zip", sources)
    assert not (tmp_path / "bundle.zip").exists()
