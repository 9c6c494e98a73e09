"""What Python lacks of Linux: a few calls to the C library, and Landlock.

Each call raises OSError, or `Lacking` off Linux. Landlock lets files be read, and refuses TCP, signals and
abstract sockets to the outside. It is written here, in ctypes, because no package on the index is a safer
choice: landlock 1.0.0.dev5 (May 2025) is a pre-release that stops before signal scoping, py-landlock 0.1.1
(January 2026) and landlockpy 0.2.0 are young one-author wrappers of the same three system calls, and each
raises or prints where a jail has to go on with the layers that are left. Which access rights the kernel knows
is found by asking it for each, not from a table of versions: a right that is younger than this file is
handled, and thus refused, too.
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
PR_SET_NO_NEW_PRIVS: Final = 38

CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2

_CAPABILITY_VERSION_3: Final = 0x20080522

ON_LINUX: Final = sys.platform.startswith("linux")
MACHINE: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
    platform.machine().lower(), ""
)
"""The architecture, "" if it is neither of those whose system calls are known here."""

_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CAPGET: Final = {"x86_64": 125, "aarch64": 90}

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Lacking(Exception):
    """This system does not have what was asked for."""


def syscall(number: int, *args: ctypes.Array[ctypes.c_char] | bytes | int | None) -> int:
    """The result of a system call. Integers are passed as C longs."""
    if not ON_LINUX:
        raise Lacking
    plain = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return checked(_libc.syscall(ctypes.c_long(number), *plain))


def prctl(option: int, value: int) -> None:
    """prctl(option, value, 0, 0, 0)."""
    if not ON_LINUX:
        raise Lacking
    rest = [ctypes.c_ulong(arg) for arg in (value, 0, 0, 0)]
    checked(_libc.prctl(ctypes.c_int(option), *rest))


def checked(result: int) -> int:
    """The result, unless it is -1: then the error, raised."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def mapped_bytes() -> int | None:
    """Address space that this process maps, in bytes; None where the kernel does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * mmap.PAGESIZE
    except OSError:
        return None


def permitted_capabilities() -> int:
    """The permitted capabilities of this process, bit n for capability n."""
    header, data = _capability_buffers(0)
    syscall(_numbered(_CAPGET), header, data)
    words = memoryview(data).cast("B").cast("I")
    return words[1] | words[4] << 32


def set_capabilities(bits: int) -> None:
    """Have exactly these capabilities, permitted and effective, none inheritable."""
    header, data = _capability_buffers(bits)
    syscall(_numbered(_CAPSET), header, data)


def _capability_buffers(bits: int) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """struct __user_cap_header_struct and two struct __user_cap_data_struct (effective, permitted, 0)."""
    low, high = bits & 0xFFFFFFFF, bits >> 32
    words = (low, low, 0, high, high, 0)
    header = _CAPABILITY_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4)
    data = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(data, 24)


def _numbered(numbers: dict[str, int]) -> int:
    if MACHINE not in numbers:
        raise Lacking
    return numbers[MACHINE]


# --- Landlock. ---

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
