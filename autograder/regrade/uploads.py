"""Gets at one upload: its bytes for the key, a path for the grader, a parcel for another machine."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from autograder.errors import UploadError
from autograder.regrade.types import InArchive, OnDisk, Packed, PackedFile, Upload
from autograder.settings import MAX_FILE_BYTES, MAX_UPLOAD_BYTES, MAX_UPLOAD_FILES

PLACE = "submission"
"""What an unpacked upload's folder is called: the name that it has on Gradescope."""


def pack(upload: Upload) -> Packed:
    """The upload as bytes. Raises UploadError if it cannot be read or is larger than an upload may be."""
    if isinstance(upload, Packed):
        return upload
    single = upload.path.is_file() if isinstance(upload, OnDisk) else upload.single
    return Packed(tuple(_files(upload)), single)


def digest_of(upload: Upload) -> str:
    """A hash of the upload's names and bytes. Raises UploadError as `pack` does."""
    digest = hashlib.sha256()
    for file in sorted(_files(upload), key=lambda file: file.name):
        name = file.name.encode("utf-8", "surrogateescape")
        digest.update(b"%d %d %d " % (len(name), len(file.data), file.link) + name + file.data)
    return digest.hexdigest()


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
        for file in _files(upload):
            path = place.joinpath(*PurePosixPath(file.name).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.link:
                path.symlink_to(os.fsdecode(file.data))
            else:
                path.write_bytes(file.data)
    except (OSError, ValueError) as error:
        raise UploadError(f"the upload cannot be unpacked: {error}") from error


def _only_name(upload: InArchive | Packed) -> str:
    return upload.files[0].name if isinstance(upload, Packed) else upload.members[0][len(upload.prefix) :]


def _files(upload: Upload) -> Iterator[PackedFile]:
    """The files one by one, within the limits of one upload."""
    count = size = 0
    for file in _all_files(upload):
        count, size = count + 1, size + len(file.data)
        if count > MAX_UPLOAD_FILES or size > MAX_UPLOAD_BYTES or len(file.data) > MAX_FILE_BYTES:
            raise UploadError("the upload holds more files or bytes than an upload may")
        yield file


def _all_files(upload: Upload) -> Iterator[PackedFile]:
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
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return PackedFile(name, os.fsencode(path.readlink()), link=True)
    if not stat.S_ISREG(mode):
        return PackedFile(name, b"")
    with path.open("rb") as stream:
        return PackedFile(name, stream.read(MAX_FILE_BYTES + 1))


def _members(upload: InArchive) -> Iterator[PackedFile]:
    for member in upload.members:
        try:
            with _archive(upload.archive).open(member) as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        # RuntimeError: encrypted, or packed in a way that nobody unpacks; the rest: damage.
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError) as error:
            raise UploadError(f"{member} in the zip cannot be read: {error}") from error
        yield PackedFile(member[len(upload.prefix) :], data)


@functools.lru_cache(maxsize=1)
def _archive(path: Path) -> zipfile.ZipFile:
    """The export's zip, opened once in each process."""
    return zipfile.ZipFile(path)
