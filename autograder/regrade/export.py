"""Reads what is to be graded again: a Gradescope export, or any folder of submissions, zipped or not.

A Gradescope export has a `submission_metadata.yml` at its top, or in folders that hold nothing else, and a
folder `submission_<id>/` beside it for each key of that file. Anything else has one folder or one file per
submission, or Canvas' flat list, whose files are grouped by student. Nothing in it is trusted: what is
damaged comes out as an `Entry` with its damage or as a note, never as an exception.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Final

from autograder.errors import UsageError
from autograder.regrade.metadata import Metadata, read_metadata
from autograder.regrade.types import Entry, Export, Gathered, OnDisk, Upload
from autograder.regrade.uploads import ZIP_DAMAGE, open_file
from autograder.submission.files import kind_of
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
_UTF_8: Final = 0x800
"""The flag of a member whose name says to be UTF-8."""


def read_export(path: Path, *, folders_only: bool = False) -> Export:
    """Everything in the export, in the order of its ids. folders_only: files beside folders are left out.

    Raises UsageError if path is neither a folder nor a zip, holds no submission or is a single one, or holds
    files of which nobody can tell whether they are submissions.
    """
    if path.is_dir():
        export = _read(path, _of_folder(path), folders_only)
    elif path.is_file() and zipfile.is_zipfile(path):
        try:
            with opened_zip(path) as archive:
                export = _read(path, _of_zip(path, archive), folders_only)
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


@dataclass
class _Tree:
    """The names in a folder or a zip. files: where each lies, its path on disk or its member of the zip.

    Of a folder only the top is known, down to where it holds more than one thing; the rest is graded where it
    lies.
    """

    open: Callable[[str], IO[bytes]]
    archive: Path | None = None
    files: dict[PurePosixPath, str] = field(default_factory=dict)
    folders: set[PurePosixPath] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def inside(self, folder: PurePosixPath) -> list[str]:
        """The names directly in a folder, without what systems and editors leave."""
        found = {at.name for at in (*self.files, *self.folders) if at.parent == folder}
        return sorted(name for name in found if not _is_litter(name))


def _of_folder(path: Path) -> _Tree:
    """The top of a folder, down to where it holds more than one thing."""
    tree = _Tree(open_file)
    below, inner = path, PurePosixPath()
    for _ in range(_DEEPEST + 1):
        children = sorted(child for child in below.iterdir() if not _is_litter(child.name))
        for child in children:
            if child.is_symlink():
                tree.notes.append(f"left out: {_shown(child.name)} is a link")
            elif child.is_dir():
                tree.folders.add(inner / child.name)
            else:
                tree.files[inner / child.name] = str(child)
        if len(children) != 1 or not children[0].is_dir() or children[0].is_symlink():
            break
        below, inner = children[0], inner / children[0].name
    return tree


def _is_litter(name: str) -> bool:
    return name in _LITTER or name.startswith(".")


def _of_zip(path: Path, archive: zipfile.ZipFile) -> _Tree:
    """All of a zip, each name once; what cannot be unpacked safely is left out and told."""
    tree = _Tree(archive.open, path)
    infos = [(info, _name_in(info)) for info in archive.infolist()]
    files = {PurePosixPath(name) for info, name in infos if not name.endswith("/")}
    for info, name in infos:
        inner = PurePosixPath(name)
        if _LITTER.intersection(inner.parts):
            continue
        reason = _unsafe(info, name)
        if not reason and (files.intersection(inner.parents) or (name.endswith("/") and inner in files)):
            reason = "is a file and a folder"
        if reason:
            tree.notes.append(f"left out of the zip: {_shown(name)} {reason}")
        elif name.endswith("/"):
            tree.folders.add(inner)
        else:
            tree.files[inner] = info.filename
            tree.folders.update(parent for parent in inner.parents if parent.parts)
    return tree


def _name_in(info: zipfile.ZipInfo) -> str:
    """The member's path with slashes, a few tools of Windows write backslashes; in UTF-8 where it is that."""
    name = info.filename
    with contextlib.suppress(UnicodeError):
        if not info.flag_bits & _UTF_8:
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


class _Copy(mmap.mmap):
    """A file's bytes, to be changed in memory alone."""

    def seekable(self) -> bool:
        """What zipfile asks, and mmap answers from Python 3.13 on."""
        return True


