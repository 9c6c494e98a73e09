"""The zip that a course uploads to Gradescope.

Gradescope wants `setup.sh` and `run_autograder` at the root of the zip, unpacks it into
/autograder/source while it builds the image, and runs `setup.sh` there. The zip is deterministic: the same
sources give the same bytes on every machine, so that two bundles can be compared by their checksum.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autograder.errors import UsageError

SCRIPTS: Final = ("run_autograder", "setup.sh")
FILES: Final = (*SCRIPTS, "LICENSE", "requirements.txt")
FOLDERS: Final = ("autograder", "reference")

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold, given to every member."""
_REGULAR: Final = 0o100000


def build(destination: Path, root: Path) -> list[str]:
    """Write the bundle of the sources in root to destination; give the names in it, sorted.

    destination is replaced in one step, or left as it was. Raises UsageError if it cannot be written, or if
    root is not a whole checkout.
    """
    names = sorted(_names(root))
    if destination.is_dir():
        raise UsageError(
            f"{destination} is a folder: name the zip to write, {destination / 'autograder.zip'}"
        )
    try:
        with tempfile.TemporaryDirectory(dir=destination.absolute().parent, prefix=".bundle-") as folder:
            partial = Path(folder, "bundle.zip")
            with zipfile.ZipFile(partial, "w") as bundle:
                for name in names:
                    bundle.writestr(_member(name), (root / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
            partial.replace(destination)
    except OSError as error:
        raise UsageError(f"{destination} cannot be written: {error.strerror}") from error
    return names


def _names(root: Path) -> Iterator[str]:
    for name in FILES:
        if not (root / name).is_file():
            raise UsageError(f"{root} is not a whole checkout of the autograder: it has no {name}")
        yield name
    for folder in FOLDERS:
        if not (root / folder).is_dir():
            raise UsageError(f"{root} is not a whole checkout of the autograder: it has no folder {folder}")
        for path in (root / folder).rglob("*"):
            inside = path.relative_to(root)
            if path.is_file() and not _is_rubbish(inside):
                yield inside.as_posix()


def _is_rubbish(inside: Path) -> bool:
    """Whether this is a cache, an editor's backup or a hidden file."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
    return hidden or inside.name.endswith((".pyc", "~", ".orig", ".rej"))


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = 3  # Unix, on every machine: the mode counts
    member.external_attr = (_REGULAR | (0o755 if name in SCRIPTS else 0o644)) << 16
    return member
