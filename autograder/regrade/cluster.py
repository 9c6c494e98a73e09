"""Grades on a Dask cluster: the same per-submission function, the same bytes, more machines.

Uploads travel as bytes, so workers need no shared disk; they need this project, in the same version,
and run in its folder. Results come back one by one, and no more work is under way than the workers
can hold. When a worker dies, the scheduler gives its submissions to another.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from autograder.errors import GraderFault, UploadError, UsageError
from autograder.regrade.output_folder import grader_hash
from autograder.regrade.types import GradeFunction, GraderFactory, Record, Task
from autograder.regrade.uploads import pack
from autograder.regrade.workers import grade_task

_SECONDS_TO_ANSWER: Final = 15
_TASKS_PER_THREAD: Final = 3
"""Enough that a worker never waits for the next upload."""
_ONE_AT_A_TIME = threading.Lock()
_LOST: Final = "the connection to the scheduler is lost. What is graded is kept: start it again"


def run_on_cluster(
    tasks: Iterable[Task], factory: GraderFactory, *, address: str, grader: str
) -> Generator[Record, None, None]:
    """What came of each task, in the order in which they finish.

    Raises UsageError if Dask is not installed, or no scheduler or worker answers at address, and GraderFault
    if the scheduler is lost on the way.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "--scheduler needs Dask, which is not installed: .venv/bin/pip install -r requirements-dask.txt"
        ) from error
    try:
        client = _connect(distributed, address)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"No Dask scheduler answers at {address}: start one, or check the address."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
        except TimeoutError as error:
            raise UsageError(f"The scheduler at {address} has no workers: start one.") from error
        try:
            yield from _stream(client, distributed.as_completed, iter(tasks), factory, grader)
        except OSError as error:  # asked while the scheduler was on its way out
            raise GraderFault(_LOST) from error


def _connect(distributed: Any, address: str) -> Any:
    """A client; `distributed` comes as Any, since it declares types for a part of itself alone."""
    # A scheduler that is lost is told in our own words; Dask would add its tracebacks.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    return distributed.Client(address, timeout=_SECONDS_TO_ANSWER)


def _stream(
    client: Any, as_completed: Any, source: Iterator[Task], factory: GraderFactory, grader: str
) -> Generator[Record, None, None]:
    finished = as_completed()
    under_way: dict[str, Task] = {}

    def submit() -> Iterator[Record]:
        """Fill the workers up; gives what cannot be sent."""
        wanted = max(2, _TASKS_PER_THREAD * sum(client.nthreads().values()))
        while len(under_way) < wanted and (task := next(source, None)) is not None:
            try:
                parcel = _packed(task)
            except UploadError as error:
                yield Record(id=task.id, key=task.key, faults=(str(error),))
                continue
            under_way[_name(task)] = task
            finished.add(client.submit(_grade, parcel, factory, grader, pure=False, key=_name(task)))

    yield from submit()
    for future in finished:
        if future.cancelled():
            raise GraderFault(_LOST)
        yield _result(future, under_way.pop(future.key))
        future.release()
        yield from submit()


def _packed(task: Task) -> Task:
    if task.path is None:
        return task
    return replace(task, path=None, parcel=pack(task.path), single=not task.path.is_dir())


def _name(task: Task) -> str:
    return f"regrade-{task.id}-{task.key[:16]}"


def _result(future: Any, task: Task) -> Record:
    error = future.exception()
    if error is None:
        done: Record = future.result()
        return done
    if isinstance(error, ModuleNotFoundError) or "deserialization of the task graph" in str(error):
        raise UsageError(
            "The cluster cannot import the grader: start scheduler and workers in its folder, with "
            "`.venv/bin/python -m dask scheduler` and `.venv/bin/python -m dask worker ADDRESS --nthreads 1`."
        )
    return Record(id=task.id, key=task.key, faults=(f"on the cluster: {type(error).__name__}: {error}",))


def _grade(task: Task, factory: GraderFactory, grader: str) -> Record:
    """Runs on a worker."""
    if _own_hash() != grader:
        return Record(
            id=task.id, key=task.key, faults=("a worker has another version of the grader: update it",)
        )
    # One fork server in each process, and checks that are made for one at a time: threads wait here.
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(prefix="regrade-") as workdir:
        try:
            return grade_task(task, _grader(factory), Path(workdir))
        except GraderFault as error:
            return Record(id=task.id, key=task.key, faults=(str(error),))


_own_hash = functools.cache(grader_hash)
_open = contextlib.ExitStack()


@functools.cache
def _grader(factory: GraderFactory) -> GradeFunction:
    """Made at a worker's first submission, kept until the worker ends."""
    return _open.enter_context(factory())
