"""The few calls to the C library that Python lacks; each raises OSError, or `Lacking` off Linux."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
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
