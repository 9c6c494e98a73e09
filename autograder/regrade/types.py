"""What passes between the stages of a regrade: an entry of the export, the record of its grade, a row.

Names and emails live in `Submitter` alone, and only `grades`, `report` and the pages write them down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Submitter(NamedTuple):
    """A student, as the export names them; "" where it does not."""

    name: str
    sid: str
    email: str


@dataclass(frozen=True)
class TestScore:
    """One test of a result. message: its output as plain text, bounded. status: "" if it has none."""

    __test__ = False  # pytest would take the name for a test class

    number: str
    name: str
    score: float
    max_score: float
    message: str
    status: str = ""

    @property
    def passed(self) -> bool:
        """Whether it says so, or has all its points."""
        return self.status == "passed" or (not self.status and self.score >= self.max_score > 0)

    @property
    def title(self) -> str:
        """ "1.1 the log is there", or what there is of it."""
        return f"{self.number} {self.name}".strip()


@dataclass(frozen=True)
class Score:
    """A result as far as the tables need it. total None: there is none. message: above the tests."""

    total: float | None = None
    tests: tuple[TestScore, ...] = ()
    message: str = ""


Upload = tuple[tuple[str, str], ...]
"""The files of an upload: the path that each has in it, and where it lies, on disk or in the export's zip."""


@dataclass(frozen=True)
class Entry:
    """One submission of the export. upload: None, and damage says why, if it cannot be graded.

    attempts: how many came before. folder: its name in the export, safe to show.
    """

    id: str
    upload: Upload | None = None
    submitters: tuple[Submitter, ...] = ()
    created_at: str = ""
    attempts: int = 0
    before: Score = Score()
    damage: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Export:
    """notes: what was odd about the export as a whole, for staff."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What grading one upload gave; carried from the worker to OUT/state and into the tables.

    results: the bytes of results.json, None if the grader gave none, and faults, its own, say why. diagnoses:
    short stable names of the mistakes recognised. timed_out: the student's code met a time limit. signals: in
    which two uploads that are the same answer agree, by name. files: the names and the source of what was
    graded. id, key: those of the `GradingTask`.
    """

    results: bytes | None = None
    faults: Sequence[str] = ()
    diagnoses: Sequence[str] = ()
    timed_out: bool = False
    signals: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Sequence[str]] = ()
    id: str = ""
    key: str = ""


GradeFunction = Callable[[Path], Record]
GraderFactory = Callable[[], AbstractContextManager[GradeFunction]]
"""Makes what one worker needs (its fork server) and gives the per-submission function; must pickle."""


@dataclass(frozen=True)
class PackedFile:
    """A file on its way: its path inside the upload, and its bytes, none of a large one that is not read."""

    name: str
    data: bytes
    size: int


@dataclass(frozen=True)
class GradingTask:
    """One submission to grade. key: what must be the same for its result to stand. files: read as needed."""

    id: str
    key: str
    files: Iterable[PackedFile]


class Status(Enum):
    """What became of a submission; the value stands in the tables, in the order of what to look at first."""

    FAULT = "grader fault"
    TIMED_OUT = "time-out"
    SKIPPED = "skipped"
    GRADED = "graded"


@dataclass(frozen=True)
class Row:
    """One submission in the tables. reasons: the faults, or why it was skipped. look_at: what staff should
    see for themselves, such as a construct in its code by which a program could cheat."""

    entry: Entry
    status: Status
    reasons: Sequence[str]
    now: Score = Score()
    record: Record = Record()
    look_at: tuple[str, ...] = ()

    @property
    def change(self) -> float | None:
        """Score now minus score before; None unless there are both."""
        before, now = self.entry.before.total, self.now.total
        return None if before is None or now is None else round(now - before, 6)
