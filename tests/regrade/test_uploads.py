"""An upload that was in a zip or has travelled is graded as it is on disk, however large it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.errors import UploadError
from autograder.regrade import uploads
from autograder.regrade.export import read_export
from autograder.regrade.uploads import digest_of, pack, unpack
from autograder.settings import MAX_FILE_BYTES, MIB
from autograder.submission.choose import collect
from tests.regrade.exports import path_of, write_plain, zipped


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
    (entry,) = read_export(path).entries
    on_disk = export / "submission_1"
    expected = collect(on_disk)
    assert "larger than 64 MiB" in str(expected)
    assert collect(path_of(entry, path, tmp_path / "gathered")) == expected
    assert collect(unpack(pack(on_disk), tmp_path / "travelled", single=False)) == expected


def test_what_the_grader_does_not_open_is_not_carried(export: Path) -> None:
    packed = {file.name: file for file in pack(export / "submission_1")}
    assert (packed["model.pt"].data, packed["model.pt"].size) == (b"", 3 * MIB)
    assert len(packed["big.json"].data) == 5 * MIB
    assert len(packed["figure.png"].data) == 10


def test_every_form_of_an_upload_has_the_same_digest(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "export.zip")
    (entry,) = read_export(path).entries
    on_disk = export / "submission_1"
    gathered = path_of(entry, path, tmp_path / "gathered")
    travelled = unpack(pack(on_disk), tmp_path / "travelled", single=False)
    assert digest_of(on_disk) == digest_of(gathered)
    assert digest_of(travelled)


@pytest.mark.parametrize("name", ["submission_log.json", "model.pt", "figure.png"])
def test_a_change_of_a_file_is_a_change_of_the_digest(export: Path, name: str) -> None:
    upload = export / "submission_1"
    before = digest_of(upload)
    with (export / "submission_1" / name).open("ab") as stream:
        stream.write(b"1")
    assert digest_of(upload) != before


def test_more_than_can_be_carried_is_told(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_MAX_BYTES", 4 * MIB)
    with pytest.raises(UploadError, match="grade it by itself"):
        pack(export / "submission_1")
    assert digest_of(export / "submission_1")
