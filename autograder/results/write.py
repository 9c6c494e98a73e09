"""Puts results.json in its place in one step: at any moment the old file is there, whole, or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from autograder.errors import ResultsFault
from autograder.results.schema import validate

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(results: dict[str, Any], path: Path) -> None:
    """Validate the results and write them to path, whose folder is made if it is missing.

    The file is for its owner alone (mode 0600). Whatever stands at path is replaced, never opened or
    followed: a symbolic link, a FIFO. Raises ResultsFault if the results are not valid, if path is a
    folder or cannot be written; an older file is then still there.
    """
    data = validate(results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _replace(data, path.name, folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ResultsFault(
            f"The results could not be written to {path}: expected a file in a folder that this user may "
            f"write to, with room, got: {error.strerror}. Make room, or name another file with --results."
        ) from error


def _replace(data: bytes, name: str, folder: int) -> None:
    temporary = f".{name}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):  # left by a killed process that had the same number
        os.unlink(temporary, dir_fd=folder)
    descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)
