"""The per-submission function: one upload in, what came of it out; the same here and on a cluster."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import GraderFault, UploadError
from autograder.regrade.types import Done, Fingerprint, GradeFunction, Task, Verdict
from autograder.regrade.uploads import unpacked


def grade_task(task: Task, grade: GradeFunction, room: Path) -> Done:
    """Grade one submission; whatever goes wrong is a fault in what comes back, never an exception.

    room: a folder of this worker's own, for uploads that have to be unpacked.
    """
    try:
        with unpacked(task.upload, room) as path:
            return Done(task.id, task.key, grade(path))
    except (GraderFault, UploadError) as error:
        return Done(task.id, task.key, None, (str(error),))
    except Exception as error:  # a bug of the grader: staff need its place, and the rest go on
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        return Done(task.id, task.key, None, (f"{type(error).__name__}: {error} ({where})",))


@contextmanager
def real_grader() -> Iterator[GradeFunction]:
    """The grader that `./run_autograder` is, with a fork server of its own."""
    # Imported here: the process that hands out the work has no need of the checks.
    from autograder.grade import grade
    from autograder.regrade.fingerprint import fingerprint
    from autograder.results.schema import validate
    from autograder.sandbox.host import ForkServer
    from autograder.sandbox.jail.confine import guard_grader

    guard_grader()
    with ForkServer() as fork_server:
        isolation = functools.cache(fork_server.isolation_line)  # of the machine, not of the upload

        def one(upload: Path) -> Verdict:
            graded = grade(upload, fork_server)
            graded.results["extra_data"]["isolation"] = isolation()
            return Verdict(
                results=validate(graded.results),
                faults=graded.faults,
                diagnoses=graded.diagnoses,
                timed_out=graded.timed_out,
                fingerprint=fingerprint(graded.submission) if graded.submission else Fingerprint(),
            )

        yield one
