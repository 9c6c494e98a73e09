"""A notebook with the assignment's names, order and behaviour, in other words: what answers are put into.

Each cell is a text with slots; `LAYERS`, `FORWARD`, `CONTENT`, `POSITION` and `UNIQUE` mark where a
student writes. The behaviour that a grader meets is the assignment's: what is drawn under which seed,
what is asserted, what goes into TO_SAVE and when, what the class is given and asked.
"""

from __future__ import annotations

import textwrap

from tests.answers.notebook_setup import MODEL, SETUP
from tests.answers.notebook_tasks import (
    CONTENT_CELL,
    CONTENT_COMPARE,
    CONTENT_HINTS,
    POSITION_CELL,
    POSITION_COMPARE,
    POSITION_HINTS,
    UNIQUE_CELL,
    UNIQUE_COMPARE,
    UNIQUE_TOKENS,
    WRITE_LOG,
)

LAYERS, FORWARD, CONTENT, POSITION, UNIQUE = (
    f"# <{slot}>" for slot in ("layers", "forward", "content", "position", "unique")
)

CELLS: tuple[tuple[str, str], ...] = (
    ("intro", "# A small transformer\n\nFill in the gaps, run all cells, hand in the log."),
    ("setup", SETUP),
    ("model", MODEL),
    ("content hints", CONTENT_HINTS),
    ("content", CONTENT_CELL),
    ("content compare", CONTENT_COMPARE),
    ("question", "What is alike, what is different, and why?"),
    ("position hints", POSITION_HINTS),
    ("position", POSITION_CELL),
    ("position compare", POSITION_COMPARE),
    ("write log", WRITE_LOG),
    ("optional", "## Optional: both at once"),
    ("unique tokens", UNIQUE_TOKENS),
    ("unique", UNIQUE_CELL),
    ("unique compare", UNIQUE_COMPARE),
)
"""Name and source of every cell, in order."""
MARKDOWN = frozenset({"intro", "question", "optional"})


def filled(source: str, slot: str, code: str) -> str:
    """The source with code in the place of a slot, at the slot's own indentation."""
    lines = []
    for line in source.splitlines():
        if line.strip() == slot:
            indent = line[: len(line) - len(line.lstrip())]
            line = textwrap.indent(textwrap.dedent(code).strip("\n"), indent)
        lines.append(line)
    return "\n".join(lines) + "\n"
