"""The zip that a course uploads to Gradescope.

Gradescope wants `setup.sh` and `run_autograder` at the root of the zip, unpacks it into
/autograder/source while it builds the image, and runs `setup.sh` there. The packages are in the zip as one
`source.tar`, which `setup.sh` unpacks: a zip compresses each file by itself, and a hundred small modules
that share their words take a third less as one. The zip is deterministic: the same sources give the same
bytes on every machine, so that two bundles can be compared by their checksum.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from autograder.errors import UsageError

SCRIPTS: Final = ("run_autograder", "setup.sh")
FILES: Final = (*SCRIPTS, "LICENSE", "requirements.txt")
FOLDERS: Final = ("autograder", "reference")
STAFF_ONLY: Final = ("autograder/regrade/", "autograder/bundle.py")
"""What nobody calls in a container that grades one upload."""

ARCHIVE: Final = "source.tar"

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold, given to every member."""
_REGULAR: Final = 0o100000


def build(destination: Path, root: Path) -> list[str]:
    """Write the bundle of the sources in root to destination; give the names of the files in it, sorted.

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
                for name in FILES:
                    bundle.writestr(_member(name), (root / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
                packages = _tar(root, [name for name in names if name not in FILES])
                bundle.writestr(_member(ARCHIVE), packages, zipfile.ZIP_DEFLATED, 9)
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
            if path.is_file() and not _is_rubbish(inside) and not inside.as_posix().startswith(STAFF_ONLY):
                yield inside.as_posix()


def _is_rubbish(inside: Path) -> bool:
    """Whether this is a cache, an editor's backup or a hidden file."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
    return hidden or inside.name.endswith((".pyc", "~", ".orig", ".rej"))


def _tar(root: Path, names: list[str]) -> bytes:
    """Return the files as a tar whose every header but name and size is the default: root's, mode 644."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            content = (root / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = 3  # Unix, on every machine: the mode counts
    member.external_attr = (_REGULAR | (0o755 if name in SCRIPTS else 0o644)) << 16
    return member
