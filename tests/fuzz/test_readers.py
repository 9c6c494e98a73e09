"""What reads untrusted bytes, held to its promise: a valid result or a named error, nothing else, in time.

Each reader takes bytes and says how they ended. Whatever else it raises is a fault of the autograder. A few
inputs for each here, the same on every run; `python -m tests.fuzz` gives as many as asked.
"""

from __future__ import annotations

import atexit
import resource
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from autograder.bounds import OutOfTime, limit_memory, within
from autograder.errors import UploadError
from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox import wire
from autograder.sandbox.calls import Answer, Ended, LoadReport, Raised, Refused
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.sandbox.wire import FrameError, FrameReader
from autograder.submission.choose import collect
from autograder.submission.log import read_log
from autograder.submission.notebook import read_notebook, read_script
from autograder.submission.source import class_source, rebuild, same_code
from autograder.submission.types import CodeFile, Note
from autograder.text import clean

from ..sandbox.frame_samples import CELLS, MAX_PAYLOAD, MAX_TEXT
from .inputs import INPUTS

_LONGEST = 3000
"""Characters that a message to a student has at most."""
_MEMORY = 256 << 20
"""Bytes that the grader may map for one input, beyond what it has."""
_LIMITS = replace(DEFAULT_LIMITS, load_cpu=1.0, call_cpu=0.5, wall_factor=20.0)
_FEW = {"pipeline": 25}
"""Inputs in the tests, where they are not 100."""


class Ending(Enum):
    """The two ways in which an input may end."""

    VALID = "valid"
    NAMED_ERROR = "named error"


def log(data: bytes) -> Ending:
    """submission_log.json: all parts are there, or a problem says which is not; its code is rebuilt."""
    read = read_log("submission_log.json", data)
    parts = (read.time, read.model, read.content, read.position)
    assert all(part is not None for part in parts) or read.problems
    for problem in read.problems:
        _assert_showable([problem.message, problem.where])
    if read.model is not None:
        rebuilt = rebuild(read)
        _assert_code(rebuilt)
        assert not rebuilt.program or same_code(rebuilt.program, read.model) in (True, False, None)
    return Ending.NAMED_ERROR if read.problems else Ending.VALID


def notebook(data: bytes) -> Ending:
    """A .ipynb: a program, or notices that say why not."""
    return _assert_code(read_notebook("homework.ipynb", data))


def script(data: bytes) -> Ending:
    """A .py: a program, or notices that say why not."""
    return _assert_code(read_script("homework.py", data))


def archive(data: bytes) -> Ending:
    """A .zip, in a folder and as the upload itself: a submission, or an error with a text for the student."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload.zip")
        path.write_bytes(data)
        _assert_notices(collect(Path(folder)).notices)
        try:
            submission = collect(path)
        except UploadError as error:
            _assert_showable([str(error)])
            return Ending.NAMED_ERROR
    _assert_notices(submission.notices)
    assert submission.notices
    return Ending.VALID if submission.log or submission.program else Ending.NAMED_ERROR


def frame(data: bytes) -> Ending:
    """What a child answers, in pieces whose length the first byte tells; what is held stays bounded."""
    step, stream = 1 + data[0] if data else 1, data[1:]
    reader = FrameReader(MAX_PAYLOAD)
    for start in range(0, len(stream), step):
        reader.feed(stream[start : start + step])
        try:
            while (found := reader.next()) is not None:
                message = wire.decode(found, CELLS, MAX_TEXT)
                assert isinstance(message, (LoadReport, Answer, Raised, Refused, Ended))
        except FrameError:
            return Ending.NAMED_ERROR
        assert reader.pending <= wire.HEADER.size + MAX_PAYLOAD
    # The host takes what is left when the pipe ends for garbage.
    return Ending.NAMED_ERROR if reader.pending else Ending.VALID


def pipeline(data: bytes) -> Ending:
    """A .zip as an upload, from its bytes to results.json: no part of the grader fails, whatever it holds."""
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder, "upload.zip")
        upload.write_bytes(data)
        graded = grade(upload, _fork_server(), _LIMITS)
    validate(graded.results)
    assert graded.faults == ()
    assert graded.submission is not None
    assert graded.submission.faults == ()
    return Ending.VALID if graded.results["tests"] else Ending.NAMED_ERROR


@cache
def _fork_server() -> ForkServer:
    fork_server = ForkServer()
    atexit.register(fork_server.close)
    return fork_server


def bounded(reader: Callable[[bytes], Ending], seconds: float) -> Callable[[bytes], Ending]:
    """The reader, held to so many seconds of CPU time and _MEMORY for each input."""

    def once(data: bytes) -> Ending:
        before = resource.getrlimit(resource.RLIMIT_AS)
        limit_memory(_MEMORY)
        try:
            with within(seconds):
                return reader(data)
        except OutOfTime as error:  # hypothesis shrinks exceptions, not what ends the process
            raise AssertionError(f"an input took too long: {error}") from error
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    return once


READERS: dict[str, Callable[[bytes], Ending]] = {
    reader.__name__: bounded(reader, seconds)
    for reader, seconds in ((log, 2), (notebook, 2), (archive, 4), (frame, 2), (script, 2), (pipeline, 20))
}


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_are_read_or_say_why_not(name: str) -> None:
    few = settings(
        max_examples=_FEW.get(name, 100),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    @few
    @given(INPUTS[name])
    def holds(data: bytes) -> None:
        assert READERS[name](data) in Ending

    holds()


def _assert_showable(texts: Iterable[str]) -> None:
    for text in texts:
        assert text
        assert clean(text, _LONGEST) == text


def _assert_notices(notices: tuple[Note, ...]) -> None:
    _assert_showable(notice.text for notice in notices)


def _assert_code(reading: CodeFile) -> Ending:
    _assert_notices(reading.notices)
    if reading.program is None:
        assert reading.notices
        return Ending.NAMED_ERROR
    assert reading.program.cells
    for cell in reading.program.cells:
        cell.source.encode()
        _assert_showable([cell.label])
    class_source(reading.program)
    return Ending.VALID
