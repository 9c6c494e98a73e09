"""The grader's own side of the wall: what it does to itself so that a jail that leaks gives away less."""

from __future__ import annotations

import os

from . import libc


def guard_grader() -> None:
    """Make this process's memory unreadable to others of its user, and its files unreadable to other users.

    Call it first thing, in the grader and in every process between it and the jail. Never raises.
    """
    os.umask(0o077)
    try:
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
    except (OSError, libc.Lacking):
        return
