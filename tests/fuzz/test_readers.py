"""What reads untrusted bytes, held to its promise: a valid result or a named error, nothing else, in time.

Each reader takes bytes and says how they ended. Whatever else it raises is a fault of the autograder. A few
inputs for each here, the same on every run; `python -m tests.fuzz` gives as many as asked.
"""

from __future__ import annotations

import atexit
import io
import json
import resource
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.bounds import OutOfTime, limit_memory, within
from autograder.errors import UploadError
from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox import wire
from autograder.sandbox.calls import Answer, Ended, LoadReport, Raised, Refused
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.sandbox.wire import FrameError, next_message
from autograder.submission.choose import collect
from autograder.submission.log import read_log
from autograder.submission.notebook import read_notebook, read_script
from autograder.submission.source import class_source, rebuild, same_code
from autograder.submission.types import CodeFile, Note
from autograder.text import clean

from ..sandbox.test_frames import ANSWER, CELLS, MAX_PAYLOAD, MESSAGES, encoded
from ..sandbox.test_frames import LIMITS as FRAME_LIMITS
from ..submission.samples import CLASS, IMPORTS, log_bytes, log_values, notebook_bytes

_LONGEST = 3000
"""Characters that a message to a student has at most."""
_MEMORY = 256 << 20
"""Bytes that the grader may map for one input, beyond what it has."""
_LIMITS = replace(DEFAULT_LIMITS, load_cpu=1.0, call_cpu=0.5, wall_factor=20.0)
_FEW = {"pipeline": 25}
"""Inputs in the tests, where they are not 100."""


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return stream.getvalue()


_CODE = notebook_bytes(IMPORTS, CLASS, "%time x = 1\n!ls\n")
_FRAMES = tuple(encoded(message) for message in (*MESSAGES, ANSWER))
SAMPLES: dict[str, tuple[bytes, ...]] = {
    "log": (log_bytes(), log_bytes(time=None), notebook_bytes("x")),
    "notebook": (_CODE, notebook_bytes("%%bash\nls", "x?"), notebook_bytes("x", nbformat=3)),
    "archive": (
        _zip({"a/submission_log.json": log_bytes(), "a/homework.ipynb": _CODE}),
        _zip({"a.zip": _zip({})}),
    ),
    "frame": tuple(b"\x40" + data for data in (*_FRAMES, b"".join(_FRAMES))),
    "script": ((IMPORTS + "%time x = 1\n!ls 'a\n" + CLASS).encode(),),
    "pipeline": (_zip({"submission_log.json": log_bytes(), "homework.ipynb": _CODE}),),
}
"""Files that are right, or nearly."""

_TOKENS = st.sampled_from(
    [
        *rb'NaN -Infinity 1e999 null true [[ ]] { } " \ \ud800 , : "cells" "source" %% ! ?'.split(),
        *(b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"9" * 5000, b"[" * 3000, b"PK\x01\x02"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of the files, with pieces cut, repeated, moved or put in."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(_TOKENS, st.binary(max_size=6), st.just(b""), st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_CODE_TEXT = st.text(st.sampled_from("%!?x=1 \n\\'\"()[]{}:;#é\t\f."), max_size=60)
_CELL = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]) | _JSON,
        "source": _CODE_TEXT | st.lists(_CODE_TEXT, max_size=3) | _JSON,
        "input": _CODE_TEXT | _JSON,
        "outputs": _JSON,
        "metadata": _JSON,
        "level": _JSON,
        "language": _JSON,
    },
)
_CELLS = st.lists(_CELL | _JSON, max_size=4) | _JSON
_NOTEBOOK = st.fixed_dictionaries(
    {"nbformat": st.sampled_from([2, 3, 4]) | _JSON},
    optional={
        "cells": _CELLS,
        "worksheets": st.lists(st.fixed_dictionaries({}, optional={"cells": _CELLS}) | _JSON, max_size=2)
        | _JSON,
        "nbformat_minor": _JSON,
        "metadata": st.fixed_dictionaries({}, optional={"kernelspec": _JSON, "language_info": _JSON}) | _JSON,
    },
).map(lambda value: json.dumps(value).encode())
_NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12) | st.lists(st.floats(), max_size=12)
_LOG = st.dictionaries(
    st.sampled_from([*log_values(), "cells", "x"]), _NUMBERS | _JSON | _CODE_TEXT, max_size=3
).map(lambda changed: log_bytes(**changed))

