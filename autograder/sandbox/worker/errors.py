"""Turns what the student's code raised into data, without trusting the exception itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final, cast

from autograder.sandbox.calls import End, Ended, Place, Raised

MAX_PLACES: Final = 8
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{4,}")
_OUT_OF_MEMORY: Final = ("DefaultCPUAllocator", "not enough memory", "std::bad_alloc")
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_name_of = NameError.__dict__["name"].__get__
_type_name = type.__dict__["__name__"].__get__


def raised(error: BaseException, labels: Mapping[str, int], max_text: int) -> Raised:
    """The error as data: only the student's own lines, outermost first; addresses blotted out, since
    the same upload has to get the same words on every run."""
    try:
        message = text_of(error, max_text)
        places = own_places(_traceback_of(error), labels)
        if issubclass(type(error), SyntaxError):
            message, places = _syntax_error(cast(SyntaxError, error), labels, message, places)
    except BaseException:  # an exception class of the student's that raises when looked at
        message, places = "", []
    if len(places) > MAX_PLACES:
        half = MAX_PLACES // 2
        places = places[:half] + places[-half:]
    return Raised(_type_name(type(error)), _ADDRESS.sub("0x…", message)[:max_text], tuple(places))


def _syntax_error(
    error: SyntaxError, labels: Mapping[str, int], message: str, places: list[Place]
) -> tuple[str, list[Place]]:
    """A syntax error in the student's program has its place in itself, not in a traceback."""
    label, line, text = error.filename, error.lineno, error.msg
    if type(label) is str and label in labels:
        message = text if type(text) is str else message
        if type(line) is int and line > 0:
            places = [*places, Place(label, line, "")]
    return message, places


def missing_name(error: BaseException) -> str:
    """The name that a NameError did not find."""
    name = _name_of(error) if issubclass(type(error), NameError) else None
    return name if type(name) is str else ""


def text_of(error: BaseException, max_text: int) -> str:
    """str(error), whatever its __str__ does; only its start, if it is long."""
    try:
        text = str(error)
        return str.__getitem__(text, slice(0, max_text))
    except BaseException:
        return ""


def out_of_memory(error: BaseException) -> Ended | None:
    """The outcome, if the error says that memory ran out, in Python, NumPy or torch."""
    if issubclass(type(error), MemoryError):
        return Ended(End.MEMORY, "MemoryError")
    if issubclass(type(error), RuntimeError):
        text = text_of(error, 1000)
        if any(sign in text for sign in _OUT_OF_MEMORY):
            return Ended(End.MEMORY, "torch could not allocate memory")
    return None


def own_places(traceback: TracebackType | None, labels: Mapping[str, int]) -> list[Place]:
    """The student's own lines of a traceback, outermost first. The text is filled in by the host."""
    places = []
    while traceback is not None:
        label = traceback.tb_frame.f_code.co_filename
        if label in labels:
            places.append(Place(label, traceback.tb_lineno or 0, ""))
        traceback = traceback.tb_next
    return places
