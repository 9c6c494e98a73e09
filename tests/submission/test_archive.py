from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.errors import UploadError
from autograder.settings import MAX_ARCHIVE_ENTRIES
from autograder.submission.choose import collect
from autograder.submission.types import NoteLevel, Submission

from .samples import CLASS, IMPORTS, log_bytes, notebook_bytes

LOG = log_bytes()
NOTEBOOK = notebook_bytes(IMPORTS, CLASS)
GOOD = {"submission_log.json": LOG, "homework.ipynb": NOTEBOOK}


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return stream.getvalue()


def special(name: str, kind: int, content: bytes = b"/etc/passwd") -> bytes:
    """GOOD's notebook, and a member of another kind than a regular file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("homework.ipynb", NOTEBOOK)
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | 0o644) << 16
        opened.writestr(info, content)
    return stream.getvalue()


def warned(submission: Submission) -> str:
    return "\n".join(notice.text for notice in submission.notices if notice.tone is NoteLevel.WARNING)


def collected(folder: Path, data: bytes, name: str = "upload.zip") -> Submission:
    (folder / name).write_bytes(data)
    submission = collect(folder)
    assert sorted(path.name for path in folder.iterdir()) == [name], "nothing is extracted"
    return submission


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["", "my homework/", "a\\b\\"])
def test_an_archive_is_read_like_a_folder(tmp_path: Path, method: int, folder: str) -> None:
    data = archive({f"{folder}{name}": content for name, content in GOOD.items()}, method)
    for submission in (collected(tmp_path, data), collect(tmp_path / "upload.zip")):
        assert submission.log is not None
        assert submission.log.problems == ()
        assert submission.log.name == f"upload.zip/{folder}submission_log.json".replace("\\", "/")
        assert submission.program is not None
        assert warned(submission) == ""


def test_a_member_without_a_name_costs_only_itself(tmp_path: Path) -> None:
    data = archive({**GOOD, "x": b""})
    for signature, length, name in ((b"PK\x03\x04", 26, 30), (b"PK\x01\x02", 28, 46)):
        place = data.rindex(signature)
        data = (
            data[: place + length]
            + b"\0\0"
            + data[place + length + 2 : place + name]
            + data[place + name + 1 :]
        )
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<II", data, end + 12)
    data = data[: end + 12] + struct.pack("<II", size - 1, start - 1) + data[end + 20 :]
    submission = collected(tmp_path, data)
    assert submission.log is not None
    assert submission.program is not None


def test_an_archive_in_an_archive_is_read_and_one_deeper_is_not(tmp_path: Path) -> None:
    one = archive({"inner.zip": archive(GOOD)})
    assert collected(tmp_path, one).log is not None
    submission = collected(tmp_path, archive({"middle.zip": one}))
    assert submission.log is None
    assert "upload.zip/middle.zip/inner.zip was not opened" in warned(submission)


def test_what_systems_put_into_archives_is_ignored(tmp_path: Path) -> None:
    extra = {"__MACOSX/._homework.ipynb": b"x", "__MACOSX/._submission_log.json": b"x", ".DS_Store": b"x"}
    submission = collected(tmp_path, archive({**GOOD, **extra}))
    assert submission.log is not None
    assert submission.log.name == "upload.zip/submission_log.json"
    assert warned(submission) == ""


@pytest.mark.parametrize(
    "name",
    ["../submission_log.json", "a/../../submission_log.json", "/etc/submission_log.json", "C:\\log.json"],
)
def test_a_name_that_leads_out_of_the_archive_is_read_as_one_within(tmp_path: Path, name: str) -> None:
    submission = collected(tmp_path, archive({name: LOG, "homework.ipynb": NOTEBOOK}))
    assert submission.log is not None
    assert submission.log.name.startswith("upload.zip/")
    assert ".." not in submission.log.name
    assert submission.program is not None
    assert warned(submission) == ""


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (stat.S_IFLNK, "it is a symbolic link"),
        (stat.S_IFIFO, "it is not a regular file"),
        (stat.S_IFCHR, "it is not a regular file"),
    ],
)
def test_links_pipes_and_devices_are_refused(tmp_path: Path, kind: int, told: str) -> None:
    submission = collected(tmp_path, special("submission_log.json", kind))
    assert submission.log is None
    assert told in warned(submission)


def test_a_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    submission = collected(tmp_path, archive({"submission_log.json": bytes(80 * 2**20), "h.ipynb": NOTEBOOK}))
    assert submission.program is not None
    assert "submission_log.json is larger than 4 MiB and was not read" in warned(submission)


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    data = archive({"submission_log.json": bytes(10**6)})
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(signature) + offset
        data = data[:place] + struct.pack("<I", 100) + data[place + 4 :]
    submission = collected(tmp_path, data)
    assert submission.log is None
    assert "submission_log.json was not read" in warned(submission)


def test_a_crowd_of_entries_is_refused(tmp_path: Path) -> None:
    data = archive({f"{number}.json": b"" for number in range(MAX_ARCHIVE_ENTRIES + 1)}, zipfile.ZIP_STORED)
    assert "more than 20,000 entries" in warned(collected(tmp_path, data))


def test_a_crowd_of_bad_names_is_told_in_few_words(tmp_path: Path) -> None:
    data = archive({f"{number}.json": b"" for number in range(500)}, zipfile.ZIP_LZMA)
    submission = collected(tmp_path, data)
    assert len(submission.notices) < 30
    assert "480 more files could not be read" in warned(submission)


def test_an_encrypted_member_is_asked_for_without_password(tmp_path: Path) -> None:
    data = archive({"submission_log.json": LOG})
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + offset
        data = data[:place] + b"\x01\x00" + data[place + 2 :]
    assert "it is encrypted. Upload it without a password" in warned(collected(tmp_path, data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_cannot_be_bounded_are_refused(tmp_path: Path, method: int) -> None:
    submission = collected(tmp_path, archive({"submission_log.json": LOG}, method))
    assert "its compression is not supported" in warned(submission)


def test_a_name_that_comes_twice_is_read_once_and_told(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as opened:
        warnings.simplefilter("ignore")
        opened.writestr("submission_log.json", log_bytes(time=1.0))
        opened.writestr("submission_log.json", log_bytes(time=2.0))
    submission = collected(tmp_path, stream.getvalue())
    assert submission.log is not None
    assert submission.log.time == 2.0
    assert "more than once; the last one was read" in warned(submission)


def flipped(data: bytes) -> bytes:
    """The archive with a byte of its first member's content changed, so that its checksum fails."""
    return data[:60] + bytes([data[60] ^ 0xFF]) + data[61:]


def test_a_damaged_member_costs_only_itself(tmp_path: Path) -> None:
    submission = collected(tmp_path, flipped(archive(GOOD)))
    assert submission.log is None
    assert submission.program is not None
    assert "submission_log.json was not read: it is damaged" in warned(submission)


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: b"no archive", lambda data: b""])
def test_a_damaged_archive_is_told_and_alone_it_is_an_upload_error(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    submission = collected(tmp_path, damage(archive(GOOD)))
    assert submission.log is None
    assert "upload.zip cannot be opened: it is damaged or not a .zip" in warned(submission)
    with pytest.raises(UploadError, match="cannot be opened"):
        collect(tmp_path / "upload.zip")


def test_of_two_notebooks_in_an_archive_the_newest_is_taken(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr(zipfile.ZipInfo("a.ipynb", (2024, 5, 2, 0, 0, 0)), NOTEBOOK)
        opened.writestr(zipfile.ZipInfo("b.ipynb", (2024, 5, 1, 0, 0, 0)), NOTEBOOK)
    submission = collected(tmp_path, stream.getvalue())
    assert submission.program is not None
    assert submission.program.name == "upload.zip/a.ipynb"
