"""Finds the files of an upload and reads them: regular files only, no links, all of it bounded.

Yields one file at a time, so that no more than one of them is held in memory.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UploadError
from autograder.settings import (
    MAX_FILE_BYTES,
    MAX_LOG_BYTES,
    MAX_UPLOAD_BYTES,
    MAX_UPLOAD_DEPTH,
    MAX_UPLOAD_FILES,
    MIB,
)
from autograder.submission.types import Note, NoteLevel
from autograder.text import NAME_LIMIT, clean


class Kind(Enum):
    """What a file is, going by its name."""

    LOG = ".json"
    NOTEBOOK = ".ipynb"
    SCRIPT = ".py"
    ARCHIVE = ".zip"


_LIMITS: Final = {Kind.LOG: MAX_LOG_BYTES, Kind.SCRIPT: MAX_LOG_BYTES}
_SKIPPED_FOLDERS: Final = frozenset({"__MACOSX", "__pycache__", "node_modules", "site-packages"})
_OTHER_ARCHIVES: Final = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_LISTED: Final = 8
"""Names of ignored files that are told."""
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WARNINGS: Final = 20
"""Warnings that are told one by one."""
_LINK: Final = "is a symbolic link and was not followed. Upload the file itself."
_MORE_ADVICE: Final = "Upload only your notebook and submission_log.json."


@dataclass(frozen=True)
class FoundFile:
    """A file of the upload. name: its path in the upload, safe to show.

    modified: seconds, as an archive records it; 0 in a folder, where it only says when it was unpacked, and
    would let the same upload be graded in two ways.
    """

    name: str
    kind: Kind
    data: bytes
    modified: float


@dataclass
class UploadBudget:
    """What has been read and what is told of it, over folders and archives together."""

    notices: list[Note] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    untold: int = 0

    def warn(self, text: str) -> None:
        """Tell of something that could not be used."""
        if len(self.notices) < _WARNINGS:
            self.notices.append(Note(NoteLevel.WARNING, text))
        else:
            self.untold += 1

    def admit(self, name: str, kind: Kind, size: int) -> bool:
        """Count a file about to be read; False, and a notice, if it is beyond a limit."""
        limit = _LIMITS.get(kind, MAX_FILE_BYTES)
        if size > limit:
            self.warn(f"{name} is larger than {limit // MIB} MiB and was not read. {_MORE_ADVICE}")
            return False
        if self.files >= MAX_UPLOAD_FILES or self.bytes + size > MAX_UPLOAD_BYTES:
            self.warn(f"The upload holds more than can be read; {name} was not. {_MORE_ADVICE}")
            return False
        self.files += 1
        self.bytes += size
        return True

    def all_notices(self) -> list[Note]:
        """Return the warnings and, in one notice, the files that were ignored."""
        notices = list(self.notices)
        if self.untold:
            notices.append(Note(NoteLevel.WARNING, f"{self.untold:,} more files could not be read."))
        if self.ignored:
            rest = len(self.ignored) - _LISTED
            listed = ", ".join(self.ignored[:_LISTED]) + (f" and {rest:,} more" if rest > 0 else "")
            notices.append(Note(NoteLevel.IGNORED, f"Ignored: {listed}."))
        return notices


def shown(path: PurePosixPath | str) -> str:
    """Return a path as it may be shown."""
    return clean(str(path), NAME_LIMIT)


def kind_of(name: str) -> Kind | None:
    """Tell a file's kind by its name, "log.json.txt" included; None if it is of no use."""
    lower = name.lower().removesuffix(".txt")
    return next((kind for kind in Kind if lower.endswith(kind.value)), None)


def is_hidden(path: PurePosixPath) -> bool:
    """Tell whether a path is one that an editor, notebook server or system keeps beside the student's."""
    return any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in path.parts)


def sort_out(path: PurePosixPath, ledger: UploadBudget) -> Kind | None:
    """Return the kind of a file worth reading; note any other as ignored."""
    kind = None if is_hidden(path) else kind_of(path.name)
    if kind is None:
        if path.name.lower().endswith(_OTHER_ARCHIVES):
            ledger.warn(f"{shown(path)} cannot be opened: upload a .zip, or the files themselves.")
        else:
            ledger.ignored.append(shown(path))
    return kind


def read_single(upload: Path, ledger: UploadBudget) -> FoundFile:
    """Read an upload that is one file. Raises UploadError if it cannot be."""
    name = shown(upload.name)
    kind = kind_of(upload.name)
    if kind is None:
        raise UploadError(f"{name} is not a .json, .ipynb, .py or .zip. Upload one of these, or a folder.")
    found = _read(name, kind, upload, ledger)
    if found is None:
        raise UploadError(ledger.notices[-1].text)
    return found


def walk(upload: Path, ledger: UploadBudget) -> Iterator[FoundFile]:
    """Yield the files of a folder that are worth reading, upper folders first, then in order of name."""
    waiting: deque[tuple[Path, PurePosixPath]] = deque([(upload, PurePosixPath())])
    seen = 0
    while waiting:
        folder, inner = waiting.popleft()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            ledger.warn(f"The folder {shown(inner)} cannot be opened: {error.strerror}.")
            continue
        for entry in entries:
            seen += 1
            if seen > MAX_UPLOAD_FILES:
                ledger.warn(f"Only the first {MAX_UPLOAD_FILES:,} files were looked at. {_MORE_ADVICE}")
                return
            path = inner / entry.name
            if entry.is_dir(follow_symlinks=False):
                if is_hidden(path):
                    ledger.ignored.append(f"{shown(path)}/")
                elif len(path.parts) > MAX_UPLOAD_DEPTH:
                    ledger.warn(f"{shown(path)} is too many folders deep and was not read.")
                else:
                    waiting.append((folder / entry.name, path))
            elif entry.is_symlink():
                ledger.warn(f"{shown(path)} {_LINK}")
            elif kind := sort_out(path, ledger):
                found = _read(shown(path), kind, folder / entry.name, ledger)
                if found:
                    yield found


def _read(name: str, kind: Kind, file: Path, ledger: UploadBudget) -> FoundFile | None:
    """Read one file of a folder, through one descriptor from the first look at it to its last byte."""
    try:
        descriptor = os.open(file, _OPEN_FLAGS)
    except OSError as error:
        reason = _LINK if file.is_symlink() else f"cannot be opened ({error.strerror}). Upload it again."
        ledger.warn(f"{name} {reason}")
        return None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            ledger.warn(f"{name} is not a regular file and was not read. Upload the file itself.")
            return None
        if not ledger.admit(name, kind, status.st_size):
            return None
        data = stream.read(status.st_size)
    return FoundFile(name, kind, data, 0.0)
