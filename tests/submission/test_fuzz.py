"""Arbitrary and mutated files: each ends in a valid value or a named error, never in anything else.

AUTOGRADER_FUZZ_EXAMPLES raises the number of inputs per reader.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.errors import UploadError
from autograder.submission.class_source import class_source, same_code
from autograder.submission.collect import collect
from autograder.submission.from_log import rebuild
from autograder.submission.log import read_log
from autograder.submission.magics import without_magics
from autograder.submission.notebook import Reading, read_notebook
from autograder.submission.script import read_script
from autograder.submission.types import Log, Notice, Submission
from autograder.text import clean

from .samples import CLASS, IMPORTS, log_bytes, notebook_bytes

fuzz = settings(
    max_examples=int(os.environ.get("AUTOGRADER_FUZZ_EXAMPLES", "60")),
    derandomize="AUTOGRADER_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TOKENS = st.sampled_from(
    [
        *rb'NaN -Infinity 1e999 null true [[ ]] { } " \ \ud800 , : "cells" "source" %% ! ?'.split(),
        *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"9" * 5000, b"[" * 3000, b"PK\x01\x02"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of the files, with pieces cut, repeated, moved or put in."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(TOKENS, st.binary(max_size=6), st.just(b""), st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/submission_log.json", log_bytes())
        opened.writestr("a/homework.ipynb", notebook_bytes(IMPORTS, CLASS))
    return stream.getvalue()


def assert_showable(notices: tuple[Notice, ...]) -> None:
    for notice in notices:
        assert notice.text
        assert len(notice.text) < 3000
        assert clean(notice.text, 3000) == notice.text


def assert_valid_log(log: Log) -> None:
    parts = (log.time, log.model, log.content, log.position)
    assert all(part is not None for part in parts) or log.problems
    for problem in log.problems:
        assert len(problem.message) < 3000
        assert clean(problem.message, 3000) == problem.message
        assert clean(problem.where, 200) == problem.where
    if log.model is not None:
        reading = rebuild(log)
        assert_valid_code(reading)
        if reading.program:
            assert same_code(reading.program, log.model) in (True, False, None)


def assert_valid_code(reading: Reading) -> None:
    assert_showable(reading.notices)
    assert reading.program or reading.notices
    for cell in reading.program.cells if reading.program else ():
        cell.source.encode()
        assert clean(cell.label, 200) == cell.label
    if reading.program:
        class_source(reading.program)


def assert_valid(submission: Submission) -> None:
    assert_showable(submission.notices)
    assert submission.notices


@fuzz
@given(st.one_of(st.binary(max_size=200), mutated(log_bytes(), log_bytes(time=None), notebook_bytes("x"))))
def test_any_bytes_are_a_log_or_say_why_not(data: bytes) -> None:
    assert_valid_log(read_log("submission_log.json", data))


@fuzz
@given(
    st.one_of(
        st.binary(max_size=200),
        mutated(notebook_bytes(IMPORTS, CLASS, "%time x = 1\n!ls\n"), notebook_bytes("%%bash\nls", "x?")),
    )
)
def test_any_bytes_are_a_notebook_or_say_why_not(data: bytes) -> None:
    assert_valid_code(read_notebook("homework.ipynb", data))


@fuzz
@given(st.one_of(st.binary(max_size=200), mutated((IMPORTS + "%time x = 1\n!ls 'a\n" + CLASS).encode())))
def test_any_bytes_are_a_script_or_say_why_not(data: bytes) -> None:
    assert_valid_code(read_script("homework.py", data))


@fuzz
@given(st.text(st.sampled_from("%!?x=1 \n\\'\"()[]{}:;#é\t\f."), max_size=60))
def test_any_cell_keeps_its_lines(source: str) -> None:
    plain = without_magics(source)
    assert plain is None or plain.count("\n") == source.count("\n")


@fuzz
@given(st.one_of(st.binary(max_size=200), mutated(zipped())))
def test_any_bytes_are_an_archive_or_say_why_not(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload.zip")
        path.write_bytes(data)
        assert_valid(collect(Path(folder)))
        try:
            assert_valid(collect(path))
        except UploadError as error:
            assert_showable((Notice(collect(Path(folder)).notices[0].tone, str(error)),))
