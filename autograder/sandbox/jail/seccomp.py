"""The filter of system calls: what computing in Python needs is allowed, all else is refused.

An allow list, because no list of the dangerous is ever complete. A refusal is an error number, which reaches
the student as a Python exception, not a kill; only a call made through a foreign architecture's gate kills.

Written here rather than with pyseccomp 0.1.2 (January 2021, its last release): that one binds libseccomp,
which a slim container lacks, cannot compile before a fork, and its author stopped before Python 3.10.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import Final

from .linux import MACHINE, PR_SET_NO_NEW_PRIVS, Lacking, prctl, syscall
from .syscalls import AARCH64, NEWEST, X86_64

_TABLES: Final = {"x86_64": X86_64, "aarch64": AARCH64}
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER: Final = 1

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20
_AND: Final = 0x54
_IF_EQUAL: Final = 0x15
_IF_GREATER: Final = 0x25
_IF_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_OFFSET_OF_NUMBER: Final = 0
_OFFSET_OF_ARCH: Final = 4
_OFFSET_OF_ARGS: Final = 16

_OWN_PID: Final = 0x7FFFFFFF
"""Stands for the process id in a filter compiled before the fork; no process has it."""

_CLONE_THREAD: Final = 0x00010000
_CLONE_NAMESPACES_AND_TRACING: Final = 0x7E020080 | 0x00002000 | 0x00800000 | 0x00004000 | 0x00008000
"""CLONE_NEW*, CLONE_PTRACE, CLONE_UNTRACED, CLONE_VFORK, CLONE_PARENT: with a thread, none makes sense."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_TERMINAL_QUERIES: Final = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451, 0x802C542A)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX, TCGETS2: what isatty() and open() ask."""
_FCNTL: Final = (0, 1, 2, 3, 4, 5, 1030, 1032)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_DUPFD_CLOEXEC, F_GETPIPE_SZ; above all not
F_SETOWN and F_SETSIG, by which the kernel sends signals to others."""
_PRCTL: Final = (3, 15, 16, 21, 39, 40, 51, 0x53564D41)
"""PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS,
PR_SVE_GET_VL, PR_SET_VMA."""

_READ_ONLY: Final = """
    creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
    mknod mknodat truncate ftruncate fallocate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
    utime utimes futimesat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
"""Answered with EROFS, as by a file system that is mounted read-only: it names the reason."""
_ABSENT: Final = "clone3 openat2"
"""Answered with ENOSYS, for their flags stand in memory, which a filter cannot see; there are older calls."""

_Instruction = tuple[int, int, int, int]
"""struct sock_filter: code, jump if true, jump if false, constant."""


@dataclass(frozen=True)
class SystemCallFilter:
    """A compiled program; `pid_offsets` are where the process id goes."""

    template: bytes
    pid_offsets: tuple[int, ...]

    def program_for(self, pid: int) -> bytes:
        """The program for the process pid, an array of struct sock_filter."""
        program = bytearray(self.template)
        for offset in self.pid_offsets:
            struct.pack_into("=I", program, offset, pid)
        return bytes(program)


def compile_filter(machine: str = MACHINE) -> SystemCallFilter:
    """The filter for an architecture; raises Lacking if its system calls are not known here."""
    if machine not in _TABLES:
        raise Lacking
    numbers = _TABLES[machine]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _OFFSET_OF_ARCH),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_OF_NUMBER),
        # The x32 calls have numbers of their own, far above: they meet this, too.
        (_IF_GREATER, 0, 1, NEWEST),
        _refuse(errno.ENOSYS),
    ]
    checked = {name: body for name, body in _arguments_checked().items() if name in numbers}
    for name, body in checked.items():
        program += [(_IF_EQUAL, 0, len(body), numbers[name]), *body]
    program += _in_order({name: number for name, number in numbers.items() if name not in checked})
    raw = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    offsets = [8 * i + 4 for i, step in enumerate(program) if step[0] == _IF_EQUAL and step[3] == _OWN_PID]
    return SystemCallFilter(raw, tuple(offsets))


