"""Everything the autograder raises on purpose.

    AutograderError
    ├── UsageError       the command line asks for something that cannot be done (exit status 2)
    ├── UploadError      the upload cannot be read as it is; the text is meant for the student
    └── GraderFault      the grader's own fault, never the student's: named for staff, asks for a rerun
        ├── SandboxFault     the sandbox cannot start, or died by itself
        └── ResultsFault     results.json cannot be written, or would not be valid

A mistake of the student is data (a `Problem`, an `Outcome`), not an exception: only an upload that
cannot be opened at all is raised, as `UploadError`. A `GraderFault` never becomes a score of zero.
"""

from __future__ import annotations


class AutograderError(Exception):
    """Base of every error raised on purpose; its text says what was expected, what came, what to do."""


class UsageError(AutograderError):
    """The command line is wrong."""


class UploadError(AutograderError):
    """The upload cannot be read; the text is shown to the student."""


class GraderFault(AutograderError):
    """The grader itself failed; the text is for staff, and the submission wants a rerun."""


class SandboxFault(GraderFault):
    """The sandbox could not start, or ended without the student's code having a part in it."""


class ResultsFault(GraderFault):
    """results.json could not be written, or what would be written does not fit its schema."""
