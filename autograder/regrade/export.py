"""Reads what is to be graded again: a Gradescope export, or any folder of submissions, zipped or not.

A Gradescope export has a folder `submission_<id>/` for each key of its `submission_metadata.yml`. Anything
else has a folder or a file per submission, or Canvas' flat list, whose files are grouped by student. What is
damaged comes out as an `Entry` with its damage or as a note, never as an exception: nothing is trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.errors import UsageError
from autograder.regrade.metadata import read_metadata
from autograder.regrade.types import Entry, Export, Upload
from autograder.submission.files import ZIP_DAMAGE, kind_of
from autograder.text import NAME_LIMIT, clean

METADATA: Final = "submission_metadata.yml"
_LITTER: Final = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_KEY: Final = re.compile(r"submission_(.+)")
_CANVAS: Final = re.compile(r"([^_]+)_(?:LATE_)?(\d+)_\d+_(.+)")
"""Canvas' name of a file: the student, their number, the file's own number, its name."""
_LOG: Final = re.compile(r"submission_log\b.*", re.IGNORECASE)
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_DEEPEST: Final = 3
"""Folders within folders, each alone in its own, that the export may lie in."""
_MAX_NAME_BYTES: Final = 255
"""What file systems take."""
_MAX_PATH_BYTES: Final = 2000
_UTF_8: Final = 0x8
"""In the second byte of a member's flags: its name says to be UTF-8."""


def read_export(path: Path, *, folders_only: bool = False) -> Export:
    """Everything in the export, in the order of its ids. folders_only: files beside folders are left out.

    Raises UsageError if path is neither a folder nor a zip, holds no submission or is a single one, or holds
    files of which nobody can tell whether they are submissions.
    """
    notes: list[str] = []
    if path.is_dir():
        export = _read(path, None, notes, folders_only)
    elif path.is_file() and zipfile.is_zipfile(path):
        try:
            with opened_zip(path, notes) as archive:
                export = _read(path, archive, notes, folders_only)
        except ZIP_DAMAGE as error:
            raise UsageError(
                f"{path} cannot be read as a zip ({error}). Export the submissions again, or unpack it "
                "yourself and give the folder."
            ) from error
    elif path.is_file() and path.suffix.lower() == ".zip":
        raise UsageError(f"{path} is not a whole zip, its end is missing. Export the submissions again.")
    else:
        raise UsageError(
            f"Expected a folder or a zip with submissions, got {path}"
            + ("" if path.exists() else ", which does not exist")
            + ". Give the file that Gradescope's “Export Submissions” made."
        )
    if not export.entries:
        raise UsageError(f"There are no submissions in {path}: expected one folder or file for each.")
    return export


# --- A zip. ---


class _Copy(mmap.mmap):
    """A file's bytes, to be changed in memory alone."""

    def seekable(self) -> bool:
        """What zipfile asks, and mmap answers from Python 3.13 on."""
        return True


@contextlib.contextmanager
def opened_zip(path: Path, notes: list[str] | None = None) -> Iterator[zipfile.ZipFile]:
    """The zip with the members that can be unpacked safely, each name once; notes gets what is left out.

    A name that says to be UTF-8 and is not costs nothing: zipfile would refuse the whole.
    """
    with path.open("rb") as stream, _Copy(stream.fileno(), 0, access=mmap.ACCESS_COPY) as data:
        end = data.rfind(b"PK\x05\x06")
        at = end - int.from_bytes(data[end + 12 : end + 16], "little")
        while 0 <= at <= end - 46 and data[at : at + 4] == b"PK\x01\x02":
            name, extra, comment, header = struct.unpack("<3H8xI", data[at + 28 : at + 46])
            try:
                data[at + 46 : at + 46 + name].decode("utf-8")
            except UnicodeDecodeError:
                for flags in (at + 9, min(header + 7, at)):
                    data[flags] &= 0xFF ^ _UTF_8
            at += 46 + name + extra + comment
        with zipfile.ZipFile(data) as archive:  # type: ignore[call-overload]  # mmap reads, seeks and tells
            _keep_what_is_safe(archive, [] if notes is None else notes)
            yield archive


def _keep_what_is_safe(archive: zipfile.ZipFile, notes: list[str]) -> None:
    members = [(_name_in(info), info) for info in archive.infolist()]
    files = {PurePosixPath(name) for name, _ in members if not name.endswith("/")}
    archive.NameToInfo = {}
    for name, info in members:
        inner = PurePosixPath(name)
        if _LITTER.intersection(inner.parts):
            continue
        reason = _unsafe(info, name)
        if not reason and (files.intersection(inner.parents) or (name.endswith("/") and inner in files)):
            reason = "is a file and a folder"
        if reason:
            notes.append(f"left out of the zip: {_shown(name)} {reason}")
        else:
            info.filename = name
            archive.NameToInfo[name] = info
    archive.filelist = list(archive.NameToInfo.values())


