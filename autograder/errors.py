"""Everything the autograder raises on purpose.

A mistake of the student is data (a `Problem`, an `Outcome`), not an exception: only an upload that
cannot be opened at all is raised, as `UploadError`. A `GraderFault` never becomes a score of zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

GRADED, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses of every command: done, whatever the scores; the grader failed, be it on one upload of many;
wrong usage; Ctrl-C."""


class AutograderError(Exception):
    """Base of every error raised on purpose; its text says what was expected, what came, what to do."""


class UsageError(AutograderError):
    """The command line asks for something that cannot be done (exit status 2)."""


class UploadError(AutograderError):
    """The upload cannot be read as it is; the text is shown to the student."""


class GraderFault(AutograderError):
    """The grader itself failed, never the student; the text is for staff, and asks for a rerun."""


class SandboxFault(GraderFault):
    """The sandbox could not start, or ended without the student's code having a part in it."""


class ResultsFault(GraderFault):
    """results.json could not be written, or what would be written does not fit its schema."""


@contextmanager
def writing(told: str) -> Iterator[None]:
    """Raises UsageError where the block's OSError says why what is told cannot be done."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{told}: {error.strerror}") from error
