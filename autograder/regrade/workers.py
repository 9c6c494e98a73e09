"""Grades on this machine, a few worker processes, each with one fork server, or on a Dask cluster.

Here the parent hands a worker one task at a time over a pipe and gets a `Record` back. A worker is a session
of its own, so Ctrl-C reaches the parent alone. A worker that dies is replaced and its submission tried once
more; one that dies again, or outlasts the watchdog, is reported as the grader's fault. A worker ends with its
parent, in the middle of a submission too. (concurrent.futures and its kin cannot end one worker alone.)

On a cluster uploads travel as bytes, so workers need no shared disk; they need this project, in the same
version, and run in its folder. No more work is under way than they can hold; when a worker dies, the
scheduler gives its submissions to another.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from typing import Any, Final

from autograder.errors import GraderFault, SandboxFault, UploadError, UsageError
from autograder.regrade.output_folder import grader_hash
from autograder.regrade.types import Fingerprint, GradeFunction, GraderFactory, Record, Task
from autograder.regrade.uploads import PLACE, pack, unpack
from autograder.sandbox.jail import linux
from autograder.settings import CALL_CPU_SECONDS, LOAD_CPU_SECONDS, MAX_FAILED_ATTEMPTS, WALL_FACTOR
from autograder.text import clean

WATCHDOG_SECONDS: Final = 60 + WALL_FACTOR * (
    LOAD_CPU_SECONDS + MAX_FAILED_ATTEMPTS * (LOAD_CPU_SECONDS + CALL_CPU_SECONDS)
)
"""Beyond every limit that one submission's attempts can meet: only a hanging grader gets here."""
_GOODBYE_SECONDS: Final = 5.0
_FAULT_CHARS: Final = 1000
_SECONDS_TO_ANSWER: Final = 15
_TASKS_PER_THREAD: Final = 3
"""Enough that a worker of a cluster never waits for the next upload."""
_LOST: Final = "the connection to the scheduler is lost. What is graded is kept: start it again"


def run_jobs(
    tasks: Iterable[Task],
    factory: GraderFactory,
    *,
    jobs: int,
    workdir: Path,
    watchdog: float = WATCHDOG_SECONDS,
) -> Generator[Record, None, None]:
    """What came of each task, in the order in which they finish. Closing the iterator ends the workers.

    tasks is taken from only when a worker is free. workdir: where workers may unpack uploads.
    Raises SandboxFault if a worker cannot make what it needs: no submission would fare better.
    """
    source = iter(tasks)
    again: list[Task] = []
    died: set[str] = set()
    workers: list[_Worker] = []
    try:
        while True:
            free = [worker for worker in workers if worker.task is None]
            while free or len(workers) < jobs:
                task = again.pop() if again else next(source, None)
                if task is None:
                    break
                if not free:
                    free.append(_Worker(factory, workdir))
                    workers.append(free[0])
                free.pop().give(task)
            busy = [(worker, worker.task) for worker in workers if worker.task is not None]
            if not busy:
                return
            first = min(worker.since for worker, _ in busy)
            answered = wait([worker.pipe for worker, _ in busy], max(0.0, first + watchdog - monotonic()))
            for worker, task in busy:
                late = worker.pipe not in answered and monotonic() > worker.since + watchdog
                if worker.pipe not in answered and not late:
                    continue
                record = None if late else worker.take()
                if record is None:
                    workers.remove(worker)
                    worker.end()
                    if task.id not in died and not late:
                        died.add(task.id)
                        again.append(task)
                        continue
                    how = "did not come back" if late else f"died twice ({worker.ending})"
                    record = _failed(task, f"the grader {how} on this submission")
                yield record
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


def _failed(task: Task, fault: str) -> Record:
    return Record(id=task.id, key=task.key, faults=(clean(fault, _FAULT_CHARS),))


