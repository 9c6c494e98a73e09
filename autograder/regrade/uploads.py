"""Gets at one upload: a folder to grade, its digest for the key, a parcel for another machine.

The bytes of a large file that the grader does not open, a checkpoint or one larger than it reads, stay where
they are: its name and size are all that a result can depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UploadError
from autograder.regrade.types import Gathered, PackedFile
from autograder.settings import KIB, MAX_ARCHIVE_ENTRIES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from autograder.submission import files
from autograder.text import NAME_LIMIT, clean

PLACE: Final = "submission"
"""What an unpacked upload's folder is called: the name that it has on Gradescope."""
_MAX_BYTES: Final = 2 * MAX_UPLOAD_BYTES
"""Beyond what the grader reads of one upload, the smallest of its files first."""
_TOO_LARGE: Final = MAX_FILE_BYTES + 1
_SMALL: Final = 64 * KIB


def gather(upload: Gathered, place: Path, archive: zipfile.ZipFile | None) -> Path:
    """Bring the files of an upload together in the folder `place`; gives what can be graded.

    A file that is too large to be read becomes a hole of its size, and so does what is left once the upload
    has used up what may be carried. Raises UploadError if it cannot be read.
    """
    if len(upload.files) > MAX_ARCHIVE_ENTRIES:
        raise UploadError(f"the upload holds more than {MAX_ARCHIVE_ENTRIES:,} files: grade it by itself")
    return unpack(_of_gathered(upload, archive), place, single=upload.single)


def _of_gathered(upload: Gathered, archive: zipfile.ZipFile | None) -> Iterator[PackedFile]:
    def size_of(source: str) -> int:
        with _told_of(source):
            return archive.getinfo(source).file_size if archive else Path(source).stat().st_size

    left = _MAX_BYTES
    for size, name, source in sorted((size_of(source), name, source) for name, source in upload.files):
        data = b""
        if _is_carried(name, size) and size <= left:
            left -= size
            with _told_of(name):
                data = archive.read(source) if archive else Path(source).read_bytes()
        yield PackedFile(name, data, size)


def digest_of(path: Path) -> str:
    """A hash of what a result can depend on. Raises UploadError if the upload cannot be read."""
    lines = []
    for file in _on_disk(path):
        name = file.name.encode("utf-8", "surrogateescape")
        digest = hashlib.sha256(file.data).hexdigest()
        lines.append(
            b"%d %d %d %s " % (len(name), min(file.size, _TOO_LARGE), file.link, digest.encode()) + name
        )
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def pack(path: Path) -> tuple[PackedFile, ...]:
    """The upload as bytes. Raises UploadError if it cannot be read or is larger than can be carried."""
    packed = []
    left = _MAX_BYTES
    for file in _on_disk(path):
        left -= len(file.data)
        packed.append(file)
        if left < 0 or len(packed) > MAX_ARCHIVE_ENTRIES:
            raise UploadError("the upload holds more files or bytes than can be carried: grade it by itself")
    return tuple(packed)


def unpack(parcel: Iterable[PackedFile], place: Path, *, single: bool) -> Path:
    """Put a parcel's files into the folder `place`; gives what can be graded. Raises UploadError."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    path = place
    for file in parcel:
        path = place.joinpath(*PurePosixPath(file.name).parts)
        with _told_of(file.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.link:
                path.symlink_to(os.fsdecode(file.data))
            else:
                path.write_bytes(file.data)
                if file.size > len(file.data):  # a hole takes no room, and is as much too large
                    os.truncate(path, min(file.size, _TOO_LARGE))
    return path if single else place


def _on_disk(path: Path) -> Iterator[PackedFile]:
    """The files of an upload one by one: no link is followed, and a device or a pipe has no size."""
    found = [(path, path.name)]
    if path.is_dir():
        found = [
            (file, file.relative_to(path).as_posix())
            for folder, folders, names in os.walk(path)
            for file in (Path(folder, name) for name in sorted((*names, *folders)))
            if file.is_symlink() or not file.is_dir()
        ]
    for file, name in found:
        with _told_of(name):
            mode, size = (status := file.lstat()).st_mode, status.st_size
            link = stat.S_ISLNK(mode)
            data = os.fsencode(file.readlink()) if link else b""
            if stat.S_ISREG(mode) and _is_carried(name, size):
                data = file.read_bytes()
        yield PackedFile(name, data, len(data) if link else size if stat.S_ISREG(mode) else 0, link)


def _is_carried(name: str, size: int) -> bool:
    """Whether it is a file that the grader opens, or so small that it does not matter."""
    kind = files.kind_of(PurePosixPath(name).name)
    return size <= (_SMALL if kind is None else MAX_FILE_BYTES)


@contextlib.contextmanager
def _told_of(name: str) -> Iterator[None]:
    try:
        yield
    except files.ZIP_DAMAGE as error:
        why = getattr(error, "strerror", None) or error
        raise UploadError(f"{clean(name, NAME_LIMIT)} of the upload cannot be read: {why}") from error
