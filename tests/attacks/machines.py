"""Sandboxes on simulated machines: root as Docker leaves it, an ordinary user, an old kernel.

Credentials and filters of system calls belong to a thread. One thread puts on those of the machine, starts
the fork server, which inherits them, and ends.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from autograder.sandbox.host import ForkServer

ORDINARY_USER = 65_534
DOCKER_CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
"""CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
AUDIT_WRITE SETFCAP."""
READ_SEARCH = 2
"""The one capability the ordinary user keeps here, since the environment may lie in root's home."""

FIRST_CALL_OF_LINUX_5_1 = 424
_NUMBERS = {
    "x86_64": {"setgroups": 116, "setresgid": 119, "setresuid": 117, "capset": 126, "seccomp": 317},
    "aarch64": {"setgroups": 159, "setresgid": 149, "setresuid": 147, "capset": 91, "seccomp": 277},
}
_PR_CAPBSET_DROP, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 8, 38, 47


class Machine(Enum):
    AS_IT_IS = "as it is"
    DOCKER = "root in Docker"
    ORDINARY_USER = "an ordinary user"
    OLD_KERNEL = "root on a kernel without Landlock"
    BARE = "an ordinary user on a kernel with neither Landlock nor filters"


MACHINES = (
    [Machine.DOCKER, Machine.ORDINARY_USER, Machine.OLD_KERNEL]
    if sys.platform.startswith("linux") and os.geteuid() == 0 and platform.machine() in _NUMBERS
    else [Machine.AS_IT_IS]
)


@contextmanager
def fork_server_on(machine: Machine) -> Iterator[ForkServer]:
    """A sandbox that believes to be on that machine. Raises what putting it on raises."""
    fork_server = ForkServer()
    failures: list[BaseException] = []

    def start() -> None:
        try:
            _put_on(machine)
            fork_server.__enter__()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    with fork_server:
        yield fork_server


def _put_on(machine: Machine) -> None:
    if machine is Machine.DOCKER:
        _have_capabilities(DOCKER_CAPABILITIES)
    elif machine is Machine.ORDINARY_USER:
        _prctl(_PR_SET_KEEPCAPS, 1)
        _call("setgroups", 0, 0)
        _call("setresgid", *[ORDINARY_USER] * 3)
        _call("setresuid", *[ORDINARY_USER] * 3)
        _have_capabilities(1 << READ_SEARCH, inheritable=True)
        _prctl(_PR_CAP_AMBIENT, 2, READ_SEARCH)
    elif machine is Machine.OLD_KERNEL:
        _lack_calls(FIRST_CALL_OF_LINUX_5_1)
        _have_capabilities(DOCKER_CAPABILITIES)
    elif machine is Machine.BARE:
        _put_on(Machine.ORDINARY_USER)
        _lack_calls(FIRST_CALL_OF_LINUX_5_1, _number("seccomp"))


def _have_capabilities(bits: int, inheritable: bool = False) -> None:
    """Exactly these, for this thread; no other can be gained by exec."""
    for number in range(41):
        if not bits >> number & 1:
            _libc().prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # those the kernel does not know fail
    header = struct.pack("=Ii", 0x20080522, 0)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    data = struct.pack("=6I", low, low, low * inheritable, high, high, high * inheritable)
    _call("capset", header, data)


def _lack_calls(first: int, other: int = -1) -> None:
    """Answer every system call from the number first on with ENOSYS, and the other one."""
    enosys = 38
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in (
            (0x20, 0, 0, 0),
            (0x35, 1, 0, first),
            (0x15, 0, 1, other & 0xFFFFFFFF),
            (0x06, 0, 0, 0x50000 | enosys),
            (0x06, 0, 0, 0x7FFF0000),
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _call("seccomp", 1, 0, struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)))


def _call(name: str, *arguments: int | bytes) -> None:
    number = _number(name)
    plain = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    if _libc().syscall(ctypes.c_long(number), *plain) == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _number(name: str) -> int:
    return _NUMBERS[platform.machine()][name]


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc().prctl(ctypes.c_int(option), *values) == -1:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
