"""Zips that are damaged, odd or made to deceive: each costs its own submissions, and nothing gets out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.errors import UploadError, UsageError
from autograder.regrade.export import read_export
from autograder.regrade.uploads import digest_of
from autograder.settings import MIB
from tests.regrade.exports import METADATA, files_of, path_of, write_plain, zipped

TWO = "submission_1:\n  :score: 1\nsubmission_2:\n  :score: 2\n"
OTHER = ("x/submission_2/a", "2")


def zip_of(folder: Path, *members: tuple[str, str], metadata: str = f"x/{METADATA}", how: int = 0) -> Path:
    path = folder / f"export {len(list(folder.iterdir()))}.zip"
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, text in ((metadata, TWO), *members):
            archive.writestr(name, text)
    return path


def files(export: Path, folder: Path) -> list[list[str]]:
    """What each upload is unpacked to; below folder, and nothing may get out of it."""
    found = []
    for entry in read_export(export).entries:
        path = path_of(entry, export, folder)
        found.append(sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()))
    return found


@pytest.mark.parametrize("between", ["//", "/.//", "/a//", "/./"])
def test_a_path_that_becomes_absolute_within_its_submission_is_left_out(tmp_path: Path, between: str) -> None:
    victim = tmp_path / "victim"
    name = f"x/submission_1{between}{victim.as_posix()[1:]}"
    path = zip_of(tmp_path, (name, "evil"), ("x/submission_1/a", "1"), OTHER)
    found = read_export(path)
    assert files(path, tmp_path) == [["a"], ["a"]]
    assert not victim.exists()
    assert "left out of the zip" in found.notes[0]


def test_a_file_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zip_of(tmp_path, ("x/submission_1/a", "1"), ("x/submission_1/a", "2"), OTHER)
    assert files(path, tmp_path) == [["a"], ["a"]]


def test_a_name_that_is_a_file_and_a_folder_costs_the_folder_only(tmp_path: Path) -> None:
    path = zip_of(tmp_path, ("x/submission_1/a", "1"), ("x/submission_1/a/b", "1"), OTHER)
    found = read_export(path)
    assert files(path, tmp_path) == [["a"], ["a"]]
    assert "a file and a folder" in found.notes[0]


def test_a_name_that_no_disk_takes_costs_its_file_only(tmp_path: Path) -> None:
    path = zip_of(tmp_path, ("x/submission_1/" + "a" * 300, "1"), ("x/submission_1/b", "1"), OTHER)
    assert files(path, tmp_path) == [["b"], ["a"]]


def test_names_in_any_encoding_are_unpacked(tmp_path: Path) -> None:
    path = zip_of(tmp_path, ("x/submission_1/ee.json", "1"), OTHER)
    path.write_bytes(path.read_bytes().replace(b"ee.json", b"\xff\xfe.json"))
    assert len(files(path, tmp_path)[0]) == 1


def test_an_empty_folder_is_a_submission_without_files_as_it_is_on_disk(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "export", {"1": {}, "2": {"a": "1"}})
    path = zipped(folder, tmp_path / "export.zip")
    for one, other in zip(read_export(folder).entries, read_export(path).entries, strict=True):
        assert files_of(one, folder) == files_of(other, path)
    assert files(path, tmp_path) == [[], ["a"]]


def damaged_lzma(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("x/submission_1/a").header_offset
    data = bytearray(path.read_bytes())
    for index in range(at + 56, at + 76):
        data[index] ^= 0xFF
    path.write_bytes(data)


def test_an_lzma_member_that_is_damaged_costs_its_own_submission_only(tmp_path: Path) -> None:
    text = "".join(chr(32 + i * i % 90) for i in range(5000))
    path = zip_of(tmp_path, ("x/submission_1/a", text), OTHER, how=zipfile.ZIP_LZMA)
    damaged_lzma(path)
    first, second = read_export(path).entries
    assert digest_of(files_of(second, path))
    with pytest.raises(UploadError, match="a of the upload cannot be read"):
        files_of(first, path)


def set_bit_of_encryption(data: bytearray) -> None:
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1


def break_the_stream(data: bytearray) -> None:
    data[60:70] = b"\x5a" * 10


@pytest.mark.parametrize("spoil", [set_bit_of_encryption, break_the_stream])
def test_metadata_that_cannot_be_unpacked_cost_the_names_only(
    tmp_path: Path, spoil: Callable[[bytearray], None]
) -> None:
    path = zip_of(tmp_path, ("x/submission_1/a", "1"), OTHER, how=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    spoil(data)
    path.write_bytes(data)
    found = read_export(path)
    assert [entry.id for entry in found.entries] == ["1", "2"]
    assert f"{METADATA} cannot be read" in found.notes[0]


def later_version(data: bytes) -> bytes:
    at = data.find(b"PK\x01\x02") + 6
    return data[:at] + b"\x63" + data[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [later_version, lambda data: data[:-30]],
    ids=["a later version", "cut"],
)
def test_a_zip_whose_directory_is_damaged_is_wrong_usage_in_plain_words(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = zip_of(tmp_path, ("x/submission_1/é", "1"), OTHER)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UsageError, match="Export the submissions again"):
        read_export(path)


def test_the_export_may_lie_some_folders_down(tmp_path: Path) -> None:
    path = zip_of(
        tmp_path, ("a/b/submission_1/a", "1"), ("a/b/submission_2/a", "2"), metadata=f"a/b/{METADATA}"
    )
    write_plain(tmp_path / "folder" / "a" / "b", {"1": {"a": "1"}, "2": {"a": "2"}})
    for export in (path, tmp_path / "folder"):
        assert [entry.id for entry in read_export(export).entries] == ["1", "2"]


def test_a_student_who_hands_in_metadata_does_not_become_the_export(tmp_path: Path) -> None:
    path = zip_of(
        tmp_path,
        ("c/ana/a", "1"),
        ("c/ben/submission_1/a", "2"),
        ("c/chen/a", "3"),
        metadata=f"c/ben/{METADATA}",
    )
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    for export in (path, tmp_path / "folder" / "c"):
        found = read_export(export)
        assert [entry.id for entry in found.entries] == ["ana", "ben", "chen"]
        assert "taken for a student's file" in found.notes[0]


def test_a_name_that_says_to_be_utf_8_and_is_not_costs_nothing(tmp_path: Path) -> None:
    path = zip_of(tmp_path, ("x/submission_1/é", "1"), OTHER)
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    assert [len(one) for one in files(path, tmp_path)] == [1, 1]


def test_names_with_backslashes_are_paths(tmp_path: Path) -> None:
    path = zip_of(
        tmp_path, ("x\\submission_1\\deep\\a", "1"), ("x\\submission_2\\a", "2"), metadata=f"x\\{METADATA}"
    )
    assert [entry.id for entry in read_export(path).entries] == ["1", "2"]
    assert files(path, tmp_path) == [["deep/a"], ["a"]]


def test_zeros_without_end_are_their_own_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.regrade.uploads._MAX_BYTES", 4 * MIB)
    zeros = [(f"x/submission_1/{number}.ipynb", "\0" * MIB) for number in range(40)]
    path = zip_of(tmp_path, *zeros, ("x/submission_2/a", "2"), how=zipfile.ZIP_DEFLATED)
    first, second = read_export(path).entries
    place = path_of(first, path, tmp_path)
    assert sum(file.stat().st_blocks * 512 for file in place.iterdir()) <= 5 * MIB
    assert {file.stat().st_size for file in place.iterdir()} == {MIB}
    assert path_of(second, path, tmp_path).is_dir()
