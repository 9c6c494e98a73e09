"""Whether the forward pass goes over queries or keys one at a time: what made the judged outputs, counted.

Each `Forward` answer tells how many operations made its output (see sandbox/worker/operations). Computing
all scores at once takes as many for 60 tokens as for 4; whatever goes row by row or over padding takes more,
and blocks, however many, take a softmax each. Rows that are printed, asserted on or kept for a plot, and
gathered positions do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from autograder.feedback.messages import Run
from autograder.sandbox.calls import Answer, Cell

MOST = 100
"""No way of computing a few tokens at once needs more operations; padding to a fixed length does."""
MOST_ATTENTIONS = 3
"""One is what it takes; written out, its softmax may be two exponentials."""
MAX_PLACES = 3


def can_be_judged(runs: Iterable[Run]) -> bool:
    """Whether outputs of two lengths came, one of which is at least twice as long as the other."""
    lengths = {length for length, _, _ in _counted(runs)}
    return len(lengths) > 1 and 2 * min(lengths) <= max(lengths)


def loop_message(runs: Sequence[Run], cells: Sequence[Cell]) -> str:
    """What is computed row by row, at which line, and what to write instead; "" if nothing is.

    runs: of models that differ in sizes alone, all with positions or all without. cells: of the program;
    empty if neither counts nor lines may be told, by which a program could tell what it was given.
    """
    counted = _counted(runs)
    if not can_be_judged(runs):
        return ""
    longest = max(length for length, _, _ in counted)
    short = [count for length, count, _ in counted if 2 * length <= longest]
    least, most = min(short), max(short)
    long = min(count for length, count, _ in counted if length == longest)
    blocks = min(int(answer.arrays["operations"][1]) for length, _, answer in counted if length == longest)
    if long > most:
        what = "The number of operations that make the output grows with the sequence"
        what += f", from {most} to {long}" if cells else ""
    elif least > MOST:
        what = f"{least if cells else 'Too many'} operations make the output of a few tokens"
    elif blocks > MOST_ATTENTIONS:
        what = f"Attention is computed {blocks if cells else 'several'} times, block after block of rows"
    else:
        return ""
    lines: Counter[tuple[int, int]] = Counter()
    for _, _, answer in counted:
        for cell, line, times in answer.arrays["lines"].tolist():
            if cell < len(cells):
                lines[cell, line] = max(lines[cell, line], times)
    often = [place for place, times in lines.most_common(MAX_PLACES) if 2 * times > max(lines.values())]
    places = "; ".join(f"{cells[cell].label}, line {line}" for cell, line in often)
    where = f", most of them at {places}" if places else ""
    return (
        f"{what}{where}: your forward pass goes over rows one at a time. Compute all attention scores at "
        "once: one product of all queries with all keys gives the (seq_len, seq_len) scores, and softmax "
        "takes dim=-1 for all queries together."
    )


def _counted(runs: Iterable[Run]) -> list[tuple[int, int, Answer]]:
    """Length, number of operations and answer of each run that came back; one token alone tells nothing."""
    return [
        (len(run.call.seq), int(run.outcome.arrays["operations"][0]), run.outcome)
        for run in runs
        if isinstance(run.outcome, Answer) and len(run.call.seq) > 1
    ]
