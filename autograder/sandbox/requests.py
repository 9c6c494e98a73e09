"""What the host sends to a child: the program, the calls, the limits; written and read here.

Layout: u64 length of what follows, and that is a pickle. Whoever reads a pickle has to trust whoever wrote
it: requests travel from the trusted side to the untrusted one only, answers never come this way (`frames`).
"""

from __future__ import annotations

import io
import pickle
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from autograder.assignment import Task
from autograder.sandbox.limits import RunLimits
from autograder.sandbox.types import (
    Call,
    Cell,
    CountOperations,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Sizes,
    TaskMatrices,
    Train,
    Weights,
)

LENGTH: Final = struct.Struct("<Q")


class LoadLevel(Enum):
    """How much of the program runs."""

    ALL = "all statements"
    DEFINITIONS = "imports, functions, classes, assignments"
    NAMES = "imports, functions, classes"


@dataclass(frozen=True)
class Request:
    """One attempt: load the cells at this level, make these calls, within these limits."""

    cells: tuple[Cell, ...]
    calls: tuple[Call, ...]
    level: LoadLevel
    limits: RunLimits


_CLASSES: Final[dict[str, Any]] = {
    cls.__name__: cls
    for cls in (
        *(Request, LoadLevel, RunLimits, Cell, Sizes, Weights, Task),
        *(Describe, Forward, Gradients, CountOperations, RecordedOutput, TaskMatrices, Train),
    )
}
"""By name: the grader's modules cannot be imported any more where a request is read."""
_OWN_MODULES: Final = __name__.partition(".")[0] + "."


def encode(request: Request) -> bytes:
    """The request as bytes, its length first."""
    body = pickle.dumps(request, protocol=5)
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Request:
    """The request of these bytes, without the length in front."""
    request: Request = _Unpickler(io.BytesIO(body)).load()
    return request


class _Unpickler(pickle.Unpickler):  # the contract at the top of this file says who writes what it reads
    def find_class(self, module: str, name: str) -> Any:
        """A class of the request's, or one of NumPy's, which makes the arrays."""
        return _CLASSES[name] if module.startswith(_OWN_MODULES) else super().find_class(module, name)
