"""Grades on this machine, in a few worker processes, or on a Dask cluster.

Either way a thread waits for each submission under way, and gets a `Record` back.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from autograder.errors import GraderFault, SandboxFault, UploadError, UsageError
from autograder.regrade.output_folder import grader_hash
from autograder.regrade.types import GradeFunction, GraderFactory, GradingTask, PackedFile, Record
from autograder.regrade.uploads import unpack
from autograder.sandbox.jail import linux
from autograder.settings import GRADE_WALL_SECONDS
from autograder.text import clean

WATCHDOG_SECONDS: Final = 60 + GRADE_WALL_SECONDS
"""Beyond every limit that one submission can meet: only a hanging grader gets here."""
_GOODBYE_SECONDS: Final = 5.0
_FAULT_CHARS: Final = 1000
_SECONDS_TO_ANSWER: Final = 15
_TASKS_PER_THREAD: Final = 3
"""Enough that a worker of a cluster never waits for the next upload."""
_MOST_THREADS: Final = 4096

Grading = tuple[Callable[[GradingTask], Record], Callable[[], int]]
"""What waits for a task to be graded, and how many may be under way now. The first raises UploadError for
its task alone, and other errors for all."""


def graded(
    tasks: Iterable[GradingTask], workers: AbstractContextManager[Grading]
) -> Generator[Record, None, None]:
    """What came of each task, in the order in which they finish. Closing the iterator ends the workers.

    tasks is taken from only when a worker can take it. Raises what the workers raise.
    """
    source = iter(tasks)
    under_way: dict[Future[Record], GradingTask] = {}
    threads = ThreadPoolExecutor(_MOST_THREADS)
    with workers as (grade, at_once):
        try:
            while True:
                for task in islice(source, max(0, at_once() - len(under_way))):
                    under_way[threads.submit(grade, task)] = task
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    task = under_way.pop(future)
                    try:
                        record = future.result()
                    except UploadError as error:
                        record = _failed(str(error))
                    yield replace(record, id=task.id, key=task.key)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _failed(fault: str) -> Record:
    return Record(faults=(clean(fault, _FAULT_CHARS),))


# --- On this machine. ---


@contextmanager
def local_workers(
    factory: GraderFactory, jobs: int, workdir: Path, watchdog: float = WATCHDOG_SECONDS
) -> Iterator[Grading]:
    """So many worker processes, each with a fork server, all gone at the end. workdir: for unpacked uploads.

    Each is a session of its own, so that Ctrl-C reaches the parent alone, and ends with its parent. One that
    dies is replaced and its submission tried once more; one that dies again, or outlasts the watchdog, is the
    grader's fault. (concurrent.futures' own processes cannot be ended one alone.) Raises SandboxFault if a
    worker cannot make what it needs: no submission would fare better.
    """
    mine = threading.local()
    workers: list[_Worker] = []
    starting = threading.Lock()
    over = False

    def a_worker() -> _Worker:
        with starting:
            if over:
                raise SandboxFault("the workers have been ended")
            workers.append(_Worker(factory))
            return workers[-1]

    def grade(task: GradingTask) -> Record:
        with tempfile.TemporaryDirectory(dir=workdir, ignore_cleanup_errors=True) as folder:
            path = unpack(task.files, Path(folder))
            for _ in range(2):
                worker = mine.worker = getattr(mine, "worker", None) or a_worker()
                try:
                    return worker.grade(path, watchdog)
                except (EOFError, OSError) as error:
                    mine.worker = None
                    worker.end()
                    if isinstance(error, TimeoutError):
                        return _failed("the grader did not come back on this submission")
            code = worker.process.exitcode or 0
            ending = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return _failed(f"the grader died twice ({ending}) on this submission")

    try:
        yield grade, lambda: jobs
    finally:
        with starting:
            over = True
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


class _Worker:
    """A worker process as its thread sees it."""

    def __init__(self, factory: GraderFactory) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, factory), daemon=True)
        # Until the worker has left our session, Ctrl-C would reach it too; this thread never hears of it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.process.start()
        theirs.close()

    def grade(self, path: Path, watchdog: float) -> Record:
        """Raises EOFError or OSError if it is dead; if it does not answer, TimeoutError, which is one."""
        self.pipe.send(path)
        if not self.pipe.poll(watchdog):
            raise TimeoutError
        answer: Record | str = self.pipe.recv()
        if isinstance(answer, str):
            raise SandboxFault(answer)
        return answer

    def end(self) -> None:
        """Make sure that the process is gone."""
        self.process.terminate()
        self.process.join(_GOODBYE_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, factory: GraderFactory) -> None:
    """The worker process: paths of uploads in, one `Record` out for each, until the pipe is closed."""

    def leave(*_: object) -> None:  # unwinds, once: the fork server ends with its worker
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    os.setsid()
    signal.signal(signal.SIGTERM, leave)
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
                    pipe.send(_record(pipe.recv(), grade))
    except GraderFault as fault:
        pipe.send(str(fault))


# --- The per-submission function: the same here and on a cluster. ---


def _record(path: Path, grade: GradeFunction) -> Record:
    """Grade one upload; whatever goes wrong is a fault in what comes back, never an exception."""
    try:
        return grade(path)
    except GraderFault as error:
        return _failed(str(error))
    except Exception as error:  # a bug of the grader: staff need its place, and the rest go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return _failed(f"{type(error).__name__}: {error} ({where})")


@contextmanager
def real_grader() -> Iterator[GradeFunction]:
    """The grader that `./run_autograder` is, with a fork server of its own."""
    # Imported here: the process that hands out the work has no need of the checks.
    from autograder.bounds import limit_memory
    from autograder.grade import grade
    from autograder.regrade.scores import signals
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
                signals=signals(graded.submission) if graded.submission else {},
                files=graded.files,
            )

        yield one


# --- On a Dask cluster. ---


@contextmanager
def cluster(factory: GraderFactory, address: str, grader: str) -> Iterator[Grading]:
    """The workers of a cluster. grader: what the hash of each must be.

    Uploads travel as bytes: workers need no shared disk, but this project in the same version, in whose
    folder they run. No more is under way than they can hold; the work of one that dies goes to another.

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

    def grade(task: GradingTask) -> Record:
        with _connected():
            future = client.submit(_on_the_cluster, tuple(task.files), factory, grader, pure=False)
            error = future.exception()
            if isinstance(error, ModuleNotFoundError) or "deserialization of the task graph" in str(error):
                raise UsageError(
                    "The cluster cannot import the grader: start scheduler and workers in its folder, with "
                    "`.venv/bin/python -m dask scheduler` and `.venv/bin/python -m dask worker ADDRESS "
                    "--nthreads 1`."
                )
            if error is not None and not isinstance(error, UploadError):
                return _failed(f"on the cluster: {type(error).__name__}: {error}")
            record: Record = future.result()
            return record

    def at_once() -> int:
        with _connected():
            threads: int = sum(client.nthreads().values())
            return max(2, _TASKS_PER_THREAD * threads)

    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
        except TimeoutError as error:
            raise UsageError(f"The scheduler at {address} has no workers: start one.") from error
        yield grade, at_once


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except (OSError, CancelledError) as error:
        told = "the connection to the scheduler is lost. What is graded is kept: start it again"
        raise GraderFault(told) from error


_one_at_a_time = threading.Lock()
_own_hash = functools.cache(grader_hash)
_open = contextlib.ExitStack()


@functools.cache
def _grader(factory: GraderFactory) -> GradeFunction:
    """Made at a worker's first submission, kept until the worker ends."""
    return _open.enter_context(factory())


def _on_the_cluster(files: tuple[PackedFile, ...], factory: GraderFactory, grader: str) -> Record:
    """Runs on a worker."""
    if _own_hash() != grader:
        return _failed("a worker has another version of the grader: update it")
    # One fork server in each process, and checks that are made for one at a time: threads wait here.
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="regrade-") as folder:
        return _record(unpack(files, Path(folder)), _grader(factory))
