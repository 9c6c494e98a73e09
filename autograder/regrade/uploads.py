"""Gets at one upload: its bytes for the key, a path for the grader, a parcel for another machine.

The bytes of a large file that the grader does not open, a checkpoint or one larger than it reads, stay
where they are: its name and size are all that a result can depend on.
"""

from __future__ import annotations

import functools
import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UploadError
from autograder.regrade.types import InArchive, OnDisk, Packed, PackedFile, Upload
from autograder.settings import KIB, MAX_ARCHIVE_ENTRIES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from autograder.submission.files import kind_of

PLACE: Final = "submission"
"""What an unpacked upload's folder is called: the name that it has on Gradescope."""
ZIP_DAMAGE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # encrypted, or packed in a way that nobody unpacks
    ValueError,
)
"""What zipfile raises on archives that are damaged or made to deceive."""
_MAX_BYTES: Final = 2 * MAX_UPLOAD_BYTES
"""Beyond what the grader reads of one upload, whichever of its files come first."""
_SMALL: Final = 64 * KIB


def pack(upload: Upload) -> Packed:
    """The upload as bytes. Raises UploadError if it cannot be read or is larger than can be carried."""
    if isinstance(upload, Packed):
        return upload
    single = upload.path.is_file() if isinstance(upload, OnDisk) else upload.single
    return Packed(tuple(_within_limits(_files(upload))), single)


def digest_of(upload: Upload) -> str:
    """A hash of what a result can depend on. Raises UploadError if the upload cannot be read."""
    lines = []
    for file in _files(upload):
        data = hashlib.sha256(file.data).hexdigest()
        name = file.name.encode("utf-8", "surrogateescape")
        lines.append(b"%d %d %d %s %s" % (len(name), file.size, file.link, data.encode(), name))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


@contextmanager
def unpacked(upload: Upload, room: Path) -> Iterator[Path]:
    """A path that can be graded: the upload's own, or a copy below room that is gone afterwards.

    Raises UploadError as `pack` does.
    """
    if isinstance(upload, OnDisk):
        yield upload.path
        return
    place = room / PLACE
    shutil.rmtree(place, ignore_errors=True)
    try:
        _unpack(upload, place)
        yield place / _only_name(upload) if upload.single else place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _unpack(upload: InArchive | Packed, place: Path) -> None:
    place.mkdir(parents=True)
    try:
        for file in _within_limits(_files(upload)):
            path = place.joinpath(*PurePosixPath(file.name).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.link:
                path.symlink_to(os.fsdecode(file.data))
            else:
                path.write_bytes(file.data)
                if file.size > len(file.data):  # a hole takes no room, and is as much too large
                    os.truncate(path, min(file.size, MAX_FILE_BYTES + 1))
    except (OSError, ValueError) as error:
        raise UploadError(f"the upload cannot be unpacked: {error}") from error


def _only_name(upload: InArchive | Packed) -> str:
    return upload.files[0].name if isinstance(upload, Packed) else upload.members[0][len(upload.prefix) :]


def _within_limits(files: Iterator[PackedFile]) -> Iterator[PackedFile]:
    count = size = 0
    for file in files:
        count, size = count + 1, size + len(file.data)
        if count > MAX_ARCHIVE_ENTRIES or size > _MAX_BYTES:
            raise UploadError("the upload holds more files or bytes than can be carried: grade it by itself")
        yield file


def _is_carried(name: str, size: int) -> bool:
    """Whether it is a file that the grader opens, or so small that it does not matter."""
    return size <= (_SMALL if kind_of(PurePosixPath(name).name) is None else MAX_FILE_BYTES)


def _files(upload: Upload) -> Iterator[PackedFile]:
    """The files one by one."""
    if isinstance(upload, Packed):
        yield from upload.files
    elif isinstance(upload, InArchive):
        yield from _members(upload)
    else:
        try:
            yield from _disk_files(upload.path)
        except OSError as error:
            raise UploadError(f"the upload cannot be read: {error}") from error


def _disk_files(path: Path) -> Iterator[PackedFile]:
    if not path.is_dir():
        yield _read(path, path.name)
        return
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted((*names, *links)):
            file = Path(folder, name)
            yield _read(file, file.relative_to(path).as_posix())


def _read(path: Path, name: str) -> PackedFile:
    """A link is not followed, a device or a pipe not opened."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = os.fsencode(path.readlink())
        return PackedFile(name, target, len(target), link=True)
    if not stat.S_ISREG(status.st_mode):
        return PackedFile(name, b"", 0)
    if not _is_carried(name, status.st_size):
        return PackedFile(name, b"", status.st_size)
    data = path.read_bytes()
    return PackedFile(name, data, len(data))


def _members(upload: InArchive) -> Iterator[PackedFile]:
    for member in upload.members:
        name = member[len(upload.prefix) :]
        try:
            archive = _archive(upload.archive)
            size = archive.getinfo(member).file_size
            data = b""
            if _is_carried(name, size):
                with archive.open(member) as stream:
                    data = stream.read(MAX_FILE_BYTES + 1)
                size = len(data)
        except ZIP_DAMAGE as error:
            raise UploadError(f"{member} in the zip cannot be read: {error}") from error
        yield PackedFile(name, data, size)


@functools.lru_cache(maxsize=1)
def _archive(path: Path) -> zipfile.ZipFile:
    """The export's zip, opened once in each process."""
    return zipfile.ZipFile(path)
