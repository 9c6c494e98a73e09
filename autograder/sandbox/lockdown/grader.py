"""The grader's own side of the wall: what it does to itself so that a jail that leaks gives away less."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import libc

_OF_OTHERS: Final = 0o077


def guard_grader() -> None:
    """Make this process's memory unreadable to others of its user, and its files unreadable to other users.

    Call it first thing, in the grader and in every process between it and the jail. Never raises.
    """
    os.umask(0o077)
    try:
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
    except (OSError, libc.Lacking):
        return


def hide_from_other_users(paths: Iterable[Path]) -> None:
    """Take what is at these paths from all but its owner, where this process is root; else do nothing.

    For the upload, the results and the grader's source: where there is no Landlock, the jail's user is kept
    from them by these bits alone. Folders need no more than their own. Never raises.
    """
    if os.geteuid() != 0:
        return
    for path in paths:
        try:
            path.chmod(path.stat().st_mode & 0o7777 & ~_OF_OTHERS)
        except OSError:
            continue