def _name_in(info: zipfile.ZipInfo) -> str:
    """The member's path with slashes, a few tools of Windows write backslashes; in UTF-8 where it is that."""
    name = info.filename
    with contextlib.suppress(UnicodeError):
        if not info.flag_bits & _UTF_8 << 8:
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _unsafe(info: zipfile.ZipInfo, name: str) -> str:
    parts = name.removesuffix("/").split("/")
    if stat.S_ISLNK(info.external_attr >> 16) or ".." in parts or name.startswith("/") or ":" in parts[0]:
        return "is a link or leaves its folder"
    # An empty part would make the rest an absolute path once its submission's folder is cut off.
    if "" in parts or "." in parts or "\0" in name:
        return "has no proper path"
    if len(os.fsencode(name)) > _MAX_PATH_BYTES or any(len(os.fsencode(p)) > _MAX_NAME_BYTES for p in parts):
        return "has a name that is too long"
    return ""


# --- What the names say. ---


def _on_disk(path: Path, notes: list[str]) -> set[str]:
    """The names of everything below a folder, as a zip has them; notes gets the links, which are left out."""
    names = set()
    for folder, folders, files in os.walk(path):
        for name in sorted((*folders, *files)):
            place = Path(folder, name)
            inner = place.relative_to(path).as_posix()
            if place.is_symlink():
                notes.append(f"left out: {_shown(inner)} is a link")
            else:
                names.add(f"{inner}/" if place.is_dir() else inner)
    return names


def _read(path: Path, archive: zipfile.ZipFile | None, notes: list[str], folders_only: bool) -> Export:
    """The names of folders end with a slash, as in a zip."""
    names = _on_disk(path, notes) if archive is None else {*archive.namelist()}
    root = _root(names, zipped=archive is not None)
    uploads = _uploads(names, root, f"{path}/" if archive is None else "")
    files = [name for name in uploads if root + name in names]
    if METADATA in files:
        if any(_KEY.fullmatch(name) for name in uploads.keys() - files):
            notes += [
                f"{_shown(file)} lies beside the submissions: left out" for file in files if file != METADATA
            ]
            known: dict[str, Entry | str] = {}
            try:
                ((_, file),) = uploads[METADATA]
                with archive.open(file) if archive else Path(file).open("rb") as stream:
                    known = read_metadata(stream, notes)
            except ZIP_DAMAGE as error:
                notes.append(f"{METADATA} cannot be read: {error}")
            folders = {name: uploads[name] for name in uploads if name not in files}
            return Export(_sorted(_joined(known, folders, notes)), tuple(notes))
        notes.append(f"{METADATA} belongs to none of these folders: it was left out")
        files.remove(METADATA)
        del uploads[METADATA]
    notes += [
        f"{_shown(name)} has a {METADATA}, which was taken for a student's file. If this is Gradescope's "
        "export, give the folder which that file lies in."
        for name in uploads
        if f"{root}{name}/{METADATA}" in names
    ]
    loose = [name for name in files if not _CANVAS.fullmatch(name)]
    if folders_only:
        uploads = {name: upload for name, upload in uploads.items() if name not in loose}
    else:
        _refuse_what_is_unclear(path, loose, folders=len(uploads) > len(files))
    students: dict[str, Upload] = {}
    for name in files:
        if match := _CANVAS.fullmatch(name):
            student = f"{match[1]}_{match[2]}"
            ((_, source),) = uploads.pop(name)
            students[student] = (*students.get(student, ()), (match[3], source))
    for student, own in students.items():
        uploads[student if student not in uploads else f"{student} (files)"] = own
    entries = (
        Entry(id=one, upload=upload, folder=_shown(name))
        for one, (name, upload) in zip(safe_ids(list(uploads), loose), uploads.items(), strict=True)
    )
    return Export(_sorted(entries), tuple(notes))


def _root(names: Set[str], *, zipped: bool) -> str:
    """Where the submissions lie: beside the export's metadata, below folders that are alone in their own."""
    levels = [""]
    for _ in range(_DEEPEST + 1):
        inside = _uploads(names, levels[-1])
        folders = [name for name in inside if levels[-1] + name not in names]
        if METADATA in inside and any(map(_KEY.fullmatch, folders)):
            return levels[-1]
        if len(inside) != 1 or not folders:
            break
        levels.append(f"{levels[-1]}{folders[0]}/")
    if zipped and len(levels) > 1:  # a zip of a folder is that folder
        inside = _uploads(names, levels[1])
        if sum(levels[1] + name not in names for name in inside) > 1 and not any(map(_LOG.fullmatch, inside)):
            return levels[1]
    return ""


