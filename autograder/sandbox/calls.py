"""What goes into the sandbox and what comes out: plain data, shared by the host, the worker and the checks.

A `Cell` list goes in, with the `Call`s to make; a `Transcript` comes out, one `Outcome` per call.
Matrices are in NumPy's orientation throughout, (in, out): the worker transposes for `nn.Linear`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Union

import numpy as np
import numpy.typing as npt

from autograder.assignment import CLASS_NAME, MATRICES, Task

FloatingArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Cell:
    """A piece of the student's program: plain Python, run in order with its neighbours.

    label: what the student calls it ("cell 4", "solution.py"), bounded and clean. source: line n of it is
    line n of what the student sees. file: "" for a cell of the program itself; otherwise the path of a file
    beside it, "utils/attention.py", which runs only where the program imports, runs or opens it; the nearest
    stand first. executed: False if the notebook says that it was never run, while others were.
    """

    label: str
    source: str
    file: str = ""
    executed: bool = True


class Moment(Enum):
    """In which state of the program's names the model is called."""

    TESTED = "when the notebook tested or recorded it, or else when the class was defined"
    END = "at the end"


@dataclass(frozen=True)
class RunLimits:
    """What one run of a program may use, as `settings` has it. Times in seconds, sizes in bytes.

    load_cpu: CPU time for the program's statements, before the running one is stopped. answer: one answer.
    text: one text from the student's code. items: numbers in one matrix.
    """

    load_cpu: float
    call_cpu: float
    wall_factor: float
    failed_attempts: int
    memory: int
    answer: int
    text: int
    items: int


@dataclass(frozen=True)
class Sizes:
    """Arguments of `PytorchTransformer`, in its order. pos_dim None: without positions."""

    input_dim: int
    qk_dim: int
    v_dim: int
    pos_dim: int | None
    max_seq_len: int

    @property
    def total_dim(self) -> int:
        """Width of the input once the positions are appended: input_dim + pos_dim."""
        return self.input_dim + (self.pos_dim or 0)


@dataclass(frozen=True)
class Weights:
    """Km, Qm: (total_dim, qk_dim); Vm: (total_dim, v_dim); pos: (max_seq_len, pos_dim) or None."""

    Km: FloatingArray
    Qm: FloatingArray
    Vm: FloatingArray
    pos: FloatingArray | None = None


# --- Calls: what the host asks of the student's code. ---


@dataclass(frozen=True)
class Describe:
    """Build the model. Answer: one int64 shape array per entry, named "trainable NAME" (a parameter
    that requires grad), "frozen NAME" (one that does not), "buffer NAME" or "alias NAME" (Km, Qm, Vm or pos
    under a second name), NAME as in state_dict()."""

    sizes: Sizes


@dataclass(frozen=True)
class Forward:
    """Build a model, load the weights as the notebook does, run seq (seq_len, input_dim) in float32.

    Answer: "output", as the model gave it; "operations", int64 (2,): how many made it, and how many
    attentions; "lines", int64 (k, 3), where there were many: cell, line, how many of them there.
    """

    sizes: Sizes
    weights: Weights
    seq: FloatingArray


@dataclass(frozen=True)
class Gradients:
    """As Forward, then back-propagate (output * upstream).sum(); upstream is (seq_len, v_dim).

    Answer: "Km", "Qm", "Vm", "pos" in NumPy's orientation; one without a gradient is left out.
    """

    sizes: Sizes
    weights: Weights
    seq: FloatingArray
    upstream: FloatingArray


@dataclass(frozen=True)
class RecordedOutput:
    """What the notebook records: seed `random`, `numpy` and `torch` with seed, build the model, run
    torch.randn(seq_len, input_dim). Answer: "shape" int64, "output" float64, flattened; "older", too, if the
    class draws from trunc_normal_: the output with the numbers that torch drew for that up to 2.12."""

    seed: int
    sizes: Sizes
    seq_len: int


@dataclass(frozen=True)
class TaskMatrices:
    """The matrices as they stood when that task's cell ran. Answer: "Km", "Qm", "Vm" and, where
    there is one, "pos", as float64 in the shape the student gave them; Refused(NO_MATRICES) if none."""

    task: Task


@dataclass(frozen=True)
class Train:
    """Train a model built under seed by plain SGD on the mean squared error, one sequence a step.

    sequences: of each step, inputs (seq_len, input_dim), and targets (at most seq_len, v_dim) of as many rows
    of the output, its last ones. reference: the grader's own model instead of the student's.

    Answer: "losses" float64 (steps,), and the weights after the last step, as of `TaskMatrices`.
    """

    sizes: Sizes
    seed: int
    learning_rate: float
    sequences: tuple[tuple[FloatingArray, FloatingArray], ...]
    reference: bool = False


@dataclass(frozen=True)
class Canary:
    """Try what the jail forbids: on files of the grader's, of results and of uploads, and on processes that
    hold something of worth. Answer: empty arrays, named by what was found, as `isolation` reads them."""

    secrets: tuple[str, ...]
    results: str
    uploads: tuple[str, ...]
    processes: tuple[int, ...]


Call = Union[Describe, Forward, Gradients, RecordedOutput, TaskMatrices, Train, Canary]

# --- Outcomes: every ending of a call is one of these. ---


@dataclass(frozen=True)
class Place:
    """A line of the student's program; text is that line, stripped, bounded."""

    label: str
    line: int
    text: str


@dataclass(frozen=True)
class Answer:
    """The call came back: arrays by name (whitelisted dtypes; may hold NaN or infinity)."""

    arrays: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Raised:
    """The student's code raised. trace: the student's own lines, outermost first."""

    type_name: str
    message: str
    trace: tuple[Place, ...] = ()


