"""The two looks of check 2.5: at the source, for loops, and at the run, for operations that grow."""

from __future__ import annotations

from autograder.checks.source_kinds import Loop
from autograder.checks.source_look import row_loops
from autograder.sandbox.calls import Answer
from autograder.submission.source import class_source
from autograder.submission.types import Program
from autograder.text import NAME_LIMIT, clean


def loops(program: Program) -> tuple[Loop, ...]:
    """The loops over rows in the forward pass of the program's class."""
    source = class_source(program)
    return row_loops(source) if source is not None else ()


def loop_message(found: tuple[Loop, ...]) -> str:
    """Where the loops stand and what to write instead."""
    places = "; ".join(
        f"{loop.label}, line {loop.line}, over {clean(loop.over, NAME_LIMIT)}" for loop in found[:3]
    )
    return (
        f"Your forward pass goes over rows one at a time ({places}). Compute all attention scores at once: "
        "one product of all queries with all keys gives the (seq_len, seq_len) scores, and softmax takes "
        "dim=-1 for all queries together."
    )


def operation_counts(answer: Answer) -> tuple[int, ...] | None:
    """The number of tensor operations at each length; None if what came cannot be such numbers."""
    counts = answer.arrays.get("counts")
    if counts is None or counts.dtype.kind != "i" or counts.ndim != 1 or (counts <= 0).any():
        return None
    return tuple(int(count) for count in counts)


def count_message(counts: tuple[int, ...] | None, seq_lens: tuple[int, ...], group: str) -> str:
    """What was counted, and what that means."""
    if counts is None:
        return (
            "Your forward pass makes no tensor operations that could be counted. Compute the output from the "
            "queries, keys and values with tensor operations alone, not with NumPy or Python numbers."
        )
    told = ", ".join(f"{count} for {length} tokens" for count, length in zip(counts, seq_lens, strict=True))
    return (
        f"The number of tensor operations grows with the sequence ({told}, {group}), so something is done "
        "token by token. Compute all attention scores at once, with one product of all queries with all "
        "keys, and take all positions with one lookup."
    )
