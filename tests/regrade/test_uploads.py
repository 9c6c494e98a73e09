"""An upload that was in a zip or has travelled is graded as it is on disk, however large it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.errors import UploadError
from autograder.regrade import uploads
from autograder.regrade.export import read_export
from autograder.regrade.uploads import digest_of
from autograder.settings import MAX_FILE_BYTES, MIB
from autograder.submission.choose import collect
from tests.regrade.exports import files_of, path_of, write_plain, zipped


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """One submission with a checkpoint, a log and a notebook that are larger than the grader reads."""
    folder = write_plain(tmp_path / "export", {"1": {"submission_log.json": "{}"}})
    sizes = {"model.pt": 3 * MIB, "big.json": 5 * MIB, "big.ipynb": MAX_FILE_BYTES + 7, "figure.png": 10}
    for name, size in sizes.items():
        with (folder / "submission_1" / name).open("wb") as stream:
            stream.truncate(size)
    return folder


def test_files_too_large_to_read_are_told_as_they_are_on_disk(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "export.zip")
    expected = collect(export / "submission_1")
    assert "larger than 64 MiB" in str(expected)
    for one in (export, path):
        (entry,) = read_export(one).entries
        assert collect(path_of(entry, one, tmp_path)) == expected


def test_what_the_grader_does_not_open_is_not_carried(export: Path) -> None:
    packed = {file.name: file for file in files_of(*read_export(export).entries, export)}
    assert (packed["model.pt"].data, packed["model.pt"].size) == (b"", 3 * MIB)
    assert len(packed["big.json"].data) == 5 * MIB
    assert len(packed["figure.png"].data) == 10


@pytest.mark.parametrize("name", ["submission_log.json", "model.pt", "figure.png"])
def test_a_change_of_a_file_is_a_change_of_the_digest(export: Path, name: str) -> None:
    (entry,) = read_export(export).entries
    before = digest_of(files_of(entry, export))
    assert digest_of(files_of(entry, export)) == before
    with (export / "submission_1" / name).open("ab") as stream:
        stream.write(b"1")
    assert digest_of(files_of(entry, export)) != before


def test_of_more_than_can_be_carried_the_largest_come_without_their_bytes(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MAX_BYTES", 4 * MIB)
    packed = {file.name: file for file in files_of(*read_export(export).entries, export)}
    assert (packed["big.json"].data, packed["big.json"].size) == (b"", 5 * MIB)
    assert packed["submission_log.json"].data == b"{}"


def test_more_files_than_can_be_carried_are_told(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_ARCHIVE_ENTRIES", 3)
    with pytest.raises(UploadError, match="more than 3 files: grade it by itself"):
        files_of(*read_export(export).entries, export)
