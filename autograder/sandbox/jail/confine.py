"""The jail of the student's code: limits, an unprivileged user, Landlock, and a filter of system calls.

`prepare` in the process that forks, then `confine` in the fork; `guard_grader` in the grader. Nothing but the
standard library. Works as root, as an ordinary user, and off Linux, each as far as the system goes, and says
how far.

Their order counts: limits first, while there is a `/proc` to read; the user before the parent-death signal,
which changing it clears; Landlock before the filter of system calls, which refuses Landlock's own.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from . import linux, seccomp
from .linux import Lacking

_OPEN_FILES: Final = 64
_PROCESSES: Final = 64
"""Threads and processes of the jail's own user."""
_UID_BASE: Final = 61_184
_UID_SPAN: Final = 4_096
"""The users of the jails: a range that systemd keeps for users nobody else is, inside 16 bits so that it
is mapped in the user namespace of a container. The process id picks one, so that two jails share neither
their signals nor their count of processes."""

_LACKING: Final = "this system does not have it"


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


DESCRIPTORS: Final = "/proc/self/fd/"
_SYSTEM_PATHS: Final = (
    *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"),
    *("/dev/null", "/dev/urandom"),
)
"""Where shared libraries of the environment load more of their kind from, and two harmless devices."""


@dataclass(frozen=True)
class Plan:
    """What `confine` needs to know and can be found out before the fork.

    readable: files and folders that may be read; nothing can be written anywhere. rights: what Landlock can
    refuse here. program: empty where system calls cannot be filtered. unreachable: a user without privileges
    cannot enter a folder above the environment (root's home, say).
    """

    parent: int
    readable: tuple[str, ...]
    rights: linux.Rights
    program: seccomp.FilterProgram
    unreachable: bool