def install(program: bytes) -> None:
    """Put this thread, and all it starts, under the program, for good. Needs no_new_privs. Raises OSError."""
    if MACHINE not in _SECCOMP:
        raise Lacking
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, padding, their address
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    syscall(_SECCOMP[MACHINE], _SET_MODE_FILTER, 0, head)


def _arguments_checked() -> dict[str, list[_Instruction]]:
    """The calls that depend on an argument: each ends in a verdict."""
    own = _one_of(0, (_OWN_PID,), errno.EPERM)
    own_or_zero = _one_of(0, (0, _OWN_PID), errno.EPERM)
    thread_only = _masked(0, _CLONE_THREAD | _CLONE_NAMESPACES_AND_TRACING, _CLONE_THREAD, errno.EPERM)
    bodies = {
        "open": _masked(1, _WRITING, 0, errno.EROFS),
        "openat": _masked(2, _WRITING, 0, errno.EROFS),
        "clone": thread_only,
        "fcntl": _one_of(1, _FCNTL, errno.EPERM),
        "ioctl": _one_of(1, _TERMINAL_QUERIES, errno.ENOTTY),
        "prctl": _one_of(0, _PRCTL, errno.EPERM),
        "prlimit64": own_or_zero,
        "sched_setaffinity": own_or_zero,
    }
    signalling = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    return bodies | dict.fromkeys(signalling, own)


def _in_order(numbers: dict[str, int]) -> list[_Instruction]:
    """The calls that do not: one ascending walk over runs of neighbours with the same verdict."""
    steps: list[_Instruction] = []
    for first, last, verdict in _runs(sorted((number, _verdict(name)) for name, number in numbers.items())):
        steps += [
            (_IF_AT_LEAST, 1, 0, first),
            _refuse(errno.EPERM),
            (_IF_GREATER, 1, 0, last),
            (_RETURN, 0, 0, verdict),
        ]
    return [*steps, _refuse(errno.EPERM)]


def _runs(verdicts: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(first, last, verdict) for each run of consecutive numbers with one verdict."""
    runs: list[tuple[int, int, int]] = []
    for number, verdict in verdicts:
        if runs and runs[-1][1] == number - 1 and runs[-1][2] == verdict:
            runs[-1] = (runs[-1][0], number, verdict)
        else:
            runs.append((number, number, verdict))
    return runs


def _verdict(name: str) -> int:
    if name in _READ_ONLY.split():
        return _ERRNO | errno.EROFS
    return _ERRNO | errno.ENOSYS if name in _ABSENT.split() else _ALLOW


def _argument(index: int) -> _Instruction:
    """Load the low half of an argument: all that is checked here are ints to the kernel, little-endian."""
    return (_LOAD, 0, 0, _OFFSET_OF_ARGS + 8 * index)


def _one_of(index: int, values: tuple[int, ...], code: int) -> list[_Instruction]:
    tests = [(_IF_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, _refuse(code), (_RETURN, 0, 0, _ALLOW)]


def _masked(index: int, mask: int, wanted: int, code: int) -> list[_Instruction]:
    tests = [(_AND, 0, 0, mask), (_IF_EQUAL, 1, 0, wanted)]
    return [_argument(index), *tests, _refuse(code), (_RETURN, 0, 0, _ALLOW)]


def _refuse(code: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def is_available() -> bool:
    """Whether this system takes filters of system calls: asked of the kernel, without installing one."""
    if MACHINE not in _SECCOMP:
        return False
    try:
        # SECCOMP_GET_ACTION_AVAIL, for SECCOMP_RET_KILL_PROCESS
        return syscall(_SECCOMP[MACHINE], 2, 0, struct.pack("=I", _KILL_PROCESS)) == 0
    except (OSError, Lacking):
        return False


def promise_no_new_privileges() -> None:
    """Give up gaining privileges by exec, for good: what Landlock and seccomp ask of the unprivileged."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
