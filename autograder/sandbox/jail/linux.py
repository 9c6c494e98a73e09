"""What Python lacks of Linux: a few calls to the C library, and Landlock.

Each call raises OSError, or `Lacking` off Linux. Landlock is written here because no package is a safer
choice: landlock 1.0.0.dev5 (May 2025) stops before signal scoping, py-landlock 0.1.1 (January 2026) and
landlockpy 0.2.0 are young wrappers of the same three system calls, and each raises or prints where a jail has
to go on with the layers that are left.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2

ON_LINUX: Final = sys.platform.startswith("linux")
MACHINE: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower(), ""
)
"""The architecture, "" if it is neither of those whose system calls are known here."""

_NUMBERS: Final = {
    "": {},
    "x86_64": {"ptrace": 101, "capget": 125, "capset": 126, "process_vm_readv": 310, "seccomp": 317},
    "aarch64": {"capget": 90, "capset": 91, "ptrace": 117, "process_vm_readv": 270, "seccomp": 277},
}[MACHINE] | {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
"""Landlock's are the same on every architecture."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Lacking(Exception):
    """This system does not have what was asked for."""


def syscall(name: str, *args: ctypes.Array[ctypes.c_char] | bytes | int | None) -> int:
    """The result of a system call. Integers are passed as C longs."""
    if name not in _NUMBERS:
        raise Lacking
    return _call("syscall", _NUMBERS[name], *args)


def prctl(option: int, value: int) -> None:
    """prctl(option, value, 0, 0, 0)."""
    _call("prctl", option, value, 0, 0, 0)


def _call(function: str, *args: ctypes.Array[ctypes.c_char] | bytes | int | None) -> int:
    if not ON_LINUX:
        raise Lacking
    result: int = _libc[function](*(ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def mapped_bytes() -> int:
    """Address space that this process maps, in bytes. Raises Lacking where the kernel does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * mmap.PAGESIZE
    except OSError:
        raise Lacking from None


_THIS_PROCESS: Final = struct.pack("=Ii", 0x20080522, 0)
"""struct __user_cap_header_struct, of version 3. Its data are two of __user_cap_data_struct: the low and the
high words of what is effective, permitted, inheritable."""


def permitted_capabilities() -> int:
    """The permitted capabilities of this process, bit n for capability n."""
    data = ctypes.create_string_buffer(24)
    syscall("capget", _THIS_PROCESS, data)
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)


def set_capabilities(bits: int) -> None:
    """Have exactly these capabilities, permitted and effective, none inheritable."""
    low, high = bits & 0xFFFFFFFF, bits >> 32
    syscall("capset", _THIS_PROCESS, struct.pack("=6I", low, low, 0, high, high, 0))


# --- Landlock. ---

_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3

Rights = tuple[int, int, int]
"""Bits for files, for the network, for scopes: struct landlock_ruleset_attr."""


def handled_rights() -> Rights:
    """Every right this kernel can refuse; all 0: no Landlock.

    It is asked for each, so that a right that is younger than this file is handled, and thus refused, too.
    """

    def known(field: int) -> int:
        for bit in range(63):
            try:
                os.close(_create_ruleset(1 << bit if each == field else 0 for each in range(3)))
            except (OSError, Lacking):
                return (1 << bit) - 1
        return (1 << 63) - 1

    return known(0), known(1), known(2)


def open_ruleset(rights: Rights, readable: Iterable[str]) -> int:
    """A descriptor of the rules: all of rights refused, but reading what is readable. Raises OSError.

    Paths that are not there are passed over.
    """
    ruleset = _create_ruleset(rights)
    try:
        for path in filter(os.path.exists, readable):  # a Path costs more than the whole rule
            access = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE  # noqa: PTH112 the same
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", access, descriptor)
                syscall("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict_self(ruleset: int) -> None:
    """Put this thread, and all it starts, under the rules, for good. Needs no_new_privs. Raises OSError."""
    try:
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _create_ruleset(rights: Iterable[int]) -> int:
    attributes = struct.pack("=QQQ", *rights)
    return syscall("landlock_create_ruleset", attributes, len(attributes), 0)
