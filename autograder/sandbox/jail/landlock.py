"""Landlock: the files that may be read, and no TCP, no signal, no abstract socket to the outside.

Written here, in ctypes, because no package on the index is a safer choice: landlock 1.0.0.dev5 (May 2025)
is a pre-release that stops before signal scoping, py-landlock 0.1.1 (January 2026) and landlockpy 0.2.0
are young one-author wrappers of the same three system calls, and each raises or prints where a jail has to
go on with the layers that are left.

Which access rights the kernel knows is found by asking it for each, not from a table of versions: a right
that is younger than this file is handled, and thus refused, too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import Final

from .libc import syscall

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
"""The same on every architecture."""

_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_WORDS: Final = ("files", "network", "scopes")
"""The 64-bit fields of struct landlock_ruleset_attr, in order."""


def handled_rights() -> tuple[int, int, int]:
    """Every right this kernel can refuse: bits for files, for the network, for scopes. All 0: no Landlock."""
    found = [0, 0, 0]
    for field in range(len(_WORDS)):
        bit = 1
        while bit < 1 << 63:
            trial = [0, 0, 0]
            trial[field] = bit
            try:
                os.close(_create_ruleset(trial))
            except OSError:
                break
            found[field] |= bit
            bit <<= 1
    return found[0], found[1], found[2]


def open_ruleset(rights: tuple[int, int, int], readable: Iterable[str]) -> int:
    """A descriptor of the rules: all of rights refused, but reading what is readable. Raises OSError.

    Paths that are not there are passed over.
    """
    ruleset = _create_ruleset(rights)
    try:
        for path in readable:
            _allow_reading(ruleset, path)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict_self(ruleset: int) -> None:
    """Put this thread, and all it starts, under the rules, for good. Needs no_new_privs. Raises OSError."""
    try:
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _create_ruleset(rights: Iterable[int]) -> int:
    attributes = struct.pack("=QQQ", *rights)
    return syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = os.path.isdir(path)  # noqa: PTH112  (a Path costs more than the whole rule)
        access = _READ_FILE | _READ_DIR if is_folder else _READ_FILE
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)