class _Worker:
    """A worker process as the parent sees it. task None: it is free. since: when it got its task."""

    def __init__(self, factory: GraderFactory, workdir: Path) -> None:
        self.task: Task | None = None
        self.since = 0.0
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, factory, workdir), daemon=True)
        # Until the worker has left our session, Ctrl-C would reach it too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    @property
    def ending(self) -> str:
        code = self.process.exitcode
        return f"exit status {code}" if code is None or code >= 0 else signal.Signals(-code).name

    def give(self, task: Task) -> None:
        self.task, self.since = task, monotonic()
        with contextlib.suppress(OSError):  # it is dead already, which the next wait finds out
            self.pipe.send(task)

    def take(self) -> Record | None:
        """Its answer; None if it is dead. Raises SandboxFault if it cannot make what it needs."""
        try:
            answer: Record | str = self.pipe.recv()
        except (EOFError, OSError):
            return None
        if isinstance(answer, str):
            raise SandboxFault(answer)
        self.task = None
        return answer

    def end(self) -> None:
        """Make sure that the process is gone."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_GOODBYE_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, factory: GraderFactory, workdir: Path) -> None:
    """The worker process: tasks in, one `Record` out for each, until the pipe is closed."""
    os.setsid()
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(linux.Lacking):
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it was gone before it could be told
        return
    try:
        with factory() as grade:
            # What is imported stays: the collector need not look through it for every submission.
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            with contextlib.suppress(EOFError, OSError):
                while True:
                    pipe.send(grade_task(pipe.recv(), grade, workdir / str(os.getpid())))
    except GraderFault as fault:
        pipe.send(str(fault))


def _leave(*_: object) -> None:
    """SIGTERM: unwind, so that the fork server ends with its worker."""
    raise SystemExit(0)


# --- The per-submission function: the same here and on a cluster. ---


def grade_task(task: Task, grade: GradeFunction, workdir: Path) -> Record:
    """Grade one submission; whatever goes wrong is a fault in what comes back, never an exception.

    workdir: a folder of this worker's own, for an upload that has travelled.
    """
    place = workdir / PLACE
    try:
        path = task.path if task.path is not None else unpack(task.parcel, place, single=task.single)
        return replace(grade(path), id=task.id, key=task.key)
    except (GraderFault, UploadError) as error:
        return _failed(task, str(error))
    except Exception as error:  # a bug of the grader: staff need its place, and the rest go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return _failed(task, f"{type(error).__name__}: {error} ({where})")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def real_grader() -> Iterator[GradeFunction]:
    """The grader that `./run_autograder` is, with a fork server of its own."""
    # Imported here: the process that hands out the work has no need of the checks.
    from autograder.bounds import limit_memory
    from autograder.grade import grade
    from autograder.regrade.scores import fingerprint
    from autograder.results.schema import validate
    from autograder.sandbox.host import ForkServer
    from autograder.sandbox.jail.confine import guard_grader
    from autograder.settings import GRADER_MEMORY_BYTES

    guard_grader()
    limit_memory(GRADER_MEMORY_BYTES)
    with ForkServer() as fork_server:
        isolation = functools.cache(fork_server.isolation_line)  # of the machine, not of the upload

        def one(upload: Path) -> Record:
            graded = grade(upload, fork_server)
            graded.results["extra_data"]["isolation"] = isolation()
            return Record(
                results=validate(graded.results),
                faults=graded.faults,
                diagnoses=graded.diagnoses,
                timed_out=graded.timed_out,
                fingerprint=fingerprint(graded.submission) if graded.submission else Fingerprint(),
                files=graded.files,
            )

        yield one


# --- On a Dask cluster. ---


def run_on_cluster(
    tasks: Iterable[Task], factory: GraderFactory, *, address: str, grader: str
) -> Generator[Record, None, None]:
    """What came of each task, in the order in which they finish. grader: what every worker's hash must be.

    Raises UsageError if Dask is not installed, or no scheduler or worker answers at address, and GraderFault
    if the scheduler is lost on the way.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "--scheduler needs Dask, which is not installed: .venv/bin/pip install -r requirements-dask.txt"
        ) from error
    # A scheduler that is lost is told in our own words; Dask would add its tracebacks.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    # distributed declares types for a part of itself alone.
    dask: Any = distributed
    try:
        client = dask.Client(address, timeout=_SECONDS_TO_ANSWER)
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
            yield from _stream(client, dask.as_completed(), iter(tasks), factory, grader)
        except OSError as error:  # asked while the scheduler was on its way out
            raise GraderFault(_LOST) from error


def _stream(
    client: Any, finished: Any, source: Iterator[Task], factory: GraderFactory, grader: str
) -> Generator[Record, None, None]:
    under_way: dict[str, Task] = {}

    def submit() -> Iterator[Record]:
        """Fill the workers up; gives what cannot be sent."""
        wanted = max(2, _TASKS_PER_THREAD * sum(client.nthreads().values()))
        while len(under_way) < wanted and (task := next(source, None)) is not None:
            name, packed = f"regrade-{task.id}-{task.key[:16]}", task
            if task.path is not None:
                try:
                    packed = replace(task, path=None, parcel=pack(task.path), single=not task.path.is_dir())
                except UploadError as error:
                    yield _failed(task, str(error))
                    continue
            under_way[name] = task
            finished.add(client.submit(_grade, packed, factory, grader, pure=False, key=name))

    yield from submit()
    for future in finished:
        if future.cancelled():
            raise GraderFault(_LOST)
        task, error = under_way.pop(future.key), future.exception()
        if isinstance(error, ModuleNotFoundError) or "deserialization of the task graph" in str(error):
            raise UsageError(
                "The cluster cannot import the grader: start scheduler and workers in its folder, with "
                "`.venv/bin/python -m dask scheduler` and `.venv/bin/python -m dask worker ADDRESS "
                "--nthreads 1`."
            )
        failed = error and _failed(task, f"on the cluster: {type(error).__name__}: {error}")
        yield failed or future.result()
        future.release()
        yield from submit()


_one_at_a_time = threading.Lock()
_own_hash = functools.cache(grader_hash)
_open = contextlib.ExitStack()


@functools.cache
def _grader(factory: GraderFactory) -> GradeFunction:
    """Made at a worker's first submission, kept until the worker ends."""
    return _open.enter_context(factory())


def _grade(task: Task, factory: GraderFactory, grader: str) -> Record:
    """Runs on a worker."""
    if _own_hash() != grader:
        return _failed(task, "a worker has another version of the grader: update it")
    # One fork server in each process, and checks that are made for one at a time: threads wait here.
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="regrade-") as workdir:
        try:
            return grade_task(task, _grader(factory), Path(workdir))
        except GraderFault as error:
            return _failed(task, str(error))
