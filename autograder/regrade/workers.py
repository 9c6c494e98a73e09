"""Grades on this machine: a few worker processes, each with one fork server, one submission at a time.

The parent hands a worker a task over a pipe and gets a `Record` back; it never holds more than one task for
each worker. A worker is a session of its own, so Ctrl-C reaches the parent alone. A worker that dies is
replaced and its submission tried once more; one that dies again, or outlasts the watchdog, is reported as
the grader's fault. A worker ends with its parent, in the middle of a submission too; where the system
cannot see to that, as it finds its pipe closed. (concurrent.futures and its kin cannot end one worker alone.)
"""

from __future__ import annotations

import contextlib
import functools
import gc
import multiprocessing
import os
import shutil
import signal
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from time import monotonic
from typing import Final

from autograder.errors import GraderFault, SandboxFault, UploadError
from autograder.regrade.types import Fingerprint, GradeFunction, GraderFactory, Record, Task
from autograder.regrade.uploads import PLACE, unpack
from autograder.sandbox.jail import linux
from autograder.settings import CALL_CPU_SECONDS, LOAD_CPU_SECONDS, MAX_FAILED_ATTEMPTS, WALL_FACTOR
from autograder.text import clean

WATCHDOG_SECONDS: Final = 60 + WALL_FACTOR * (
    LOAD_CPU_SECONDS + MAX_FAILED_ATTEMPTS * (LOAD_CPU_SECONDS + CALL_CPU_SECONDS)
)
"""Beyond every limit that one submission's attempts can meet: only a hanging grader gets here."""
_GOODBYE_SECONDS: Final = 5.0
_FAULT_CHARS: Final = 1000


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
    again: deque[tuple[Task, int]] = deque()
    workers: list[_Worker] = []
    try:
        while True:
            while len(workers) < jobs or any(worker.task is None for worker in workers):
                following = again.popleft() if again else _first(source)
                if following is None:
                    break
                worker = next((worker for worker in workers if worker.task is None), None)
                if worker is None:
                    worker = _Worker.start(factory, workdir)
                    workers.append(worker)
                worker.give(*following)
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return
            for worker in _ready(busy, watchdog):
                task, tries = worker.task, worker.tries
                assert task is not None  # noqa: S101 - busy workers have one
                done = worker.take()
                if done is None:
                    workers.remove(worker)
                    late = worker.is_late(watchdog)
                    worker.end()
                    if tries < 1 and not late:
                        again.append((task, tries + 1))
                        continue
                    how = "did not come back" if late else f"died twice ({worker.ending})"
                    done = Record(id=task.id, key=task.key, faults=(f"the grader {how} on this submission",))
                yield done
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


def _first(source: Iterator[Task]) -> tuple[Task, int] | None:
    task = next(source, None)
    return None if task is None else (task, 0)


def _ready(busy: list[_Worker], watchdog: float) -> list[_Worker]:
    """Waits until a worker has answered, died or run out of time; gives those."""
    timeout = max(0.0, min(worker.since for worker in busy) + watchdog - monotonic())
    found = wait([worker.pipe for worker in busy], timeout)
    return [worker for worker in busy if worker.pipe in found or worker.is_late(watchdog)]


@dataclass(eq=False)
class _Worker:
    """A worker process as the parent sees it. task None: it is free. tries: deaths that task has cost."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    tries: int = 0
    since: float = 0.0

    @classmethod
    def start(cls, factory: GraderFactory, workdir: Path) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, factory, workdir), daemon=True)
        # Until the worker has left our session, Ctrl-C would reach it too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return cls(process, ours)

    @property
    def ending(self) -> str:
        code = self.process.exitcode
        return f"exit status {code}" if code is None or code >= 0 else signal.Signals(-code).name

    def is_late(self, watchdog: float) -> bool:
        return monotonic() > self.since + watchdog and not self.pipe.poll()

    def give(self, task: Task, tries: int) -> None:
        self.task, self.tries, self.since = task, tries, monotonic()
        try:
            self.pipe.send(task)
        except OSError:
            return  # it is dead already, which the next wait finds out

    def take(self) -> Record | None:
        """Its answer; None if it has none and never will."""
        if not self.pipe.poll():
            return None
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
    _end_with_parent()
    try:
        with factory() as grade:
            # What is imported stays: the collector need not look through it for every submission.
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            _serve(pipe, grade, workdir / str(os.getpid()))
    except GraderFault as fault:
        pipe.send(str(fault))


def _end_with_parent() -> None:
    with contextlib.suppress(linux.Lacking):
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:  # it was gone before it could be told
        raise SystemExit(0)


def _serve(pipe: Connection, grade: GradeFunction, workdir: Path) -> None:
    while True:
        try:
            task: Task = pipe.recv()
            pipe.send(grade_task(task, grade, workdir))
        except (EOFError, OSError):
            return


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
        fault = str(error)
    except Exception as error:  # a bug of the grader: staff need its place, and the rest go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Record(id=task.id, key=task.key, faults=(clean(fault, _FAULT_CHARS),))


@contextmanager
def real_grader() -> Iterator[GradeFunction]:
    """The grader that `./run_autograder` is, with a fork server of its own."""
    # Imported here: the process that hands out the work has no need of the checks.
    from autograder.bounds import limit_memory
    from autograder.grade import grade
    from autograder.regrade.similarity import fingerprint
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
            program = graded.submission.program if graded.submission else None
            cells = program.cells if program is not None else ()
            return Record(
                results=validate(graded.results),
                faults=graded.faults,
                diagnoses=graded.diagnoses,
                timed_out=graded.timed_out,
                fingerprint=fingerprint(graded.submission) if graded.submission else Fingerprint(),
                files=tuple((cell.label, cell.source) for cell in cells),
            )

        yield one
