"""Carries one upload, out of the export's folder or zip, to where it is graded: its files, or their digest.

The bytes of a large file that the grader does not open, a checkpoint or one larger than it reads, stay where
they are: its name and size are all that a result can depend on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UploadError
from autograder.regrade.types import PackedFile, Upload
from autograder.settings import KIB, MAX_ARCHIVE_ENTRIES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from autograder.submission.files import ZIP_DAMAGE, kind_of
from autograder.text import NAME_LIMIT, clean

_MAX_BYTES: Final = 2 * MAX_UPLOAD_BYTES
"""Beyond what the grader reads of one upload, the smallest of its files first."""
_TOO_LARGE: Final = MAX_FILE_BYTES + 1
_SMALL: Final = 64 * KIB


def carried(upload: Upload, archive: zipfile.ZipFile | None) -> Iterator[PackedFile]:
    """The files of an upload one by one, the smallest first. archive: the export's zip, if it is one.

    One that is too large to be read comes without its bytes, and so does what is left once the upload has
    used up what may be carried. Raises UploadError if the upload cannot be read.
    """
    if len(upload) > MAX_ARCHIVE_ENTRIES:
        raise UploadError(f"the upload holds more than {MAX_ARCHIVE_ENTRIES:,} files: grade it by itself")

    def size_of(source: str) -> int:
        with _told_of(source):
            return archive.getinfo(source).file_size if archive else Path(source).stat().st_size

    left = _MAX_BYTES
    for size, name, source in sorted((size_of(source), name, source) for name, source in upload):
        data = b""
        most = _SMALL if kind_of(PurePosixPath(name).name) is None else MAX_FILE_BYTES
        if 0 < size <= min(left, most):  # of no size is what cannot be read to an end, such as a pipe
            left -= size
            with _told_of(name):
                data = archive.read(source) if archive else Path(source).read_bytes()
        yield PackedFile(name, data, size)


def digest_of(files: Iterable[PackedFile]) -> str:
    """A hash of what a result can depend on."""
    lines = [
        ascii((file.name, min(file.size, _TOO_LARGE), hashlib.sha256(file.data).hexdigest()))
        for file in files
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def unpack(files: Iterable[PackedFile], folder: Path) -> Path:
    """Put the files into a new folder below `folder`, called as on Gradescope. Raises UploadError."""
    place = folder / "submission"
    place.mkdir(parents=True)
    for file in files:
        path = place.joinpath(*PurePosixPath(file.name).parts)
        with _told_of(file.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
            if file.size > len(file.data):  # a hole takes no room, and is as much too large
                os.truncate(path, min(file.size, _TOO_LARGE))
    return place


@contextlib.contextmanager
def _told_of(name: str) -> Iterator[None]:
    try:
        yield
    except ZIP_DAMAGE as error:
        why = getattr(error, "strerror", None) or error
        raise UploadError(f"{clean(name, NAME_LIMIT)} of the upload cannot be read: {why}") from error
