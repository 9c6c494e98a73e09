"""The per-submission function: one upload in, what came of it out; the same here and on a cluster."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autograder.errors import GraderFault, UploadError
from autograder.regrade.types import Done, GradeFunction, Task, Verdict
from autograder.regrade.uploads import unpacked
from autograder.sandbox.types import (
    Call,
    Cell,
    End,
    Ended,
    LoadReport,
    Sandbox,
    StatementFate,
    Transcript,
)

_TIMES = frozenset({End.CPU_TIME, End.WALL_TIME})


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
    from autograder.sandbox.jail import guard_grader
    from autograder.sandbox.staff import isolation_line

    guard_grader()
    with ForkServer() as fork_server:
        isolation = functools.cache(isolation_line)  # of the machine, not of the upload

        def one(upload: Path) -> Verdict:
            watched = Watched(fork_server)
            graded = grade(upload, watched)
            graded.results["extra_data"] = {"isolation": isolation(fork_server)}
            return Verdict(
                results=validate(graded.results),
                faults=graded.faults,
                diagnoses=tuple(dict.fromkeys(graded.diagnoses)),  # one mistake fails several checks
                timed_out=watched.timed_out,
                fingerprint=fingerprint(graded.submission),
            )

        yield one


class Watched:
    """A sandbox that notes whether a time limit was met in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.timed_out = False

    def run(self, cells: Sequence[Cell], calls: Sequence[Call]) -> Transcript:
        """As the sandbox itself."""
        transcript = self._sandbox.run(cells, calls)
        self.timed_out = self.timed_out or _met_a_time_limit(transcript)
        return transcript


def _met_a_time_limit(transcript: Transcript) -> bool:
    load = transcript.load
    stopped = isinstance(load, LoadReport) and any(
        statement.fate is StatementFate.STOPPED for statement in load.statements
    )
    endings = [item for item in (load, *transcript.outcomes) if isinstance(item, Ended)]
    return stopped or any(ending.reason in _TIMES for ending in endings)
