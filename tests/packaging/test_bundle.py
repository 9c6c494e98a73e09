from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from autograder.bundle import build
from autograder.errors import UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A small checkout, whole as far as the bundle looks."""
    root = tmp_path / "checkout"
    for folder in ("autograder/checks", "reference", "tests", ".venv"):
        (root / folder).mkdir(parents=True)
    for name in ("run_autograder", "setup.sh", "LICENSE", "requirements.txt", "autograder/grade.py"):
        (root / name).write_text(f"# {name}\n")
    return root


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another-machine"
    shutil.copytree(sources, copy)
    for path in copy.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1e9, 1e9))
    build(tmp_path / "one.zip", sources)
    build(tmp_path / "two.zip", copy)
    assert checksum(tmp_path / "one.zip") == checksum(tmp_path / "two.zip")


def test_the_scripts_stand_at_the_root_and_can_be_run(tmp_path: Path) -> None:
    build(tmp_path / "bundle.zip", ROOT)
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        modes = {member.filename: member.external_attr >> 16 & 0o777 for member in bundle.infolist()}
    assert modes == {
        "LICENSE": 0o644,
        "requirements.txt": 0o644,
        "run_autograder": 0o755,
        "setup.sh": 0o755,
        "source.tar": 0o644,
    }


def test_the_archive_holds_the_packages_as_they_are(sources: Path, tmp_path: Path) -> None:
    names = build(tmp_path / "bundle.zip", sources)
    with (
        zipfile.ZipFile(tmp_path / "bundle.zip") as bundle,
        bundle.open("source.tar") as file,
        tarfile.open(fileobj=file) as archive,
    ):
        assert archive.getnames() == [name for name in names if "/" in name] == ["autograder/grade.py"]
        grade = archive.extractfile("autograder/grade.py")
        assert grade is not None
        assert grade.read() == (sources / "autograder" / "grade.py").read_bytes()


def test_it_holds_what_grading_needs_and_nothing_else(tmp_path: Path) -> None:
    names = build(tmp_path / "bundle.zip", ROOT)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"LICENSE", "autograder", "reference", "requirements.txt", "run_autograder", "setup.sh"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert not [name for name in names if name.startswith("autograder/regrade")]


def test_it_is_smaller_than_200_kilobytes(tmp_path: Path) -> None:
    build(tmp_path / "bundle.zip", ROOT)
    assert (tmp_path / "bundle.zip").stat().st_size < 200_000


@pytest.mark.parametrize("rubbish", ["__pycache__/grade.pyc", "grade.py~", ".grade.py.swp", "grade.py.orig"])
def test_caches_and_backups_stay_out(rubbish: str, sources: Path, tmp_path: Path) -> None:
    expected = build(tmp_path / "bundle.zip", sources)
    (sources / "autograder" / rubbish).parent.mkdir(exist_ok=True)
    (sources / "autograder" / rubbish).touch()
    assert build(tmp_path / "bundle.zip", sources) == expected


def test_an_older_bundle_is_replaced_and_nothing_is_left_beside_it(sources: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "bundle.zip"
    target.parent.mkdir()
    target.write_text("older")
    build(target, sources)
    assert zipfile.is_zipfile(target)
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_as_destination_is_wrong_usage(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder: name the zip"):
        build(tmp_path, sources)


def test_a_destination_in_no_folder_is_wrong_usage(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        build(tmp_path / "missing" / "bundle.zip", sources)


@pytest.mark.parametrize("part", ["setup.sh", "autograder"])
def test_a_checkout_that_is_not_whole_is_named(part: str, sources: Path, tmp_path: Path) -> None:
    (sources / part).rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=f"it has no .*{part}"):
        build(tmp_path / "bundle.zip", sources)
    assert not (tmp_path / "bundle.zip").exists()
