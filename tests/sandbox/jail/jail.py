"""Runs one action of a test in a forked child that was confined first, on a simulated machine."""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from autograder.sandbox.jail.confine import (
    Confinement,
    Limits,
    close_all_but,
    confine,
    environment_paths,
    prepare,
)
from autograder.sandbox.jail.linux import permitted_capabilities, set_capabilities

LIMITS = Limits(readable=environment_paths(), memory_bytes=256 << 20, cpu_seconds=10)
SECONDS = 20.0

# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
# AUDIT_WRITE SETFCAP: what Docker leaves to root.
DOCKER_CAPABILITIES = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
PR_CAPBSET_DROP = 24
ORDINARY_USER = 65_534

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail's layers are Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


class Machine(Enum):
    AS_IT_IS = "as it is"
    DOCKER_ROOT = "root in Docker"
    ORDINARY_USER = "an ordinary user"


@dataclass(frozen=True)
class Ending:
    """What became of the action: what it returned, or the exception's type and errno; how the child ended."""

    value: Any
    error: str
    code: int | None
    signal: int
    confinement: Confinement | None


def in_jail(
    action: Callable[[], Any], limits: Limits = LIMITS, machine: Machine = Machine.AS_IT_IS
) -> Ending:
    """Fork, become what the machine has, confine, and do the action; bounded in time."""
    plan = prepare(limits)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads, from 3.12 on
        child = os.fork()
    if child == 0:
        _be_the_child(action, limits, machine, plan, writer)
    os.close(writer)
    raw = _read_all(reader, child)
    status = os.waitpid(child, 0)[1]
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    value, error, code, confinement = pickle.loads(raw) if raw else (None, "", None, None)
    return Ending(value, error, code, killer, confinement)


def _be_the_child(action: Any, limits: Limits, machine: Machine, plan: Any, writer: int) -> None:
    confinement, value, error, code = None, None, "", None
    try:
        os.setsid()
        os.chdir("/")
        _become(machine)
        close_all_but({0, 1, 2, writer})
        confinement = confine(limits, plan)
        value = action()
    except BaseException as problem:
        error, code = type(problem).__name__, getattr(problem, "errno", None)
        if not isinstance(problem, (OSError, MemoryError)):
            traceback.print_exc()
    finally:
        os.write(writer, pickle.dumps((value, error, code, confinement)))
        os._exit(0)


def _become(machine: Machine) -> None:
    if machine is Machine.DOCKER_ROOT:
        libc = ctypes.CDLL(None)
        for number in range(41):
            if not DOCKER_CAPABILITIES >> number & 1:
                libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        set_capabilities(DOCKER_CAPABILITIES & permitted_capabilities())
    elif machine is Machine.ORDINARY_USER:
        os.setgroups([])
        os.setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
        os.setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)


def _read_all(reader: int, child: int) -> bytes:
    raw = b""
    while True:
        if not select.select([reader], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
        piece = os.read(reader, 1 << 16)
        raw += piece
        if not piece:
            os.close(reader)
            return raw
