"""Reads the members of a .zip into memory. Nothing is extracted, so no name in it can leave the upload."""

from __future__ import annotations

import calendar
import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from autograder.settings import KIB, MAX_ARCHIVE_ENTRIES
from autograder.submission.files import FoundFile, Kind, UploadBudget, shown, sort_out

_DEEPEST: Final = 2
"""A .zip in the upload, and a .zip in that one."""
_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What systems' own tools write. The others expand too far in one step to be bounded."""
_ENCRYPTED: Final = 0x1
_AGAIN: Final = "Compress your files again with your system's own tool, or upload them as they are."
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
"""What zipfile raises on archives that are damaged or made to deceive."""


def unpack(archive: FoundFile, ledger: UploadBudget, level: int = 1) -> Iterator[FoundFile]:
    """Yield the files of an archive that are worth reading; what cannot be read is told in the ledger.

    Their names start with the archive's. level: 1 for an archive in the upload, 2 for one inside that.
    """
    if level > _DEEPEST:
        ledger.warn(f"{archive.name} was not opened: it is a .zip in a .zip in a .zip. {_AGAIN}")
        return
    if archive.data.count(_ENTRY_SIGNATURE) > MAX_ARCHIVE_ENTRIES:
        ledger.warn(f"{archive.name} was not opened: it has more than {MAX_ARCHIVE_ENTRIES:,} entries.")
        return
    try:
        with zipfile.ZipFile(io.BytesIO(archive.data)) as opened:
            for member in _members(archive.name, opened, ledger):
                found = _read(opened, member, ledger)
                if found and found.kind is Kind.ARCHIVE:
                    yield from unpack(found, ledger, level + 1)
                elif found:
                    yield found
    except _DAMAGE:
        ledger.warn(f"{archive.name} cannot be opened: it is damaged or not a .zip archive. {_AGAIN}")


@dataclass(frozen=True)
class _Member:
    name: str
    kind: Kind
    info: zipfile.ZipInfo


def _members(archive: str, opened: zipfile.ZipFile, ledger: UploadBudget) -> list[_Member]:
    """Return the members worth reading, one for each name, upper folders first."""
    chosen: dict[PurePosixPath, _Member] = {}
    for info in opened.infolist():
        inner = info.filename.replace("\\", "/")
        path = PurePosixPath(inner)
        name = shown(f"{archive}/{path}")
        mode = info.external_attr >> 16
        if inner.endswith("/"):  # is_dir() fails on an empty name before Python 3.12
            continue
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
            ledger.warn(f"{name} was not read: its name leads out of the archive. {_AGAIN}")
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
            ledger.warn(f"{name} was not read: it is {what}. Upload the file itself.")
        elif kind := sort_out(path, ledger):
            if path in chosen:
                ledger.warn(f"{name} is in the archive more than once; the last one was read.")
            chosen[path] = _Member(name, kind, info)
    return [chosen[path] for path in sorted(chosen, key=lambda path: (len(path.parts), path))]


def _read(opened: zipfile.ZipFile, member: _Member, ledger: UploadBudget) -> FoundFile | None:
    info, name = member.info, member.name
    if info.flag_bits & _ENCRYPTED:
        ledger.warn(f"{name} was not read: it is encrypted. Upload it without a password.")
        return None
    if info.compress_type not in _COMPRESSIONS:
        ledger.warn(f"{name} was not read: its compression is not supported. {_AGAIN}")
        return None
    if not ledger.admit(name, member.kind, info.file_size):
        return None
    try:
        data = _inflated(opened, info)
    except _DAMAGE:
        ledger.warn(f"{name} was not read: it is damaged in the archive. {_AGAIN}")
        return None
    if data is None:
        ledger.warn(f"{name} was not read: it is larger than the archive says. {_AGAIN}")
        return None
    return FoundFile(name, member.kind, data, _seconds(info))


def _inflated(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    """Return the member's bytes, at most as many as the archive told of; None if there are more."""
    parts, size = [], 0
    with opened.open(member) as stream:
        while part := stream.read(64 * KIB):
            parts.append(part)
            size += len(part)
            if size > member.file_size:
                return None
    return b"".join(parts)


def _seconds(member: zipfile.ZipInfo) -> float:
    try:
        return float(calendar.timegm((*member.date_time, 0, 0, 0)))
    except ValueError:
        return 0.0  # some tools leave the date empty, which is month 0
