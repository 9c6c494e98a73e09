"""Which grader this is: its version, and a fingerprint of every file that a grade depends on.

Two results with one line of this were graded alike; where a file differs by one byte, so does the line.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Final

VERSION: Final = "1.0.0"
PROJECT: Final = Path(__file__).resolve().parent.parent

_FOLDERS: Final = ("autograder", "reference")
_NEVER_GRADES: Final = (
    *("autograder/at_home.py", "autograder/bundle.py", "autograder/kit.py"),
    *("autograder/compare.py", "autograder/explain.py", "autograder/regrade/"),
    "autograder/templates/check.py.txt",
)
"""What staff call on their own machines, and no grade depends on."""
_LEFT_BEHIND: Final = re.compile(r"^\.|(\.pyc|~|\.orig|\.rej)$")
"""Hidden files, caches and what editors leave."""
_DIGITS: Final = 12


@functools.cache
def version_line() -> str:
    """Name, version and fingerprint of this grader: "autograder 1.0.0 (0123456789ab)"."""
    return f"autograder {VERSION} ({fingerprint(PROJECT)[:_DIGITS]})"


def fingerprint(project: Path) -> str:
    """The hash, in hexadecimal, of the files that `grading_files` names and their names; some 3 ms."""
    digest = hashlib.sha256()
    for name in grading_files(project):
        content = (project / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def grading_files(project: Path) -> list[str]:
    """The files that a grade depends on, by their sorted names below project: what the bundle holds."""
    names = ["requirements.txt"] if (project / "requirements.txt").is_file() else []
    for top in _FOLDERS:
        for place, folders, files in os.walk(project / top):
            folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
            within = place[len(str(project)) + 1 :]
            names += [f"{within}/{name}" for name in files if not _LEFT_BEHIND.search(name)]
    return sorted(name for name in names if not name.startswith(_NEVER_GRADES))
