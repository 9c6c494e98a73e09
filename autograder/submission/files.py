"""Finds the files of an upload and reads them: regular files only, no links, all of it bounded.

Folders and archives are listed first, then read, what most likely is the homework before all else: no number
of other files hides it. One file at a time is yielded and held in memory. Nothing is extracted, so that no
name in an archive can leave the upload.
"""

from __future__ import annotations

import calendar
import contextlib
import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UploadError
from autograder.settings import (
    KIB,
    MAX_ARCHIVE_ENTRIES,
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
_LOG_STEM: Final = "submission_log"
LOG_WORDS: Final = ("log", "submission")
"""A .json with one of these in its name is meant as the log, whatever it holds."""
_SKIPPED_FOLDERS: Final = frozenset({"__MACOSX", "__pycache__", "node_modules", "site-packages"})
_OTHER_ARCHIVES: Final = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_LISTED: Final = 8
"""Names of ignored files that are told."""
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WARNINGS: Final = 20
"""Warnings that are told one by one."""
_LINK: Final = "is a symbolic link and was not followed. Upload the file itself."
_MORE_ADVICE: Final = "Upload only your notebook and submission_log.json."
_DEEPEST: Final = 2
"""A .zip in the upload, and a .zip in that one."""
_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
_AGAIN: Final = "Compress your files again with your system's own tool, or upload them as they are."
ZIP_DAMAGE: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What zipfile raises on archives that are damaged or made to deceive; RuntimeError on those that are
encrypted, or packed in a way that nobody unpacks."""


class _Unread(Exception):
    """Why a file is not read, in a clause that follows its name."""


@dataclass(frozen=True)
class FoundFile:
    """A file of the upload that is worth reading. read: gives its bytes; raises _Unread.

    modified: seconds, as an archive records it; 0 in a folder, where it only says when it was unpacked, and
    would let the same upload be graded in two ways.
    """

    path: PurePosixPath
    kind: Kind
    read: Callable[[], bytes]
    modified: float = 0.0

    @property
    def name(self) -> str:
        """Its path in the upload, safe to show."""
        return shown(self.path)


@dataclass
class UploadBudget:
    """What has been read and what is told of it, over folders and archives together."""

    warnings: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    listed: int = 0
    files: int = 0
    size: int = 0

    def admit(self, kind: Kind, size: int) -> None:
        """Count a file about to be read; raises _Unread if it is beyond a limit."""
        limit = _LIMITS.get(kind, MAX_FILE_BYTES)
        if size > limit:
            raise _Unread(f"is larger than {limit // MIB} MiB and was not read. {_MORE_ADVICE}")
        if self.files >= MAX_UPLOAD_FILES or self.size + size > MAX_UPLOAD_BYTES:
            raise _Unread(f"was not read: the upload holds more than can be. {_MORE_ADVICE}")
        self.files += 1
        self.size += size

    def bytes_of(self, file: FoundFile) -> bytes | None:
        """Read a file; None, and a warning, if it cannot be."""
        try:
            return file.read()
        except _Unread as reason:
            self.warnings.append(f"{file.name} {reason}")
            return None

    def notices(self) -> list[Note]:
        """Return the first warnings and, in one notice, the files that were ignored."""
        untold = len(self.warnings) - _WARNINGS
        more = [f"{untold:,} more files could not be read."] if untold > 0 else []
        notices = [Note(NoteLevel.WARNING, text) for text in (*self.warnings[:_WARNINGS], *more)]
        return notices + listed("Ignored", self.ignored)


def listed(what: str, names: list[str], why: str = "") -> list[Note]:
    """Return a notice on files of which nothing is used, of many the first; none if there are none."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return [Note(NoteLevel.IGNORED, f"{what}: {', '.join(names[:_LISTED])}{more}{why}.")] if names else []


def shown(path: PurePosixPath | str) -> str:
    """Return a path as it may be shown: of a long one its end, which tells it from others."""
    text = clean(str(path), 4 * KIB)
    return text if len(text) <= NAME_LIMIT else "…" + text[1 - NAME_LIMIT :]


def kind_of(name: str) -> Kind | None:
    """Tell a file's kind by its name, "log.json.txt" and "submission_log" included; None: it is of no use."""
    lower = name.lower().removesuffix(".txt")
    if lower.startswith(_LOG_STEM) and "." not in lower:
        return Kind.LOG
    return next((kind for kind in Kind if lower.endswith(kind.value)), None)


def is_hidden(path: PurePosixPath) -> bool:
    """Tell whether a path is one that an editor, notebook server or system keeps beside the student's."""
    return any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in path.parts)


