"""What an export's zip holds, by its directory alone: which members are which submission's."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.regrade.types import InArchive

METADATA: Final = "submission_metadata.yml"
LITTER: Final = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
_MAX_NAME_BYTES: Final = 255
"""What file systems take."""
_MAX_PATH_BYTES: Final = 2000


@dataclass(frozen=True)
class Archive:
    """metadata: the member that is the export's own. strays: folders with another of that name."""

    metadata: str | None
    uploads: dict[str, InArchive]
    strays: tuple[str, ...]
    notes: tuple[str, ...]


def read_archive(path: Path, archive: zipfile.ZipFile) -> Archive:
    """Everything in the zip at path, which is open as archive."""
    notes: list[str] = []
    names, folders = _names(archive, notes)
    found = [name for name in names if PurePosixPath(name).name == METADATA]
    # A student may have handed in a file of that name: the export's own lies above everything.
    top = [name for name in found if all(other.startswith(name[: -len(METADATA)]) for other in names)]
    metadata = min(top, key=len, default=None)
    root = metadata[: -len(METADATA)] if metadata is not None else _common_folder(names)
    uploads = _by_folder(path, (name for name in names if name != metadata), folders, root)
    strays = () if metadata is not None else tuple(str(PurePosixPath(name).parent) for name in found)
    return Archive(metadata, uploads, strays, tuple(notes))


def _names(archive: zipfile.ZipFile, notes: list[str]) -> tuple[list[str], list[str]]:
    """The files, each once, and the folders; what cannot be unpacked safely is left out and told."""
    infos = [info for info in archive.infolist() if not LITTER.intersection(info.filename.split("/"))]
    files = {info.filename for info in infos if not info.filename.endswith("/")}
    names: dict[str, None] = {}
    folders: list[str] = []
    for info in infos:
        name = info.filename
        reason = _unsafe(info) or ("is a file and a folder" if _is_in_a_file(name, files) else "")
        if reason:
            notes.append(f"left out of the zip: {name[:200]!r} {reason}")
        elif name.endswith("/"):
            folders.append(name)
        else:
            names[name] = None
    return list(names), folders


def _unsafe(info: zipfile.ZipInfo) -> str:
    name = info.filename.removesuffix("/")
    parts = name.split("/")
    if stat.S_ISLNK(info.external_attr >> 16) or ".." in parts or name.startswith("/"):
        return "is a link or leaves its folder"
    # An empty part would make the rest an absolute path once its submission's folder is cut off.
    if "" in parts or "." in parts or "\0" in name:
        return "has no proper path"
    if len(name.encode("utf-8", "replace")) > _MAX_PATH_BYTES or any(
        len(part.encode("utf-8", "replace")) > _MAX_NAME_BYTES for part in parts
    ):
        return "has a name that is too long"
    return ""


def _is_in_a_file(name: str, files: set[str]) -> bool:
    return any(parent.as_posix() in files for parent in PurePosixPath(name).parents) or (
        name.endswith("/") and name[:-1] in files
    )


def _common_folder(names: list[str]) -> str:
    """The one folder, if there is one, that holds everything and more than one submission."""
    tops = {PurePosixPath(name).parts[0] for name in names}
    seconds = {PurePosixPath(name).parts[1] for name in names if len(PurePosixPath(name).parts) > 2}
    return f"{tops.pop()}/" if len(tops) == 1 and len(seconds) > 1 else ""


def _by_folder(path: Path, names: Iterable[str], folders: Iterable[str], root: str) -> dict[str, InArchive]:
    members: dict[str, list[str]] = {}
    for name in (*names, *folders):
        top = name.removeprefix(root).split("/", 1)[0]
        if name.startswith(root) and top and not top.startswith("."):
            inside = members.setdefault(top, [])
            if not name.endswith("/"):
                inside.append(name)
    uploads: dict[str, InArchive] = {}
    for top, inside in members.items():
        single = inside == [root + top]
        uploads[top] = InArchive(path, tuple(inside), root if single else f"{root}{top}/", single)
    return uploads