def _uploads(names: Set[str], root: str, where: str = "") -> dict[str, Upload]:
    """Each folder or file of root as the upload that it would be; without what systems and editors leave.

    where: stands before the names of all files.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        child, _, inner = name[len(root) :].partition("/")
        if name.startswith(root) and child and not child.startswith(".") and child not in _LITTER:
            files = found.setdefault(child, [])
            if not name.endswith("/"):
                files.append((inner or child, where + name))
    return {child: tuple(sorted(found[child])) for child in sorted(found)}


def _refuse_what_is_unclear(path: Path, files: Sequence[str], *, folders: bool) -> None:
    """Raises UsageError where a folder of this kind may be meant in two ways."""
    logs = [name for name in files if _LOG.fullmatch(name)]
    if logs:
        raise UsageError(
            f"{path} looks like one submission, since {_shown(logs[0])} lies in it. To grade it: "
            f"./run_autograder {path}. To regrade a class, name the folder that holds one for each submission"
            + (", or add --folders-only to leave out the files beside the folders." if folders else ".")
        )
    useless = [name for name in files if kind_of(name) is None]
    if folders and useless:
        raise UsageError(
            f"Beside the folders of {path} lies {', '.join(map(_shown, useless[:5]))}: is that a submission? "
            "If not, add --folders-only to leave out the files beside the folders; else put it in a folder "
            "of its own."
        )


def _shown(name: str) -> str:
    return clean(name, NAME_LIMIT, joiners=True)


def _joined(
    known: Mapping[str, Entry | str], uploads: Mapping[str, Upload], notes: list[str]
) -> Iterator[Entry]:
    """Puts what the metadata know and the folders together; each may lack the other."""
    strange = len(uploads) > 1 and known.keys().isdisjoint(uploads)
    if strange:
        notes.append(f"{METADATA} holds no entry that can be read: no names and no old scores are known")
    names = sorted({*known, *uploads})
    for name, one in zip(names, safe_ids([_KEY.sub(r"\1", name) for name in names]), strict=True):
        entry, shown = known.get(name), _shown(name)
        damage = "" if name in uploads else f"the export has no folder {shown}: there is nothing to grade"
        if isinstance(entry, str):
            damage = damage and f"{damage}, and its entry in the metadata is damaged"
            notes.append(
                f"{shown} has a damaged entry in the metadata ({entry}): it has no name and no old score here"
            )
        elif entry is None and not strange:
            notes.append(f"{shown} has no entry in the metadata: graded without a name or an old score")
        known_of = entry if isinstance(entry, Entry) else Entry(one)
        yield replace(known_of, id=one, upload=uploads.get(name), damage=damage, folder=shown)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """By id; ids that are numbers by their value."""
    return tuple(sorted(entries, key=lambda entry: (len(entry.id) if entry.id.isdigit() else 1000, entry.id)))


# --- Ids: each can be a file's name everywhere, and no two are the same. ---


def safe_ids(names: Sequence[str], files: Sequence[str] = ()) -> list[str]:
    """An id for each of these different names: the name itself, or what can be kept of it and a hash.

    No two ids are the same, not even where capitals do not count in file names. files: those of the names
    that go without their suffix, if nobody else does.
    """
    stems = [PurePosixPath(name).stem if name in files else name for name in names]
    # A stem is taken if it is another's stem or another's whole name.
    counts = Counter(one.casefold() for pair in zip(stems, names, strict=True) for one in {*pair})
    wanted = [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, names, strict=True)]
    counts = Counter(name.casefold() for name in wanted if _SAFE.fullmatch(name))
    ids = {name: name for name in wanted if _SAFE.fullmatch(name) and counts[name.casefold()] == 1}
    taken = {name.casefold() for name in ids}
    for name in sorted(set(wanted) - ids.keys()):
        kept = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).lstrip(".-_@+")[:80] or "submission"
        texts = (f"{name}{attempt or ''}".encode("utf-8", "surrogateescape") for attempt in count())
        hashed = (f"{kept}-{hashlib.sha256(text).hexdigest()[:8]}" for text in texts)
        ids[name] = next(one for one in hashed if one.casefold() not in taken)
        taken.add(ids[name].casefold())
    return [ids[name] for name in wanted]