@contextlib.contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, in which a name that says to be UTF-8 and is not costs nothing: zipfile refuses it all."""
    with path.open("rb") as stream, _Copy(stream.fileno(), 0, access=mmap.ACCESS_COPY) as data:
        end = data.rfind(b"PK\x05\x06")
        if 0 <= end <= len(data) - 22:
            size, at = struct.unpack("<12xII2x", data[end : end + 22])
            at = end - size if data[end - size : end - size + 4] == b"PK\x01\x02" else at
            while data[at : at + 4] == b"PK\x01\x02" and at + 46 <= end:
                name, extra, comment = struct.unpack("<3H", data[at + 28 : at + 34])
                if data[at + 9] & _UTF_8 >> 8 and not _is_utf8(data[at + 46 : at + 46 + name]):
                    (header,) = struct.unpack("<I", data[at + 42 : at + 46])
                    for flags in (at + 9, header + 7) if header < at else (at + 9,):
                        data[flags] &= 0xFF ^ _UTF_8 >> 8
                at += 46 + name + extra + comment
        with zipfile.ZipFile(data) as archive:  # type: ignore[call-overload]  # mmap reads, seeks and tells
            yield archive


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# --- What the names say. ---


def _read(path: Path, tree: _Tree, folders_only: bool) -> Export:
    root = _root(tree)
    uploads = _uploads(path, tree, root)
    files = [name for name in uploads if root / name in tree.files]
    if METADATA in files:
        if any(_KEY.fullmatch(name) for name in uploads.keys() - files):
            metadata = _metadata(tree, root / METADATA)
            notes = [
                f"{_shown(name)} lies beside the submissions: left out" for name in files if name != METADATA
            ]
            export = _joined(metadata, {name: uploads[name] for name in uploads if name not in files})
            return replace(export, notes=(*tree.notes, *notes, *export.notes))
        tree.notes.append(f"{METADATA} belongs to none of these folders: it was left out")
        files.remove(METADATA)
        del uploads[METADATA]
    strays = {at.parent for at in tree.files if at.name == METADATA and at.parent != root}
    if tree.archive is None:
        strays |= {root / name for name in uploads if (path / root / name / METADATA).is_file()}
    tree.notes += [_stray(folder) for folder in sorted(strays)]
    students = {name: f"{match[1]}_{match[2]}" for name in files if (match := _CANVAS.fullmatch(name))}
    loose = [name for name in files if name not in students]
    if folders_only:
        uploads = {name: upload for name, upload in uploads.items() if name not in loose}
    else:
        _refuse_what_is_unclear(path, loose, folders=len(uploads) > len(files))
    for student, names in _by_student(students).items():
        own = ((name[_CANVAS.fullmatch(name).start(3) :], tree.files[root / name]) for name in names)  # type: ignore[union-attr]
        uploads = {name: upload for name, upload in uploads.items() if name not in names}
        uploads[student] = Gathered(tuple(own), tree.archive)
    ids = ids_of_children(list(uploads), [name not in loose for name in uploads])
    entries = (
        Entry(id=one, upload=upload, folder=_shown(name))
        for one, (name, upload) in zip(ids, uploads.items(), strict=True)
    )
    return Export(tuple(_sorted(entries)), tuple(tree.notes))


def _root(tree: _Tree) -> PurePosixPath:
    """Where the submissions lie: beside the export's metadata, below folders that are alone in their own."""
    top = root = PurePosixPath()
    for _ in range(_DEEPEST + 1):
        names = tree.inside(root)
        if METADATA in names and any(_KEY.fullmatch(name) and root / name in tree.folders for name in names):
            return root
        if len(names) != 1 or root / names[0] not in tree.folders:
            break
        root /= names[0]
    names = tree.inside(top)
    if tree.archive is not None and len(names) == 1:  # a zip of a folder is that folder
        inner = tree.inside(top / names[0])
        folders = [name for name in inner if top / names[0] / name in tree.folders]
        if len(folders) > 1 and not any(map(_LOG.fullmatch, inner)):
            return top / names[0]
    return top


