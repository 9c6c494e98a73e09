"""The filter of system calls: what computing in Python needs is allowed, all else is refused.

An allow list, because no list of the dangerous is ever complete. A refusal is an error number, which reaches
the student as a Python exception, not a kill; only a call made through a foreign architecture's gate kills.

Written here rather than with pyseccomp 0.1.2 (January 2021, its last release): that one binds libseccomp,
which a slim container lacks, and its author stopped before Python 3.10.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from .linux import MACHINE, Lacking, syscall
from .syscalls import AARCH64, NEWEST, X86_64

_MACHINES: Final = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, AARCH64)}
"""The kernel's word for each architecture (AUDIT_ARCH_*), and its system calls."""
_SET_MODE_FILTER: Final = 1
_GET_ACTION_AVAIL: Final = 2

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20
_AND: Final = 0x54
_IF_EQUAL: Final = 0x15
_IF_GREATER: Final = 0x25
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

_SIGNALLING: Final = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_READ_ONLY: Final = """
    creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
    mknod mknodat truncate ftruncate fallocate chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
    utime utimes futimesat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
"""Answered with EROFS, as by a file system that is mounted read-only: it names the reason."""
_ABSENT: Final = ("clone3", "openat2")
"""Answered with ENOSYS, for their flags stand in memory, which a filter cannot see; there are older calls."""

FilterProgram = tuple[tuple[int, int, int, int], ...]
"""Of struct sock_filter: code, jump if true, jump if false, constant."""


def _refuse(code: int) -> FilterProgram:
    return ((_RETURN, 0, 0, _ERRNO | code),)


_ALLOWED: Final[FilterProgram] = ((_RETURN, 0, 0, _ALLOW),)


def _one_of(index: int, values: tuple[int, ...], code: int) -> FilterProgram:
    """The argument of this index has to be one of the values."""
    tests = ((_IF_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values))
    return (_argument(index), *tests, *_refuse(code), *_ALLOWED)


def _masked(index: int, mask: int, wanted: int, code: int) -> FilterProgram:
    return (_argument(index), (_AND, 0, 0, mask), (_IF_EQUAL, 1, 0, wanted), *_refuse(code), *_ALLOWED)


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument: all that is checked here are ints to the kernel, little-endian."""
    return (_LOAD, 0, 0, _OFFSET_OF_ARGS + 8 * index)


_VERDICTS: Final[dict[str, FilterProgram]] = {
    **dict.fromkeys(_READ_ONLY.split(), _refuse(errno.EROFS)),
    **dict.fromkeys(_ABSENT, _refuse(errno.ENOSYS)),
    **dict.fromkeys(_SIGNALLING, _one_of(0, (_OWN_PID,), errno.EPERM)),
    "open": _masked(1, _WRITING, 0, errno.EROFS),
    "openat": _masked(2, _WRITING, 0, errno.EROFS),
    "clone": _masked(0, _CLONE_THREAD | _CLONE_NAMESPACES_AND_TRACING, _CLONE_THREAD, errno.EPERM),
    "fcntl": _one_of(1, _FCNTL, errno.EPERM),
    "ioctl": _one_of(1, _TERMINAL_QUERIES, errno.ENOTTY),
    "prctl": _one_of(0, _PRCTL, errno.EPERM),
    "prlimit64": _one_of(0, (0, _OWN_PID), errno.EPERM),
    "sched_setaffinity": _one_of(0, (0, _OWN_PID), errno.EPERM),
}
"""What becomes of a call; one of the tables that is not named here is allowed."""


def compile_filter(machine: str = MACHINE) -> FilterProgram:
    """The filter for an architecture; raises Lacking if its system calls are not known here."""
    if machine not in _MACHINES:
        raise Lacking
    architecture, numbers = _MACHINES[machine]
    program = [
        (_LOAD, 0, 0, _OFFSET_OF_ARCH),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_OF_NUMBER),
        # The x32 calls have numbers of their own, far above: they meet this, too.
        (_IF_GREATER, 0, 1, NEWEST),
        *_refuse(errno.ENOSYS),
    ]
    for name, number in numbers.items():
        verdict = _VERDICTS.get(name, _ALLOWED)
        program += [(_IF_EQUAL, 0, len(verdict), number), *verdict]
    return (*program, *_refuse(errno.EPERM))


def assemble(program: FilterProgram, pid: int) -> bytes:
    """The program for the process pid, an array of struct sock_filter."""
    pack = struct.Struct("=HBBI").pack
    return b"".join(pack(*step[:3], pid if step[3] == _OWN_PID else step[3]) for step in program)


def install_filter(program: FilterProgram) -> None:
    """Put this thread, and all it starts, under the program, for good. Needs no_new_privs. Raises OSError,
    or Lacking if there is none."""
    if not program:
        raise Lacking
    raw = assemble(program, os.getpid())
    buffer = ctypes.create_string_buffer(raw, len(raw))
    # struct sock_fprog: the number of instructions, padding, their address
    syscall("seccomp", _SET_MODE_FILTER, 0, struct.pack("@HP", len(program), ctypes.addressof(buffer)))


def is_available() -> bool:
    """Whether this system takes filters of system calls: asked of the kernel, without installing one."""
    try:
        return syscall("seccomp", _GET_ACTION_AVAIL, 0, struct.pack("=I", _KILL_PROCESS)) == 0
    except (OSError, Lacking):
        return False