class Refusal(Enum):
    """Why what the student's code gave cannot be used, though nothing was raised."""

    NO_CLASS = f"there is no class {CLASS_NAME}"
    NO_MATRICES = "the matrices of this task are not there"
    NOT_KNOWN = "the matrices of this task are not known, since a part of the program was not run"
    NOT_NUMERIC = "a matrix is not an array of numbers"
    NOT_A_TENSOR = "forward returned something else than a tensor"
    BAD_DTYPE = "the output is not a tensor of floating-point numbers"
    TOO_LARGE = "the output is too large to send"
    MISSING_LAYER = "the state dict lacks a weight that the notebook loads"
    LAYER_SHAPE = "a weight has another shape than the matrix to be loaded"
    NO_GRADIENT = "the output is not connected to the weights"


@dataclass(frozen=True)
class Refused:
    """detail: a type's name, the layers found, the shapes."""

    reason: Refusal
    detail: str


class End(Enum):
    """How an attempt died instead of answering."""

    CPU_TIME = "it used up its CPU time"
    WALL_TIME = "it did not answer in time"
    MEMORY = "it needed more memory than there is"
    SIGNAL = "it was killed by a signal"
    EXIT = "it left the process"
    FORBIDDEN = "it did something that is not allowed here"
    GARBAGE = "it wrote into the grader's channel"
    NOT_RUN = "it was not tried, after too many attempts that died"
    USED_UP = "it was not run to its end: the program used up its time"


@dataclass(frozen=True)
class Ended:
    """detail: the signal's name, the exit status, or the limit that was met."""

    reason: End
    detail: str = ""


Outcome = Union[Answer, Raised, Refused, Ended]


# --- Loading. ---


class StatementFate(Enum):
    """What became of a statement that did not simply run."""

    FAILED = "failed"
    SKIPPED = "skipped"  # calls the assignment's training or comparison functions
    STOPPED = "stopped"  # took too long
    NOT_RUN = "not run"  # no definition, and only definitions were loaded
    ENDED = "ended"  # the process ended in it, and was run again without it; the error has how


@dataclass(frozen=True)
class StatementReport:
    """A statement of the program that did not simply run. error: why, if it FAILED or ENDED."""

    place: Place
    fate: StatementFate
    error: Raised | None = None


@dataclass(frozen=True)
class LoadReport:
    """How loading went. classes: names of the nn.Module subclasses the program defined, in order. absent:
    packages that the program imports, and neither the upload nor the grader has."""

    statements: tuple[StatementReport, ...]
    classes: tuple[str, ...]
    definitions_only: bool
    absent: tuple[str, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether the grader's limits kept a part from running: what is not there may be in that part."""
        cut = (StatementFate.STOPPED, StatementFate.NOT_RUN, StatementFate.ENDED)
        return any(statement.fate in cut for statement in self.statements)


def met_time_limit(load: LoadReport | Ended | None, outcomes: Iterable[Outcome]) -> bool:
    """Whether a program, in loading or in a call, was stopped for its time."""
    if isinstance(load, LoadReport) and any(each.fate is StatementFate.STOPPED for each in load.statements):
        return True
    too_late = (End.CPU_TIME, End.WALL_TIME, End.USED_UP)
    return any(isinstance(each, Ended) and each.reason in too_late for each in (load, *outcomes))


@dataclass(frozen=True)
class Transcript:
    """What came of one program. outcomes stand in the order of the calls."""

    load: LoadReport | Ended
    outcomes: tuple[Outcome, ...]


# --- The form of an answer. ---

_FORMS: Final[dict[type, dict[str, tuple[int | None, ...] | None]]] = {
    Forward: {"output": None, "operations": (2,), "lines": (None, 3)},
    Gradients: dict.fromkeys(MATRICES),
    RecordedOutput: {"shape": (None,), "output": None, "older": None},
    TaskMatrices: dict.fromkeys(MATRICES),
    Train: dict.fromkeys(("losses", *MATRICES)),
}
"""By name, what an array holds: counts (int64) in this shape, None in it: any length; or None: floats."""
_OPTIONAL: Final = {"older", "pos"}
_ENTRIES: Final = ("trainable ", "frozen ", "buffer ", "alias ")


def accepts(call: Call, answer: Answer, max_items: int) -> bool:
    """Whether an answer has the form that its call asks for: names, dtypes, dimensions.

    The student's code shares a process with what sends answers: one of another form is no fault of the
    grader's, but garbage in the channel. max_items: numbers in a matrix of `TaskMatrices`.
    """
    arrays = answer.arrays
    if isinstance(call, Canary):
        return True
    if isinstance(call, Describe):
        return all(name.startswith(_ENTRIES) and _holds(array, (None,)) for name, array in arrays.items())
    forms = _FORMS[type(call)]
    needed = set() if isinstance(call, Gradients) else forms.keys() - _OPTIONAL
    if not needed <= arrays.keys() <= forms.keys():
        return False
    if isinstance(call, Train) and arrays["losses"].shape != (len(call.sequences),):
        return False
    if isinstance(call, TaskMatrices) and any(array.size > max_items for array in arrays.values()):
        return False
    return all(_holds(array, forms[name]) for name, array in arrays.items())


def _holds(array: npt.NDArray[Any], form: tuple[int | None, ...] | None) -> bool:
    if form is None:
        return array.dtype.kind == "f"
    right_shape = len(form) == array.ndim and all(map(lambda n, has: n in (None, has), form, array.shape))
    return array.dtype == np.int64 and right_shape and bool((array >= 0).all())