def files_of(upload: Path, budget: UploadBudget) -> Iterator[tuple[FoundFile, bytes]]:
    """Yield the files that are worth reading of a folder, an archive or a single file.

    Raises UploadError if the upload is one file and cannot be opened; of a folder, what cannot be read is
    told in the budget and the rest is used.
    """
    try:
        is_folder, is_there = upload.is_dir(), upload.is_symlink() or upload.exists()
    except (OSError, ValueError) as error:
        raise UploadError(f"{shown(str(upload))} cannot be opened: {error}.") from error
    if not is_there:
        raise UploadError(f"There is no file or folder {shown(str(upload))}.")
    if is_folder:
        found = list(_in_folder(upload, budget))
    elif (kind := kind_of(upload.name)) is None:
        name = shown(upload.name)
        raise UploadError(f"{name} is not a .json, .ipynb, .py or .zip. Upload one of these, or a folder.")
    else:
        found = [FoundFile(PurePosixPath(upload.name), kind, partial(_read, upload, budget, kind))]
    files = [opened for file in found for opened in _opened(file, budget)]
    came = False
    for file in _likeliest_first(files):
        data = budget.bytes_of(file)
        if data is not None:
            came = True
            yield file, data
    if not (is_folder or came or files[1:]) and budget.warnings:
        raise UploadError(budget.warnings[0])


def _likeliest_first(files: list[FoundFile]) -> list[FoundFile]:
    """Logs, notebooks, then scripts, those nearest to these before others."""

    def place(file: FoundFile) -> int:
        name = file.path.name.lower()
        if file.kind is Kind.LOG or _LOG_STEM in name:
            return 0 if _LOG_STEM in name else 2 if any(word in name for word in LOG_WORDS) else 4
        return 1 if file.kind is Kind.NOTEBOOK else 3

    def steps(file: FoundFile) -> int:
        up = (n for n, folder in enumerate(file.path.parents) if place(file) == 3 and folder in homes)
        return next(up, len(file.path.parts))

    homes = {file.path.parent for file in files if place(file) < 2}
    return sorted(files, key=lambda file: (place(file), steps(file), file.path))


def _sort_out(path: PurePosixPath, budget: UploadBudget) -> Kind | None:
    """Return the kind of a file worth reading; note any other as ignored."""
    kind = None if is_hidden(path) else kind_of(path.name)
    if kind is None:
        if path.name.lower().endswith(_OTHER_ARCHIVES):
            budget.warnings.append(f"{shown(path)} cannot be opened: upload a .zip, or the files themselves.")
        else:
            budget.ignored.append(shown(path))
    return kind


# --- Folders ---


def _in_folder(upload: Path, budget: UploadBudget) -> Iterator[FoundFile]:
    waiting: deque[tuple[Path, PurePosixPath]] = deque([(upload, PurePosixPath())])
    while waiting:
        folder, inner = waiting.popleft()
        try:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            budget.warnings.append(f"The folder {shown(inner)} cannot be opened: {error.strerror}.")
            continue
        for entry in found:
            budget.listed += 1
            if budget.listed > MAX_ARCHIVE_ENTRIES:
                budget.warnings.append(
                    f"Only the first {MAX_ARCHIVE_ENTRIES:,} files were looked at. {_MORE_ADVICE}"
                )
                return
            path = inner / entry.name
            if entry.is_dir(follow_symlinks=False):
                if is_hidden(path):
                    budget.ignored.append(f"{shown(path)}/")
                elif len(path.parts) > MAX_UPLOAD_DEPTH:
                    budget.warnings.append(f"{shown(path)} is too many folders deep and was not read.")
                else:
                    waiting.append((folder / entry.name, path))
            elif entry.is_symlink():
                budget.warnings.append(f"{shown(path)} {_LINK}")
            elif kind := _sort_out(path, budget):
                yield FoundFile(path, kind, partial(_read, folder / entry.name, budget, kind))


