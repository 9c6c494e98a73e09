"""What is asked of the confinement, and what of it took hold: plain data, small enough for a pipe."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import Enum
from typing import Final

UID_BASE: Final = 61_184
UID_SPAN: Final = 4_096
"""The users of the jails: a range that systemd keeps for users nobody else is, inside 16 bits so that it
is mapped in the user namespace of a container. The process id picks one, so that two jails share neither
their signals nor their count of processes."""

LACKING: Final = 251
NOT_ROOT: Final = 252
TURNED_OFF: Final = 253
"""Codes of a `Shortfall` beside the error numbers of the system, which stay below them."""


class Layer(Enum):
    """One layer of the jail; the value says what is missing where it is. The order is that of the wire."""

    RESOURCES = "limits on memory, time, files and processes"
    USER = "a user of its own"
    CAPABILITIES = "giving up the privileges of root"
    NO_NEW_PRIVILEGES = "no way to gain privileges"
    PARENT_DEATH = "dying with its parent"
    NOT_DUMPABLE = "memory that other processes cannot read"
    FILES = "Landlock's rules for files"
    NETWORK = "Landlock's rules for TCP"
    SCOPES = "Landlock's rules for signals and abstract sockets"
    SYSTEM_CALLS = "a filter of system calls (seccomp)"


@dataclass(frozen=True)
class Limits:
    """What a jail allows. The switches turn a layer off, for tests and for machines where it does harm.

    readable: files and folders that may be read; nothing can be written anywhere.
    memory_bytes: address space beyond what is mapped when `confine` is called.
    cpu_seconds: CPU time of the whole process; SIGXCPU at it, SIGKILL one second later.
    processes: threads and processes of the jail's own user; not used where it has none of its own.
    uid: the user to become when root; None: one that the process id picks.
    """

    readable: tuple[str, ...]
    memory_bytes: int
    cpu_seconds: int
    open_files: int = 64
    processes: int = 64
    uid: int | None = None
    user: bool = True
    landlock: bool = True
    system_calls: bool = True

    def uid_for(self, pid: int) -> int:
        """The user that process pid becomes."""
        return UID_BASE + pid % UID_SPAN if self.uid is None else self.uid


@dataclass(frozen=True)
class Shortfall:
    """A layer that did not take hold, and why: an error number of the system, or a code from above."""

    layer: Layer
    code: int

    @property
    def why(self) -> str:
        """The reason in words."""
        special = {
            LACKING: "this system does not have it",
            NOT_ROOT: "only root can do it",
            TURNED_OFF: "it was turned off",
        }
        name = errno.errorcode.get(self.code, str(self.code))
        return special.get(self.code) or f"{os.strerror(self.code)} ({name})"


@dataclass(frozen=True)
class Confinement:
    """Which layers did not take hold; all others did."""

    missing: tuple[Shortfall, ...]

    @property
    def held(self) -> tuple[Layer, ...]:
        """The layers that took hold."""
        absent = {shortfall.layer for shortfall in self.missing}
        return tuple(layer for layer in Layer if layer not in absent)

    def to_bytes(self) -> bytes:
        """One byte per layer, in the order of `Layer`: 0 where it holds, else the shortfall's code."""
        codes = {shortfall.layer: shortfall.code for shortfall in self.missing}
        return bytes(min(codes.get(layer, 0), 255) for layer in Layer)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Confinement:
        """Undo `to_bytes`. Raises ValueError if raw is not of that length."""
        if len(raw) != len(Layer):
            raise ValueError(f"a confinement is {len(Layer)} bytes long, these are {len(raw)}")
        pairs = zip(Layer, raw, strict=True)
        return cls(tuple(Shortfall(layer, code) for layer, code in pairs if code))