def environment_paths() -> tuple[str, ...]:
    """What code needs to read to import the standard library and this environment's packages."""
    schemes = sysconfig.get_paths()
    folders = [schemes[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [f"{sys.base_prefix}/lib", f"{sys.base_prefix}/lib64"]
    paths = [Path(folder).resolve() for folder in (*folders, *_SYSTEM_PATHS)]
    return tuple(dict.fromkeys(str(path) for path in paths if path.exists()))


def prepare(readable: tuple[str, ...]) -> Plan:
    """Find out what this system offers and compile the filter. Call it in the process that will fork.

    Raises PermissionError where nobody but root could import a module, so that uploads would fail by it.
    """
    plan = Plan(
        parent=os.getpid(),
        readable=readable,
        rights=linux.handled_rights(),
        program=seccomp.compile_filter() if seccomp.is_available() else (),
        unreachable=any(not _anyone_may_enter(Path(path)) for path in readable),
    )
    if os.geteuid() == 0 and not (any(plan.rights) and plan.program):
        for folder in filter(os.path.isdir, readable):
            if Path(folder).stat().st_mode & 0o005 != 0o005:
                raise PermissionError(
                    "student code runs as a user of its own, which has to read the Python environment, and "
                    f"{folder} is for root alone: chmod -R o+rX {folder}"
                )
    return plan


def close_all_but(descriptors: Iterable[int]) -> None:
    """Close every file descriptor that is not among these. Call it before `confine`, which hides /proc."""
    try:
        there = {int(name) for name in os.listdir("/dev/fd")}  # noqa: PTH208  (numbers, not paths)
    except OSError:
        there = set(range(os.sysconf("SC_OPEN_MAX")))
    for descriptor in there.difference(descriptors):
        with suppress(OSError):  # the one that listed the folder
            os.close(descriptor)


def confine(plan: Plan, memory_bytes: int, cpu_seconds: int) -> dict[Layer, str]:
    """Put this process into the jail, for good; give the layers that did not take hold, each with the reason.

    Call it in a fresh fork with one thread, its descriptors arranged, in a session of its own, before
    any code that is not trusted. plan: from `prepare` in the parent. memory_bytes: address space beyond what
    is mapped now. cpu_seconds: of the whole process; SIGXCPU at it, SIGKILL one second later. Linux: about
    a millisecond. Does not return if the parent is gone. Never raises for a layer that cannot be had.
    """
    missing: dict[Layer, str] = {}

    def take(layer: Layer, action: Callable[[], object]) -> bool:
        try:
            action()
        except (OSError, Lacking, ValueError) as error:
            code = getattr(error, "errno", None)
            said = f"{os.strerror(code)} ({errno.errorcode.get(code, code)})" if code else _LACKING
            missing.setdefault(layer, said)
        return layer not in missing

    as_root, landlock, filters = os.geteuid() == 0, any(plan.rights), bool(plan.program)
    with suppress(OSError):  # where a container's memory ends first, the kernel is to kill this process
        Path("/proc/self/oom_score_adj").write_bytes(b"1000")
    for which, most in _resource_limits(cpu_seconds, as_root, filters).items():
        take(Layer.RESOURCES, partial(_limit, which, most))
    take(Layer.RESOURCES, lambda: _limit(resource.RLIMIT_AS, linux.mapped_bytes() + memory_bytes))
    rulesets: list[int] = []
    if landlock:
        take(Layer.FILES, lambda: rulesets.append(linux.open_ruleset(plan.rights, plan.readable)))
    if as_root:
        take(Layer.USER, lambda: _change_user(plan, landlock and filters))
    else:
        missing[Layer.USER] = "only root can do it"
    take(Layer.NO_NEW_PRIVILEGES, lambda: linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1))
    take(Layer.PARENT_DEATH, lambda: _die_with(plan.parent))
    take(Layer.NOT_DUMPABLE, lambda: linux.prctl(linux.PR_SET_DUMPABLE, 0))
    restricted = bool(rulesets) and take(Layer.FILES, lambda: linux.restrict_self(rulesets[0]))
    for layer, known in zip((Layer.FILES, Layer.NETWORK, Layer.SCOPES), plan.rights, strict=True):
        if not (restricted and known):
            missing.setdefault(layer, _LACKING)
    take(Layer.CAPABILITIES, lambda: _give_up_capabilities(plan.unreachable and restricted and filters))
    take(Layer.SYSTEM_CALLS, lambda: seccomp.install_filter(plan.program))
    return {layer: missing[layer] for layer in Layer if layer in missing}


def uid_of(pid: int) -> int:
    """The user that process pid becomes."""
    return _UID_BASE + pid % _UID_SPAN


def _change_user(plan: Plan, keep_capabilities: bool) -> None:
    if plan.unreachable and keep_capabilities:
        linux.prctl(linux.PR_SET_KEEPCAPS, 1)
    elif plan.unreachable:
        _hold_environment()
    if not hasattr(os, "setresuid"):
        raise Lacking
    user = uid_of(os.getpid())
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _die_with(parent: int) -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def _give_up_capabilities(but_reading: bool) -> None:
    """All, but where only root can read the environment and Landlock holds: there the one to read.

    Landlock lets it read the environment alone, and neither it nor the filter lets anything be written.
    """
    has = linux.permitted_capabilities() if but_reading else 0
    reading = (has & 1 << capability for capability in (linux.CAP_DAC_READ_SEARCH, linux.CAP_DAC_OVERRIDE))
    linux.set_capabilities(next(filter(None, reading), 0))


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
    with suppress(OSError, Lacking):
        linux.prctl(linux.PR_SET_DUMPABLE, 0)


# --- Limits on what a runaway or hostile process may use up. ---


def _resource_limits(cpu_seconds: int, own_user: bool, threads_only: bool) -> dict[int, int]:
    """All but that on memory. own_user: the process will run as a user that no other process runs as.

    RLIMIT_NPROC counts all of a user: on Linux its threads, elsewhere processes. A user that has other
    processes may have hundreds; where the filter of system calls leaves threads only, those meet the limit
    on memory first (each maps a stack), and no number is needed.
    """
    limits = dict.fromkeys((resource.RLIMIT_CORE, resource.RLIMIT_FSIZE), 0)
    limits |= {resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_NOFILE: _OPEN_FILES}
    if own_user:
        limits[resource.RLIMIT_NPROC] = _PROCESSES
    elif not linux.ON_LINUX:
        limits[resource.RLIMIT_NPROC] = 1
    elif not threads_only:
        limits[resource.RLIMIT_NPROC] = _PROCESSES + _tasks_of_this_user()
    return limits


def _limit(which: int, most: int) -> None:
    """Set a limit, soft and hard, or keep one that is lower: only root may raise it."""
    wanted = (most, most + 1 if which == resource.RLIMIT_CPU else most)
    hard = resource.getrlimit(which)[1]
    bound = max(wanted) if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(which, (min(wanted[0], bound), min(wanted[1], bound)))


def _tasks_of_this_user() -> int:
    tasks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if entry.stat().st_uid == os.getuid():
                tasks += len(os.listdir(entry / "task"))  # noqa: PTH208  (counting, on a path of the kernel)
    return tasks