def _read(file: Path, budget: UploadBudget, kind: Kind) -> bytes:
    """Read one file of a folder, through one descriptor from the first look at it to its last byte."""
    try:
        descriptor = os.open(file, _OPEN_FLAGS)
    except OSError as error:
        why = f"cannot be opened ({error.strerror}). Upload it again."
        raise _Unread(_LINK if file.is_symlink() else why) from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unread("is not a regular file and was not read. Upload the file itself.")
        budget.admit(kind, status.st_size)
        return stream.read(status.st_size)


# --- Archives ---


def _opened(file: FoundFile, budget: UploadBudget, level: int = 0) -> Iterator[FoundFile]:
    """The file; in place of an archive, what it holds. level: how many archives are around it."""
    if file.kind is not Kind.ARCHIVE:
        yield file
    elif level == _DEEPEST:
        budget.warnings.append(f"{file.name} was not opened: it is a .zip in a .zip in a .zip. {_AGAIN}")
    elif (data := budget.bytes_of(file)) is None:
        return
    elif data.count(_ENTRY_SIGNATURE) > MAX_ARCHIVE_ENTRIES:
        budget.warnings.append(
            f"{file.name} was not opened: it has more than {MAX_ARCHIVE_ENTRIES:,} entries."
        )
    else:
        members: dict[PurePosixPath, FoundFile] = {}
        try:
            members = _members(file.path, zipfile.ZipFile(io.BytesIO(data)), budget)
        except ZIP_DAMAGE:
            budget.warnings.append(
                f"{file.name} cannot be opened: it is damaged or not a .zip archive. {_AGAIN}"
            )
        for member in members.values():
            yield from _opened(member, budget, level + 1)


def _members(
    archive: PurePosixPath, opened: zipfile.ZipFile, budget: UploadBudget
) -> dict[PurePosixPath, FoundFile]:
    """Return the members worth reading, one for each name."""
    chosen: dict[PurePosixPath, FoundFile] = {}
    for info in opened.infolist():
        inner = info.filename.replace("\\", "/")
        if inner.endswith("/"):  # is_dir() fails on an empty name before Python 3.12
            continue
        # An absolute path, a drive or ".." means a place within the archive here, as every path does.
        parts = [part for part in inner.split("/") if part not in ("", ".", "..") and part[1:] != ":"]
        path = archive.joinpath(*parts)
        if kind := _sort_out(path, budget):
            if path in chosen:
                budget.warnings.append(
                    f"{shown(path)} is in the archive more than once; the last one was read."
                )
            modified = 0.0
            with contextlib.suppress(ValueError):  # some tools leave the date empty, which is month 0
                modified = float(calendar.timegm((*info.date_time, 0, 0, 0)))
            read = partial(_read_member, opened, info, budget, kind)
            chosen[path] = FoundFile(path, kind, read, modified)
    return chosen


def _read_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, budget: UploadBudget, kind: Kind) -> bytes:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
        raise _Unread(f"was not read: it is {what}. Upload the file itself.")
    if info.flag_bits & 0x1:
        raise _Unread("was not read: it is encrypted. Upload it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # What systems' own tools write. The others expand too far in one step to be bounded.
        raise _Unread(f"was not read: its compression is not supported. {_AGAIN}")
    budget.admit(kind, info.file_size)
    try:
        with opened.open(info) as stream:
            data = stream.read(info.file_size + 1)
    except ZIP_DAMAGE:
        raise _Unread(f"was not read: it is damaged in the archive. {_AGAIN}") from None
    if len(data) > info.file_size:
        raise _Unread(f"was not read: it is larger than the archive says. {_AGAIN}")
    return data
