"""Tries, from inside a jail, what the jail forbids. A probe that succeeds does no harm."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from .isolation import Finding, Probe, Verdict
from .libc import MACHINE, ON_LINUX, checked, syscall

_PROCESS_VM_READV: Final = {"x86_64": 310, "aarch64": 270}
_PTRACE: Final = {"x86_64": 101, "aarch64": 117}
_PTRACE_SEIZE: Final = 0x4206
_BYTES_READ: Final = 16


def run_probes(secret: str, results: str, processes: Sequence[int]) -> tuple[Finding, ...]:
    """Every probe, tried. secret, results: files of the grader's; processes: the jail's parent first, then
    others that hold something of worth. Never raises."""
    attempts: dict[Probe, tuple[Callable[[], None], ...]] = {
        Probe.READ_SECRET: (lambda: _read(secret),),
        Probe.WRITE_RESULTS: (lambda: _append(results), lambda: _rename(results), lambda: _create(results)),
        Probe.SOCKET: (lambda: _socket(socket.AF_INET), lambda: _socket(socket.AF_UNIX)),
        Probe.FORK: (_fork,),
        Probe.SIGNAL_PARENT: tuple(_bound(_signal, process) for process in processes),
        Probe.PARENT_MEMORY: tuple(
            _bound(way, process) for process in processes for way in (_open_memory, _copy_memory, _trace)
        ),
    }
    return tuple(Finding(probe, _verdict(ways)) for probe, ways in attempts.items())


def is_readable(path: str) -> bool:
    """Whether honest code can read there: a file or a folder of the environment."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _verdict(ways: Sequence[Callable[[], None]]) -> Verdict:
    """OPEN if one way works, HELD if the kernel refuses all."""
    verdict = Verdict.HELD
    for way in ways:
        try:
            way()
        except OSError:
            continue
        except Exception:
            verdict = Verdict.ERROR
        else:
            return Verdict.OPEN
    return verdict


def _bound(way: Callable[[int], None], process: int) -> Callable[[], None]:
    return lambda: way(process)


def _read(path: str) -> None:
    Path(path).read_bytes()


def _append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def _rename(path: str) -> None:
    Path(path).rename(path)


def _create(path: str) -> None:
    Path(f"{path}.new").touch(exist_ok=False)


def _socket(family: int) -> None:
    socket.socket(family, socket.SOCK_STREAM).close()


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _signal(process: int) -> None:
    os.kill(process, 0)


def _open_memory(process: int) -> None:
    os.close(os.open(f"/proc/{process}/mem", os.O_RDONLY))


def _copy_memory(process: int) -> None:
    """Copy from an address that is mapped here, and thus in the process this one was forked from."""
    if not ON_LINUX:
        return _not_there()
    here, source = ctypes.create_string_buffer(_BYTES_READ), ctypes.create_string_buffer(_BYTES_READ)
    local = struct.pack("@PN", ctypes.addressof(here), _BYTES_READ)
    remote = struct.pack("@PN", ctypes.addressof(source), _BYTES_READ)
    syscall(_PROCESS_VM_READV[MACHINE], process, local, 1, remote, 1, 0)
    return None


def _trace(process: int) -> None:
    """Seize, which does not stop the process, and which ends with this one."""
    if not ON_LINUX:
        return _not_there()
    syscall(_PTRACE[MACHINE], _PTRACE_SEIZE, process, 0, 0)
    return None


def _not_there() -> None:
    """The kernel has no such call, so it cannot be made."""
    checked(-1)
