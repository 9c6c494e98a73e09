"""Gets at one upload: a folder to grade, its digest for the key, a parcel for another machine.

The bytes of a large file that the grader does not open, a checkpoint or one larger than it reads, stay where
they are: its name and size are all that a result can depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from autograder.errors import UploadError
from autograder.regrade.types import Gathered, PackedFile
from autograder.settings import KIB, MAX_ARCHIVE_ENTRIES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from autograder.submission.files import kind_of
from autograder.text import NAME_LIMIT, clean

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
"""Beyond what the grader reads of one upload, the smallest of its files first."""
_TOO_LARGE: Final = MAX_FILE_BYTES + 1
_SMALL: Final = 64 * KIB
_BLOCK: Final = 1024 * KIB


def gather(upload: Gathered, place: Path, archive: zipfile.ZipFile | None) -> Path:
    """Bring the files of an upload together in the folder `place`; gives what can be graded.

    A file that is too large to be read becomes a hole of its size, and so does what is left once the upload
    has used up what may be carried. Raises UploadError if it cannot be read.
    """
    size_of: Callable[[str], int] = _size_on_disk
    opened: Callable[[str], IO[bytes]] = open_file
    if archive is not None:
        size_of, opened = (lambda name: archive.getinfo(name).file_size), archive.open
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    left = _MAX_BYTES
    if len(upload.files) > MAX_ARCHIVE_ENTRIES:
        raise UploadError(f"the upload holds more than {MAX_ARCHIVE_ENTRIES:,} files: grade it by itself")
    name = ""
    try:
        for size, name, source in sorted((size_of(source), name, source) for name, source in upload.files):
            path = place.joinpath(*PurePosixPath(name).parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as target:
                if _is_carried(name, size) and size <= left:
                    left -= size
                    with opened(source) as stream:
                        shutil.copyfileobj(stream, target, _BLOCK)
                else:
                    target.truncate(min(size, _TOO_LARGE))
    except ZIP_DAMAGE as error:
        raise UploadError(f"{clean(name, NAME_LIMIT)} of the upload cannot be read: {error}") from error
    return place / upload.files[0][0] if upload.single else place


def open_file(name: str) -> IO[bytes]:
    """A file on disk, as zipfile opens a member."""
    return Path(name).open("rb")


def _size_on_disk(name: str) -> int:
    return Path(name).stat().st_size


def digest_of(path: Path) -> str:
    """A hash of what a result can depend on. Raises UploadError if the upload cannot be read."""
    lines = []
    for file, name in _files(path):
        packed = _described(file, name)
        digest = hashlib.sha256(packed.data)
        if packed.size and not packed.link and _is_carried(name, packed.size):
            with _told_of(file), file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
        encoded = name.encode("utf-8", "surrogateescape")
        head = b"%d %d %d %s " % (
            len(encoded),
            min(packed.size, _TOO_LARGE),
            packed.link,
            digest.hexdigest().encode(),
        )
        lines.append(head + encoded)
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def pack(path: Path) -> tuple[PackedFile, ...]:
    """The upload as bytes. Raises UploadError if it cannot be read or is larger than can be carried."""
    packed = []
    left = _MAX_BYTES
    for file, name in _files(path):
        one = _described(file, name)
        if one.size and not one.link and _is_carried(name, one.size):
            with _told_of(file):
                one = PackedFile(name, file.read_bytes(), one.size)
        left -= len(one.data)
        packed.append(one)
        if left < 0 or len(packed) > MAX_ARCHIVE_ENTRIES:
            raise UploadError("the upload holds more files or bytes than can be carried: grade it by itself")
    return tuple(packed)


def unpack(parcel: tuple[PackedFile, ...], place: Path, *, single: bool) -> Path:
    """Put a parcel's files into the folder `place`; gives what can be graded. Raises UploadError."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for file in parcel:
        path = place.joinpath(*PurePosixPath(file.name).parts)
        with _told_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.link:
                path.symlink_to(os.fsdecode(file.data))
            else:
                path.write_bytes(file.data)
                if file.size > len(file.data):  # a hole takes no room, and is as much too large
                    os.truncate(path, min(file.size, _TOO_LARGE))
    return place / parcel[0].name if single else place


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The files of an upload one by one, with their paths inside it."""
    if not path.is_dir():
        yield path, path.name
        return
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted((*names, *links)):
            file = Path(folder, name)
            yield file, file.relative_to(path).as_posix()


def _described(file: Path, name: str) -> PackedFile:
    """What is known before it is read: no link is followed, and a device or a pipe has no size."""
    with _told_of(file):
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(file.readlink())
            return PackedFile(name, target, len(target), link=True)
    regular = stat.S_ISREG(status.st_mode)
    return PackedFile(name, b"", status.st_size if regular else 0)


def _is_carried(name: str, size: int) -> bool:
    """Whether it is a file that the grader opens, or so small that it does not matter."""
    return size <= (_SMALL if kind_of(PurePosixPath(name).name) is None else MAX_FILE_BYTES)


@contextlib.contextmanager
def _told_of(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UploadError(f"{clean(file.name, NAME_LIMIT)} of the upload cannot be read: {why}") from error
