"""Turns what the student's code raised into data, without trusting the exception itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from autograder.sandbox.types import End, Ended, Place, Raised

MAX_PLACES: Final = 8
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{4,}")
_OUT_OF_MEMORY: Final = ("DefaultCPUAllocator", "not enough memory", "std::bad_alloc")
_type_name = type.__dict__["__name__"].__get__


def raised(error: BaseException, labels: Mapping[str, int], max_text: int) -> Raised:
    """The error as data: only the student's own lines, outermost first; addresses blotted out, since
    the same upload has to get the same words on every run."""
    message = _ADDRESS.sub("0x…", text_of(error, max_text))
    places = own_places(error.__traceback__, labels)
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and error.filename in labels:
        message = error.msg if isinstance(error.msg, str) else message
        if isinstance(error.lineno, int):
            places.append(Place(error.filename, max(error.lineno, 0), ""))
    if len(places) > MAX_PLACES:
        half = MAX_PLACES // 2
        places = places[:half] + places[-half:]
    return Raised(_type_name(type(error)), message[:max_text], tuple(places))


def text_of(error: BaseException, max_text: int) -> str:
    """str(error), whatever its __str__ does; only its start, if it is long."""
    try:
        text = str(error)
        return str.__getitem__(text, slice(0, max_text))
    except BaseException:
        return ""


def out_of_memory(error: BaseException) -> Ended | None:
    """The outcome, if the error says that memory ran out, in Python, NumPy or torch."""
    if isinstance(error, MemoryError):
        return Ended(End.MEMORY, "MemoryError")
    if isinstance(error, RuntimeError):
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