def _uploads(path: Path, tree: _Tree, root: PurePosixPath) -> dict[str, Upload]:
    """What lies in root, each folder or file as the upload that it would be."""
    names = tree.inside(root)
    if tree.archive is None:
        return {name: OnDisk(path / root / name) for name in names}
    depth = len(root.parts)
    members: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    for at, member in tree.files.items():
        if at.parts[:depth] == root.parts and at.parts[depth] in members:
            members[at.parts[depth]].append(("/".join(at.parts[depth + 1 :]), member))
    return {
        name: Gathered(((name, files[0][1]),), tree.archive, single=True)
        if root / name in tree.files
        else Gathered(tuple(files), tree.archive)
        for name, files in members.items()
    }


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


def _by_student(students: Mapping[str, str]) -> dict[str, list[str]]:
    """Canvas' files by whose they are."""
    grouped: dict[str, list[str]] = {}
    for name, student in students.items():
        grouped.setdefault(student, []).append(name)
    return grouped


def _metadata(tree: _Tree, at: PurePosixPath) -> Metadata:
    metadata = Metadata()
    try:
        with tree.open(tree.files[at]) as stream:
            metadata = read_metadata(stream)
    except ZIP_DAMAGE as error:
        metadata.notes.append(f"{METADATA} cannot be read: {error}")
    return metadata


def _shown(name: object) -> str:
    return clean(str(name), NAME_LIMIT, joiners=True)


def _stray(folder: PurePosixPath) -> str:
    return (
        f"{_shown(folder)} has a {METADATA}, which was taken for a student's file. If this is Gradescope's "
        "export, give the folder which that file lies in."
    )


def _joined(metadata: Metadata, uploads: Mapping[str, Upload]) -> Export:
    """Puts the metadata's entries and the folders together; each may lack the other."""
    notes = list(metadata.notes)
    names = sorted({*metadata.entries, *metadata.damaged, *uploads})
    unnamed = uploads.keys() - metadata.entries.keys()
    if len(unnamed) == len(uploads) > 1 and not metadata.damaged:
        notes.append(f"{METADATA} holds no entry that can be read: no names and no old scores are known")
        unnamed = set()
    entries = []
    for name, one in zip(names, safe_ids([_KEY.sub(r"\1", name) for name in names]), strict=True):
        known = metadata.entries.get(name, Entry(id=one, upload=None))
        upload = uploads.get(name)
        shown = _shown(name)
        damage = "" if upload is not None else f"the export has no folder {shown}: there is nothing to grade"
        if name in metadata.damaged:
            damage = damage and f"{damage}, and its entry in the metadata is damaged"
            notes.append(
                f"{shown} has a damaged entry in the metadata ({metadata.damaged[name]}): it has no name and "
                "no old score here"
            )
        elif name in unnamed:
            notes.append(f"{shown} has no entry in the metadata: graded without a name or an old score")
        entries.append(replace(known, id=one, upload=upload, damage=damage, folder=shown))
    return Export(tuple(_sorted(entries)), tuple(notes))


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """By id; ids that are numbers by their value."""
    return sorted(entries, key=lambda entry: (len(entry.id) if entry.id.isdigit() else 1000, entry.id))


# --- Ids: each can be a file's name everywhere, and no two are the same. ---


def safe_ids(names: Sequence[str]) -> list[str]:
    """An id for each of these different names: the name itself, or what can be kept of it and a hash.

    No two ids are the same, not even where capitals do not count in file names.
    """
    counts = Counter(name.casefold() for name in names if _SAFE.fullmatch(name))
    own = {name for name in names if counts[name.casefold()] == 1 and _SAFE.fullmatch(name)}
    taken = {name.casefold() for name in own}
    ids = {name: name for name in own}
    for name in sorted(set(names) - own):
        kept = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).lstrip(".-_@+")[:80] or "submission"
        for attempt in count():
            text = f"{name}{attempt or ''}".encode("utf-8", "surrogateescape")
            ids[name] = f"{kept}-{hashlib.sha256(text).hexdigest()[:8]}"
            if ids[name].casefold() not in taken:
                break
        taken.add(ids[name].casefold())
    return [ids[name] for name in names]


def ids_of_children(names: Sequence[str], folders: Sequence[bool]) -> list[str]:
    """An id for each child of a folder; a file goes by its name without suffix if nobody else does."""
    stems = [
        name if folder else PurePosixPath(name).stem for name, folder in zip(names, folders, strict=True)
    ]
    # A stem is taken if it is another's stem or another's whole name.
    counts = Counter(one.casefold() for pair in zip(stems, names, strict=True) for one in {*pair})
    return safe_ids(
        [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, names, strict=True)]
    )
