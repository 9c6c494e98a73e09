"""Limits on resources: what a runaway or hostile process may use up before the kernel stops it."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from .libc import ON_LINUX, Lacking
from .types import Limits


def limit_resources(limits: Limits, own_user: bool, threads_only: bool) -> None:
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
    if not ON_LINUX:
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
