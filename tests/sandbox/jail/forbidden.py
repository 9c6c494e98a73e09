"""What must not work in a jail: as Python offers it, and by the number of the system call."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import socket
import sys
from pathlib import Path


def syscall(number: int, *arguments: int) -> int:
    """A raw call by its number on x86-64."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(*(ctypes.c_long(value) for value in (number, *arguments))))
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


FORBIDDEN = {
    "open a socket": socket.socket,
    "open a pair of sockets": socket.socketpair,
    "fork": os.fork,
    "fork by vfork and exec": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", "0"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "signal its group": lambda: os.kill(0, 0),
    "read the parent's memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR),
    "write a file": lambda: os.open("/tmp/jail-test", os.O_WRONLY | os.O_CREAT),
    "write in shared memory": lambda: os.open("/dev/shm/jail-test", os.O_RDWR | os.O_CREAT),
    "make a folder": lambda: Path("/tmp/jail-test").mkdir(),
    "make an unnamed file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR),
    "change root": lambda: os.chroot("/"),
    "become root": lambda: os.setuid(0),
    "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    "change the parent's limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
    "pin the parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "slow the parent": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "send signals by a pipe": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid()),
    "leave its session": lambda: os.setpgid(0, os.getppid()),
    "lock memory": lambda: syscall(151, 1),
}
BY_NUMBER = {
    "ptrace": 101,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "pidfd_open": 434,
    "pidfd_send_signal": 424,
    "pidfd_getfd": 438,
    "unshare": 272,
    "setns": 308,
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "mount_setattr": 442,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "shmget": 29,
    "semget": 64,
    "msgget": 68,
    "mq_open": 240,
    "bpf": 321,
    "io_uring_setup": 425,
    "io_setup": 206,
    "perf_event_open": 298,
    "userfaultfd": 323,
    "memfd_create": 319,
    "memfd_secret": 447,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "init_module": 175,
    "finit_module": 313,
    "delete_module": 176,
    "swapon": 167,
    "quotactl": 179,
    "reboot": 169,
    "sethostname": 170,
    "acct": 163,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "kcmp": 312,
    "personality": 135,
    "vfork": 58,
    "execveat": 322,
    "modify_ldt": 154,
    "iopl": 172,
    "sync": 162,
    "seccomp": 317,
    "landlock_restrict_self": 446,
    "fanotify_init": 300,
    "splice": 275,
    "vmsplice": 278,
    "syslog": 103,
}


def outcome(action) -> str:
    try:
        action()
    except (OSError, ValueError):
        return "refused"
    return "open"


def error_number(number: int) -> int | None:
    try:
        syscall(number, 0, 0, 0, 0, 0, 0)
    except OSError as error:
        return error.errno
    return None
