"""The jail of the student's code: limits, an unprivileged user, Landlock, and a filter of system calls.

`prepare` in the process that forks, then `confine` in the fork; `guard_grader` in the grader. Nothing but the
standard library. Works as root, as an ordinary user, and off Linux, each as far as the system goes, and says
how far.

The order is part of the contract. Limits come first, while there is a `/proc` to read. The user changes
before the parent-death signal is set, for changing it clears that. Landlock comes before the filter of system
calls, which refuses Landlock's own. A layer that cannot be had is reported, and the rest still taken.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from . import linux, seccomp
from .linux import Lacking

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
    """One layer of the jail; the value says what is missing where it is."""

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


DESCRIPTORS: Final = "/proc/self/fd/"
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
    unreachable: a user without privileges cannot enter a folder above the environment (root's home, say).
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
    """Find out what this system offers and compile the filter. Call it in the process that will fork.

    Raises PermissionError where nobody but root could import a module, so that uploads would fail by it.
    """
    plan = Plan(
        parent=os.getpid(),
        rights=linux.handled_rights() if linux.ON_LINUX else _NO_RIGHTS,
        program=seccomp.compile_filter() if seccomp.is_available() else None,
        unreachable=any(not _anyone_may_enter(Path(path)) for path in limits.readable),
    )
    if limits.user and os.geteuid() == 0 and (plan.rights == _NO_RIGHTS or plan.program is None):
        for folder in filter(os.path.isdir, limits.readable):
            if Path(folder).stat().st_mode & 0o005 != 0o005:
                raise PermissionError(
                    "student code runs as a user of its own, which has to read the Python environment, and "
                    f"{folder} is for root alone: chmod -R o+rX {folder}"
                )
    return plan


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
        self._take(Layer.NOT_DUMPABLE, lambda: linux.prctl(linux.PR_SET_DUMPABLE, 0))
        restricted = ruleset is not None and self._take(Layer.FILES, lambda: linux.restrict_self(ruleset))
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
        except Lacking:
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
        _limit_resources(self._limits, self._changes_user, self._filters)

    def _user(self) -> None:
        if not self._changes_user:
            self._miss(Layer.USER, NOT_ROOT if self._limits.user else TURNED_OFF)
            return
        if self._plan.unreachable and self._landlock and self._filters:
            linux.prctl(linux.PR_SET_KEEPCAPS, 1)
        elif self._plan.unreachable:
            _hold_environment()
        if not hasattr(os, "setresuid"):
            raise Lacking
        user = self._limits.uid_for(os.getpid())
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    def _parent_death(self) -> None:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._plan.parent:
            os._exit(128 + signal.SIGKILL)

    def _open_ruleset(self) -> int | None:
        if not self._landlock:
            return None
        try:
            return linux.open_ruleset(self._plan.rights, self._limits.readable)
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
            for capability in (linux.CAP_DAC_READ_SEARCH, linux.CAP_DAC_OVERRIDE):
                kept = kept or linux.permitted_capabilities() & 1 << capability
        linux.set_capabilities(kept)

    def _system_calls(self) -> None:
        if not self._limits.system_calls:
            self._miss(Layer.SYSTEM_CALLS, TURNED_OFF)
            return
        if self._plan.program is None:
            raise Lacking
        seccomp.install(self._plan.program.program_for(os.getpid()))


def _hold_environment() -> None:
    """Open the folders that modules are imported from, and import by way of their descriptors from here on.

    The names of these folders lead through one that only root may enter; what is below an open folder needs
    no such name. A folder above that one stays closed: the kernel asks for the right to enter at each "..".
    """
    for folder in [entry for entry in sys.path if Path(entry).is_dir()]:
        way = f"{DESCRIPTORS}{os.open(folder, os.O_RDONLY | os.O_DIRECTORY)}"
        for module in [sys, *sys.modules.values()]:
            names = module.__dict__
            for paths in (names.get("__path__"), names.get("path") if module is sys else None):
                if type(paths) is list:
                    paths[:] = [_respelled(path, folder, way) for path in paths]
            if type(names.get("__file__")) is str:
                names["__file__"] = _respelled(names["__file__"], folder, way)
    sys.path_importer_cache.clear()


def _respelled(path: str, folder: str, way: str) -> str:
    return way + path[len(folder) :] if path == folder or path.startswith(f"{folder}/") else path


def _anyone_may_enter(path: Path) -> bool:
    """Whether every folder on the way to path may be passed by a user without privileges."""
    try:
        return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)
    except OSError:
        return True


def guard_grader() -> None:
    """Make this process's memory unreadable to others of its user, and its files unreadable to other users.

    Call it first thing, in the grader and in every process between it and the jail. Never raises.
    """
    os.umask(0o077)
    try:
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
    except (OSError, Lacking):
        return


# --- Limits on what a runaway or hostile process may use up. ---


def _limit_resources(limits: Limits, own_user: bool, threads_only: bool) -> None:
    """Set every limit, soft and hard. Raises the first error (OSError, Lacking) after trying them all.

    own_user: the process will run as a user that no other process runs as.
    threads_only: it will not be able to start processes, only threads.
    """
    _go_first_when_memory_ends()
    wanted = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CPU: (limits.cpu_seconds, limits.cpu_seconds + 1),
        resource.RLIMIT_NOFILE: (limits.open_files, limits.open_files),
    }
    processes = _process_limit(limits, own_user, threads_only)
    if processes is not None:
        wanted[resource.RLIMIT_NPROC] = (processes, processes)
    failures: list[Exception] = []
    mapped = _mapped_bytes()
    if mapped is None:
        failures.append(Lacking())
    else:
        wanted[resource.RLIMIT_AS] = (mapped + limits.memory_bytes, mapped + limits.memory_bytes)
    for which, (soft, hard) in wanted.items():
        try:
            _lower(which, soft, hard)
        except (OSError, ValueError) as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _go_first_when_memory_ends() -> None:
    """Where a container's memory ends before the limit does, the kernel is to kill this process, no other."""
    try:
        Path("/proc/self/oom_score_adj").write_bytes(b"1000")
    except OSError:
        return


def _lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, or keep the one there is where that is lower: only root may raise a hard limit."""
    present = resource.getrlimit(which)[1]
    if present != resource.RLIM_INFINITY:
        soft, hard = min(soft, present), min(hard, present)
    resource.setrlimit(which, (soft, hard))


def _process_limit(limits: Limits, own_user: bool, threads_only: bool) -> int | None:
    """The number for RLIMIT_NPROC, which counts all of a user: on Linux its threads, elsewhere processes.

    A user that has other processes may have hundreds; where the filter of system calls leaves threads
    only, those meet the limit on memory first (each maps a stack), and no number is needed.
    """
    if own_user:
        return limits.processes
    if not linux.ON_LINUX:
        return 1
    return None if threads_only else limits.processes + _tasks_of_this_user()


def _tasks_of_this_user() -> int:
    tasks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid == os.getuid():
                tasks += len(os.listdir(entry / "task"))  # noqa: PTH208  (counting, on a path of the kernel)
        except OSError:
            continue
    return tasks


def _mapped_bytes() -> int | None:
    """Address space mapped now, in bytes; None where the kernel does not tell."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[0]
    except OSError:
        return None
    return int(pages) * resource.getpagesize()
