"""A few inputs for each reader, the same on every run; `python -m tests.fuzz` gives as many as asked."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from . import readers
from .inputs import INPUTS

few = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@few
@given(INPUTS["log"])
def test_any_bytes_are_a_log_or_say_why_not(data: bytes) -> None:
    assert readers.log(data) in readers.Ending


@few
@given(INPUTS["notebook"])
def test_any_bytes_are_a_notebook_or_say_why_not(data: bytes) -> None:
    assert readers.notebook(data) in readers.Ending


@few
@given(INPUTS["archive"])
def test_any_bytes_are_an_archive_or_say_why_not(data: bytes) -> None:
    assert readers.archive(data) in readers.Ending


@few
@given(INPUTS["frame"])
def test_any_bytes_are_frames_or_an_error(data: bytes) -> None:
    assert readers.frame(data) in readers.Ending


@few
@given(INPUTS["script"])
def test_any_bytes_are_a_script_or_say_why_not(data: bytes) -> None:
    assert readers.script(data) in readers.Ending
