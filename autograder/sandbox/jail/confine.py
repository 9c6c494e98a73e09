"""Puts a freshly forked process into its jail.

The order is part of the contract. Limits come first, while there is a `/proc` to read. The user changes
before the parent-death signal is set, for changing it clears that. Landlock comes before the filter of system
calls, which refuses Landlock's own. A layer that cannot be had is reported, and the rest still taken.
"""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import landlock, libc, seccomp
from .resources import limit_resources
from .types import LACKING, NOT_ROOT, TURNED_OFF, Confinement, Layer, Limits, Shortfall

_NO_RIGHTS: Final = (0, 0, 0)
_SYSTEM_PATHS: Final = (
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
)
"""Where shared libraries of the environment load more of their kind from, and two harmless devices."""


@dataclass(frozen=True)
class Plan:
    """What `confine` needs to know and can be found out before the fork.

    rights: what Landlock can refuse here. program: None where system calls cannot be filtered.
    unreachable: the environment cannot be read by an unprivileged user (it lies in root's home, say).
    """

    parent: int
    rights: tuple[int, int, int]
    program: seccomp.SystemCallFilter | None
    unreachable: bool


def environment_paths() -> tuple[str, ...]:
    """What code needs to read to import the standard library and this environment's packages."""
    schemes = sysconfig.get_paths()
    folders = [schemes[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [f"{sys.base_prefix}/lib", f"{sys.base_prefix}/lib64"]
    paths = [Path(folder).resolve() for folder in (*folders, *_SYSTEM_PATHS)]
    return tuple(dict.fromkeys(str(path) for path in paths if path.exists()))


def prepare(limits: Limits) -> Plan:
    """Find out what this system offers and compile the filter. Call it in the process that will fork."""
    return Plan(
        parent=os.getpid(),
        rights=landlock.handled_rights() if libc.ON_LINUX else _NO_RIGHTS,
        program=seccomp.compile_filter() if seccomp.is_available() else None,
        unreachable=any(not _anyone_may_enter(Path(path)) for path in limits.readable),
    )


def close_all_but(descriptors: Iterable[int]) -> None:
    """Close every file descriptor that is not among these. Call it before `confine`, which hides /proc."""
    kept = set(descriptors)
    try:
        there = [int(name) for name in os.listdir("/dev/fd")]  # noqa: PTH208  (numbers, not paths)
    except OSError:
        there = list(range(os.sysconf("SC_OPEN_MAX")))
    for descriptor in there:
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one that listed the folder


def confine(limits: Limits, plan: Plan | None = None) -> Confinement:
    """Put this process into the jail, for good, and say which layers took hold. Linux: about a millisecond.

    Call it in a fresh fork with one thread, its descriptors arranged, in a session of its own, before
    any code that is not trusted. plan: from `prepare` in the parent; None: made here, and then a parent that
    died before this call goes unnoticed. Does not return if the parent is gone. Never raises for a layer
    that cannot be had.
    """
    plan = plan or Plan(os.getppid(), *_unplanned(limits))
    return _Jailer(limits, plan).run()


def _unplanned(limits: Limits) -> tuple[tuple[int, int, int], seccomp.SystemCallFilter | None, bool]:
    plan = prepare(limits)
    return plan.rights, plan.program, plan.unreachable


class _Jailer:
    """Takes the layers one after the other and keeps account of those that did not hold."""

    def __init__(self, limits: Limits, plan: Plan) -> None:
        self._limits = limits
        self._plan = plan
        self._missing: list[Shortfall] = []
        self._changes_user = limits.user and os.geteuid() == 0
        self._filters = limits.system_calls and plan.program is not None
        self._landlock = limits.landlock and plan.rights != _NO_RIGHTS

    def run(self) -> Confinement:
        self._take(Layer.RESOURCES, self._resources)
        ruleset = self._open_ruleset()
        self._take(Layer.USER, self._user)
        self._take(Layer.NO_NEW_PRIVILEGES, seccomp.promise_no_new_privileges)
        self._take(Layer.PARENT_DEATH, self._parent_death)
        self._take(Layer.NOT_DUMPABLE, lambda: libc.prctl(libc.PR_SET_DUMPABLE, 0))
        restricted = ruleset is not None and self._take(Layer.FILES, lambda: landlock.restrict_self(ruleset))
        self._account_for_landlock(restricted)
        self._take(Layer.CAPABILITIES, lambda: self._give_up_capabilities(restricted))
        self._take(Layer.SYSTEM_CALLS, self._system_calls)
        order = list(Layer)
        return Confinement(tuple(sorted(self._missing, key=lambda shortfall: order.index(shortfall.layer))))

    def _take(self, layer: Layer, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._miss(layer, error.errno or LACKING)
        except libc.Lacking:
            self._miss(layer, LACKING)
        except ValueError:
            self._miss(layer, LACKING)
        else:
            return True
        return False

    def _miss(self, layer: Layer, code: int) -> None:
        if layer not in {shortfall.layer for shortfall in self._missing}:
            self._missing.append(Shortfall(layer, code))

    def _resources(self) -> None:
        limit_resources(self._limits, self._changes_user, self._filters)

    def _user(self) -> None:
        if not self._changes_user:
            self._miss(Layer.USER, NOT_ROOT if self._limits.user else TURNED_OFF)
            return
        if self._plan.unreachable and self._landlock:
            libc.prctl(libc.PR_SET_KEEPCAPS, 1)
        if not hasattr(os, "setresuid"):
            raise libc.Lacking
        user = self._limits.uid_for(os.getpid())
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    def _parent_death(self) -> None:
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._plan.parent:
            os._exit(128 + signal.SIGKILL)

    def _open_ruleset(self) -> int | None:
        if not self._landlock:
            return None
        try:
            return landlock.open_ruleset(self._plan.rights, self._limits.readable)
        except OSError as error:
            self._miss(Layer.FILES, error.errno or LACKING)
            return None

    def _account_for_landlock(self, restricted: bool) -> None:
        code = LACKING if self._limits.landlock else TURNED_OFF
        layers = (Layer.FILES, Layer.NETWORK, Layer.SCOPES)
        for layer, known in zip(layers, self._plan.rights, strict=True):
            if not (restricted and known):
                self._miss(layer, code)

    def _give_up_capabilities(self, restricted: bool) -> None:
        """All, but where only root can read the environment and Landlock holds: there the one to read.

        Landlock lets it read the environment alone, and neither it nor the filter lets anything be written.
        """
        kept = 0
        if self._plan.unreachable and restricted and self._filters:
            for capability in (libc.CAP_DAC_READ_SEARCH, libc.CAP_DAC_OVERRIDE):
                kept = kept or libc.permitted_capabilities() & 1 << capability
        libc.set_capabilities(kept)

    def _system_calls(self) -> None:
        if not self._limits.system_calls:
            self._miss(Layer.SYSTEM_CALLS, TURNED_OFF)
            return
        if self._plan.program is None:
            raise libc.Lacking
        seccomp.install(self._plan.program.program_for(os.getpid()))


def _anyone_may_enter(path: Path) -> bool:
    """Whether every folder on the way to path may be passed by a user without privileges."""
    try:
        return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)
    except OSError:
        return True
