"""A program of two cells and one message of each kind, for tests of the frames to encode and to bend."""

from __future__ import annotations

import numpy as np

from autograder.sandbox import wire
from autograder.sandbox.calls import (
    Answer,
    Cell,
    End,
    Ended,
    LoadReport,
    Place,
    Raised,
    Refusal,
    Refused,
    StatementFate,
    StatementReport,
)

CELLS = (Cell("cell 1", "x = 1\n  y = 2  \n"), Cell("cell 2", ""))
LABELS = {"cell 1": 0, "cell 2": 1}
MAX_TEXT = 100
MAX_PAYLOAD = 10_000

RAISED = Raised("ValueError", "bad", (Place("cell 1", 2, "y = 2"), Place("cell 2", 9, "")))
REPORT = StatementReport(Place("cell 1", 1, "x = 1"), StatementFate.FAILED, RAISED)
MESSAGES: tuple[wire.Message, ...] = (
    RAISED,
    Refused(Refusal.NOT_A_TENSOR, "a list of 3"),
    Ended(End.MEMORY, "MemoryError"),
    LoadReport(
        (REPORT, StatementReport(Place("cell 2", 3, ""), StatementFate.NOT_RUN)), ("A", "B"), True, ("c",)
    ),
)
ANSWER = Answer({"a": np.eye(3), "b": np.zeros((2, 0), bool)})


def encoded(message: wire.Message) -> bytes:
    """The frame of a message: the load's own index, or that of some call."""
    index = wire.LOAD_INDEX if isinstance(message, LoadReport) else 3
    return wire.encode(index, message, LABELS, MAX_TEXT)