_NAMES = st.sampled_from(
    [
        "submission_log.json",
        "a/homework.ipynb",
        "a.py",
        "../a.py",
        "/a.py",
        "C:\\a.py",
        "__MACOSX/a.py",
        "a.zip",
        "a/",
    ]
) | st.text(max_size=12)
_MODES = (0, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFDIR)
_DATES = st.tuples(
    st.integers(1980, 2107), st.integers(0, 15), *(st.integers(0, highest) for highest in (31, 31, 63, 59))
)


@st.composite
def _archive(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as opened:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for _ in range(draw(st.integers(0, 4))):
            member: Any = zipfile.ZipInfo(draw(_NAMES), draw(_DATES))
            member.external_attr = draw(st.sampled_from(_MODES)) << 16
            member.compress_type = draw(
                st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
            )
            opened.writestr(member, draw(contents))
    return stream.getvalue()


_MATRIX = st.integers(0, 12).flatmap(lambda n: st.just([float(i % 3) for i in range(n)])) | _NUMBERS
_MATRICES = st.dictionaries(st.sampled_from(list(log_values())), _MATRIX | _JSON, max_size=3).map(
    lambda changed: log_bytes(**changed)
)
_BENT_CODE = mutated((IMPORTS + CLASS).encode(), b"Km = Qm = Vm = pos = None\n").map(
    lambda code: code.decode("utf-8", "replace")
)
_UPLOAD = st.tuples(_MATRICES | _LOG, _BENT_CODE, st.sampled_from(["", "Km = Qm = Vm = pos = x\n"])).map(
    lambda parts: _zip(
        {"submission_log.json": parts[0], "homework.ipynb": notebook_bytes(parts[1], CLASS + parts[2])}
    )
)
_INNER = st.sampled_from([*SAMPLES["log"], _CODE]) | _LOG | _NOTEBOOK | _CODE_TEXT.map(str.encode)


@st.composite
def _bent_frame(draw: st.DrawFn) -> bytes:
    """A frame whose header fits its payload, so that the payload is what is looked at."""
    kind = draw(st.integers(wire.LOAD, wire.ENDED))
    payloads = [data[wire.HEADER.size :] for data in _FRAMES]
    payload = draw(st.binary(max_size=300) | mutated(*payloads))
    index = wire.LOAD_INDEX if kind == wire.LOAD else 3
    return wire.HEADER.pack(wire.MAGIC, kind, index, len(payload)) + payload


_STEP = st.binary(min_size=1, max_size=1)
_STREAM = st.lists(st.sampled_from(_FRAMES) | _bent_frame(), min_size=1, max_size=4).map(b"".join)

_ODD = {
    "log": _LOG,
    "notebook": _NOTEBOOK | _CODE_TEXT.map(notebook_bytes),
    "archive": _archive(_INNER | _archive(_INNER)),
    "frame": st.tuples(_STEP, _STREAM).map(b"".join),
    "script": _CODE_TEXT.map(str.encode),
    "pipeline": _UPLOAD | _archive(_INNER),
}
INPUTS: dict[str, st.SearchStrategy[bytes]] = {
    name: st.one_of(st.binary(max_size=200), mutated(*SAMPLES[name]), _ODD[name]) for name in SAMPLES
}


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
        rebuilt = rebuild(read.name, read.model)
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


def _due(came: bytearray) -> int:
    """The index that a stream of these samples has at this place."""
    return wire.LOAD_INDEX if came[len(wire.MAGIC) :][:1] == bytes([wire.LOAD]) else 3


def frame(data: bytes) -> Ending:
    """What a child answers, in pieces whose length the first byte tells; what is held stays bounded."""
    step, stream = 1 + data[0] if data else 1, data[1:]
    came = bytearray()
    for start in range(0, len(stream), step):
        came += stream[start : start + step]
        try:
            while (message := next_message(came, _due(came), CELLS, FRAME_LIMITS)) is not None:
                assert isinstance(message, (LoadReport, Answer, Raised, Refused, Ended))
        except FrameError:
            return Ending.NAMED_ERROR
        assert len(came) <= wire.HEADER.size + MAX_PAYLOAD
    # The host takes what is left when the pipe ends for garbage.
    return Ending.NAMED_ERROR if came else Ending.VALID


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
