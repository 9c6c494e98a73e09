"""What an upload holds, once read: frozen data, nothing of it trusted, all of it bounded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from autograder.assignment import Section, Task
from autograder.sandbox.calls import Cell, Moment

FlatArray = npt.NDArray[np.float64]


class ProblemKind(Enum):
    """What is wrong with a place in the log: decides which check it costs."""

    MISSING = "missing"
    BROKEN = "broken"  # does not fit the schema: costs 1.1
    NOT_FINITE = "not finite"  # NaN or infinity, which is not JSON: costs 1.2


@dataclass(frozen=True)
class Problem:
    """A place of the log that is not as it should be, in a student's words.

    section: None if it concerns the file as a whole. where: "attention_by_content_Q, item 3".
    message: what was expected, what came, what to do next.
    """

    section: Section | None
    where: str
    kind: ProblemKind
    message: str


@dataclass(frozen=True)
class ModelRecord:
    """torch_transformer_*: shape and value as recorded, init and forward as source text."""

    shape: tuple[int, ...]
    value: FlatArray
    init: str
    forward: str


@dataclass(frozen=True)
class TaskRecord:
    """attention_by_*: flat arrays, row by row; they may hold NaN or infinity. pos: None for content."""

    output: FlatArray
    Q: FlatArray
    K: FlatArray
    V: FlatArray
    pos: FlatArray | None = None


@dataclass(frozen=True)
class Log:
    """submission_log.json. A section is None if it is missing or broken; `problems` says why.

    One that only holds NaN or infinity is there, with a NOT_FINITE problem.
    readable: False if the file is not a JSON object at all (then every section is None).
    """

    name: str
    readable: bool
    time: float | None
    model: ModelRecord | None
    content: TaskRecord | None
    position: TaskRecord | None
    problems: tuple[Problem, ...]

    @property
    def has_ending(self) -> bool:
        """Whether its file's name has one, .json or .txt, as a log has that is to be counted as handed in."""
        return "." in self.name.rpartition("/")[2]

    def record(self, task: Task) -> TaskRecord | None:
        """What it records of a task; None, too, for one that it never does."""
        return {Task.CONTENT: self.content, Task.POSITION: self.position}.get(task)


@dataclass(frozen=True)
class Matrices:
    """One task's matrices in their shapes. Km, Qm: (input_dim + pos_dim, qk_dim); Vm: (input_dim + pos_dim,
    v_dim); pos: (rows, pos_dim), or None without positions. They may hold NaN or infinity."""

    Km: FlatArray
    Qm: FlatArray
    Vm: FlatArray
    pos: FlatArray | None = None


class Origin(Enum):
    """Where the code came from."""

    NOTEBOOK = "notebook"
    SCRIPT = "script"
    LOG = "log"


@dataclass(frozen=True)
class Program:
    """The student's code, ready for the sandbox. name: the file as the student knows it.

    executed: the notebook says that it was run.
    """

    origin: Origin
    name: str
    cells: tuple[Cell, ...]
    executed: bool = False


class NoteLevel(Enum):
    """What a notice tells of a file."""

    FOUND = "found"
    IGNORED = "ignored"
    WARNING = "warning"


@dataclass(frozen=True)
class Note:
    """A line about the upload that the student is shown: what was found, ignored, chosen and why."""

    tone: NoteLevel
    text: str


@dataclass(frozen=True)
class Submission:
    """One upload, by one of its readings. log None: there is no log. program None: there is no code anywhere.

    others: the same upload by further readings that are fair, the best first. faults: what the grader itself
    got wrong in reading it, with the traceback, for staff. moment: the state in which the model is called.
    """

    log: Log | None
    program: Program | None
    notices: tuple[Note, ...]
    others: tuple[Submission, ...] = ()
    faults: tuple[str, ...] = ()
    moment: Moment = Moment.TESTED


@dataclass(frozen=True)
class CodeFile:
    """What a file of code gave. program: None if it cannot be used; notices say why, or what was left out."""

    program: Program | None
    notices: tuple[Note, ...] = ()


def refused(text: str) -> CodeFile:
    """What a file that cannot be used gives. text: why, and what to do."""
    return CodeFile(None, (Note(NoteLevel.WARNING, text),))
