"""How a failure of the grader itself is told: to the student, to staff, never with a value in it.

An exception's text may hold an expected value, so only its type and place are shown. The text of a
`GraderFault` was written for staff and is shown too.
"""

from __future__ import annotations

from pathlib import PurePath
from types import TracebackType
from typing import Final

from autograder.errors import GraderFault

_MAX_FRAMES: Final = 3
_MAX_TEXT: Final = 600

NOT_YOUR_FAULT: Final = (
    "The grader itself failed in this check. This is not your fault, and the 0 shown here says nothing "
    "about your work. Please tell the course staff: they can look into it and rerun the autograder."
)


def describe(error: BaseException) -> str:
    """Return "ValueError at tasks.py:41 in copies_first, called from test_model.py:12 in test_2_2".

    The frames of unittest and of gradescope-utils are left out.
    """
    kind = type(error).__name__[:80]
    text = f" ({str(error)[:_MAX_TEXT]})" if isinstance(error, GraderFault) and str(error) else ""
    cause = f" from {type(error.__cause__).__name__[:80]}" if error.__cause__ is not None else ""
    frames = _frames(error.__traceback__)[-_MAX_FRAMES:]
    place = " at " + ", called from ".join(reversed(frames)) if frames else ""
    return kind + cause + place + text


def _frames(traceback: TracebackType | None) -> list[str]:
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        # unittest marks its own modules so, to keep them out of tracebacks
        foreign = "__unittest" in traceback.tb_frame.f_globals or "gradescope_utils" in code.co_filename
        if not foreign:
            frames.append(f"{PurePath(code.co_filename).name}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    return frames
