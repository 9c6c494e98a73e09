"""Reads what is to be graded again: a Gradescope export, or any folder of submissions.

Both come as a folder or a zip. A Gradescope export has a `submission_metadata.yml` somewhere near
its top and a folder `submission_<id>/` beside it for each key of that file. Nothing in either is
trusted: a damaged entry comes out as an `Entry` with its damage, never as an exception.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from autograder.errors import UsageError
from autograder.regrade.metadata import read_metadata
from autograder.regrade.types import Entry, Export, InArchive, OnDisk, Upload

METADATA = "submission_metadata.yml"
_FOLDER_OF_KEY = re.compile(r"submission_(.+)")
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_LITTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


def read_export(path: Path) -> Export:
    """Everything in the export, in the order of its ids.

    Raises UsageError if path is neither a folder nor a zip, or holds no submission.
    """
    if path.is_dir():
        export = _read_folder(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        export = _read_zip(path)
    else:
        raise UsageError(
            f"Expected a folder or a zip with submissions, got {path}"
            + ("" if path.exists() else ", which does not exist")
            + ". Give the file that Gradescope's “Export Submissions” made."
        )
    if not export.entries:
        raise UsageError(f"There are no submissions in {path}: expected one folder or file for each.")
    return export


def _read_folder(path: Path) -> Export:
    root, metadata = path, path / METADATA
    if not metadata.is_file():
        inside = [child for child in _children(path) if child.is_dir() and (child / METADATA).is_file()]
        if len(inside) == 1:
            root, metadata = inside[0], inside[0] / METADATA
    children = [child for child in _children(root) if child.name != METADATA]
    if not metadata.is_file():
        return Export(tuple(_sorted(_anonymous(children))), ())
    uploads: dict[str, Upload] = {child.name: OnDisk(child) for child in children if child.is_dir()}
    with metadata.open("rb") as stream:
        return _joined(stream, uploads)


def _children(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.name not in _LITTER and not child.name.startswith(".") and not child.is_symlink()
    )


def _anonymous(children: list[Path]) -> Iterable[Entry]:
    """One entry per folder or file; a file goes by its name without suffix if that is unique."""
    stems = [child.name if child.is_dir() else child.stem for child in children]
    for child, stem in zip(children, stems, strict=True):
        yield Entry(id=_safe_id(stem if stems.count(stem) == 1 else child.name), upload=OnDisk(child))


def _read_zip(path: Path) -> Export:
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(path, archive)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UsageError(
            f"{path} cannot be read as a zip ({error}). Export the submissions again."
        ) from error


def _read_archive(path: Path, archive: zipfile.ZipFile) -> Export:
    notes: list[str] = []
    names: list[str] = []
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        if info.is_dir() or _LITTER.intersection(parts):
            continue
        if stat.S_ISLNK(info.external_attr >> 16) or ".." in parts or info.filename.startswith("/"):
            notes.append(f"left out of the zip: {info.filename!r} is a link or leaves its folder")
            continue
        names.append(info.filename)
    metadata = min(
        (name for name in names if PurePosixPath(name).name == METADATA),
        key=lambda name: (name.count("/"), name),
        default=None,
    )
    root = metadata[: -len(METADATA)] if metadata is not None else _common_folder(names)
    uploads = _by_folder(path, (name for name in names if name != metadata), root)
    if metadata is None:
        entries = (Entry(id=_safe_id(name), upload=upload) for name, upload in uploads.items())
        return Export(tuple(_sorted(entries)), tuple(notes))
    with archive.open(metadata) as stream:
        export = _joined(stream, uploads)
    return Export(export.entries, (*notes, *export.notes))


def _common_folder(names: list[str]) -> str:
    """The one folder, if there is one, that holds everything and more than one submission."""
    tops = {PurePosixPath(name).parts[0] for name in names}
    seconds = {PurePosixPath(name).parts[1] for name in names if len(PurePosixPath(name).parts) > 2}
    return f"{tops.pop()}/" if len(tops) == 1 and len(seconds) > 1 else ""


def _by_folder(path: Path, names: Iterable[str], root: str) -> dict[str, Upload]:
    members: dict[str, list[str]] = {}
    for name in names:
        if name.startswith(root):
            members.setdefault(name[len(root) :].split("/", 1)[0], []).append(name)
    uploads: dict[str, Upload] = {}
    for top, inside in members.items():
        single = inside == [root + top]
        uploads[top] = InArchive(path, tuple(inside), root if single else f"{root}{top}/", single)
    return uploads


def _joined(metadata: IO[bytes], uploads: Mapping[str, Upload]) -> Export:
    """Puts the metadata's entries and the folders together; each may lack the other."""
    entries: dict[str, Entry] = {}
    known, notes = read_metadata(metadata)
    for name, entry in known.items():
        upload = uploads.get(name)
        damage = "" if upload is not None else f"the export has no folder {name}: there is nothing to grade"
        entries[name] = Entry(
            id=_id_of(name),
            upload=upload,
            submitters=entry.submitters,
            created_at=entry.created_at,
            attempts=entry.attempts,
            before=entry.before,
            damage=damage,
        )
    for name, upload in uploads.items():
        if name not in entries and _FOLDER_OF_KEY.fullmatch(name):
            notes.append(f"{name} has no readable entry in {METADATA}: graded without a name or an old score")
            entries[name] = Entry(id=_id_of(name), upload=upload)
    return Export(tuple(_sorted(entries.values())), tuple(notes))


def _id_of(name: str) -> str:
    match = _FOLDER_OF_KEY.fullmatch(name)
    return _safe_id(match[1] if match else name)


def _safe_id(name: str) -> str:
    """The name, if it can be a file's name everywhere; else what can be kept of it and a hash."""
    if _SAFE_ID.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).strip(".-")[:80] or "submission"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{kept}-{digest}"


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """By id; ids that are numbers by their value."""
    return sorted(entries, key=lambda entry: (len(entry.id) if entry.id.isdigit() else 1000, entry.id))
