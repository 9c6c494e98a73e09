"""Reads what is to be graded again: a Gradescope export, or any folder of submissions.

Both come as a folder or a zip. A Gradescope export has a `submission_metadata.yml` at its top, or in
folders that hold nothing else, and a folder `submission_<id>/` beside it for each key of that file.
Nothing in either is trusted: a damaged entry comes out as an `Entry` with its damage, never as an exception.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from autograder.errors import UsageError
from autograder.regrade.archive import LITTER, METADATA, read_archive
from autograder.regrade.ids import ids_of_children, safe_ids
from autograder.regrade.metadata import Metadata, read_metadata
from autograder.regrade.types import Entry, Export, OnDisk, Upload
from autograder.regrade.uploads import ZIP_DAMAGE

_FOLDER_OF_KEY: Final = re.compile(r"submission_(.+)")
_DEEPEST: Final = 3
"""Folders within folders, each alone in its own, that the export may lie in."""


def read_export(path: Path) -> Export:
    """Everything in the export, in the order of its ids.

    Raises UsageError if path is neither a folder nor a zip, or holds no submission.
    """
    if path.is_dir():
        export = _read_folder(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        export = _read_zip(path)
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


def _read_folder(path: Path) -> Export:
    root = _root(path)
    children = [child for child in _children(root) if child.name != METADATA]
    uploads: dict[str, Upload] = {child.name: OnDisk(child) for child in children}
    if not (root / METADATA).is_file():
        strays = [child.name for child in children if (child / METADATA).is_file()]
        return _anonymous(uploads, [child.is_dir() for child in children], [_stray(name) for name in strays])
    with (root / METADATA).open("rb") as stream:
        metadata = read_metadata(stream)
    return _joined(metadata, {child.name: uploads[child.name] for child in children if child.is_dir()})


def _root(path: Path) -> Path:
    """Where the metadata lie: in path or below it, but never where one submission of several has them."""
    root = path
    for _ in range(_DEEPEST):
        if (root / METADATA).is_file():
            return root
        children = _children(root)
        if len(children) != 1 or not children[0].is_dir():
            break
        (root,) = children
    return root if (root / METADATA).is_file() else path


def _children(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.name not in LITTER and not child.name.startswith(".") and not child.is_symlink()
    )


def _read_zip(path: Path) -> Export:
    try:
        with zipfile.ZipFile(path) as archive:
            found = read_archive(path, archive)
            if found.metadata is None:
                singles = [upload.single for upload in found.uploads.values()]
                notes = [*found.notes, *map(_stray, found.strays)]
                return _anonymous(found.uploads, [not single for single in singles], notes)
            metadata = Metadata()
            try:
                with archive.open(found.metadata) as stream:
                    metadata = read_metadata(stream)
            except ZIP_DAMAGE as error:
                metadata.notes.append(f"{METADATA} cannot be read: {error}")
    except ZIP_DAMAGE as error:
        raise UsageError(
            f"{path} cannot be read as a zip ({error}). Export the submissions again, or unpack it yourself "
            "and give the folder."
        ) from error
    folders = {name: upload for name, upload in found.uploads.items() if not upload.single}
    export = _joined(metadata, folders)
    return replace(export, notes=(*found.notes, *export.notes))


def _stray(folder: str) -> str:
    return (
        f"{folder} has a {METADATA}, which was taken for a student's file. If this is Gradescope's export, "
        "give the folder which that file lies in."
    )


def _anonymous(uploads: Mapping[str, Upload], folders: list[bool], notes: list[str]) -> Export:
    """One entry per folder or file. folders: which of the uploads are folders."""
    ids = ids_of_children(list(uploads), folders)
    entries = (Entry(id=one, upload=upload) for one, upload in zip(ids, uploads.values(), strict=True))
    return Export(tuple(_sorted(entries)), tuple(notes))


def _joined(metadata: Metadata, uploads: Mapping[str, Upload]) -> Export:
    """Puts the metadata's entries and the folders together; each may lack the other."""
    notes = list(metadata.notes)
    folders = {name for name in uploads if _FOLDER_OF_KEY.fullmatch(name)}
    names = sorted({*metadata.entries, *metadata.damaged, *folders})
    unnamed = folders - metadata.entries.keys()
    if unnamed == folders and len(folders) > 1 and not metadata.damaged:
        notes.append(f"{METADATA} holds no entry that can be read: no names and no old scores are known")
        unnamed = set()
    entries = []
    for name, one in zip(names, safe_ids([_FOLDER_OF_KEY.sub(r"\1", name) for name in names]), strict=True):
        known = metadata.entries.get(name, Entry(id=one, upload=None))
        upload = uploads.get(name)
        damage = "" if upload is not None else f"the export has no folder {name}: there is nothing to grade"
        if name in metadata.damaged:
            damage = damage and f"{damage}, and its entry in the metadata is damaged"
            notes.append(
                f"{name} has a damaged entry in the metadata ({metadata.damaged[name]}): it has no name and "
                "no old score here"
            )
        elif name in unnamed:
            notes.append(f"{name} has no entry in the metadata: graded without a name or an old score")
        entries.append(replace(known, id=one, upload=upload, damage=damage))
    return Export(tuple(_sorted(entries)), tuple(notes))


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    """By id; ids that are numbers by their value."""
    return sorted(entries, key=lambda entry: (len(entry.id) if entry.id.isdigit() else 1000, entry.id))
