"""Bytes to a JSON value, or to the reason why not in a student's words; whatever the bytes are.

Python's reader takes more than JSON and fails on some of it in ways of its own; here NaN, Infinity and
numbers beyond float64 become the floats `nan`, `inf` and `Overflow`, so that their place can be told.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from autograder.text import NAME_LIMIT, clean

_MAX_DIGITS: Final = 310
"""No longer integer fits into a float64 (at most 1.8e308)."""
_BEGINNINGS: Final = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a .zip archive"),
    (b"<", "a web page"),
    (b"\x89PNG", "a picture"),
    (b"\x80", "a Python pickle"),
)


class Overflow(float):
    """An infinity that stands for a number too large for a float64, such as 1e400."""


@dataclass(frozen=True)
class Json:
    """value: as json.loads gives it. repeated: keys that some object holds more than once."""

    value: Any
    repeated: frozenset[str]


@dataclass(frozen=True)
class JsonFault:
    """message: what is wrong, a clause that follows the file's name. looks_cut: its end is missing."""

    message: str
    looks_cut: bool = False


def read_json(data: bytes, max_depth: int | None = None) -> Json | JsonFault:
    """Read data as JSON in UTF-8. max_depth: lists and objects within each other, at most."""
    text = _decoded(data)
    if isinstance(text, JsonFault):
        return text
    repeated: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            repeated.update(key for key, count in Counter(key for key, _ in items).items() if count > 1)
        return found

    too_deep = JsonFault("holds lists or objects nested too deeply to be what the notebook writes")
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_float=_real, parse_int=_whole)
    except json.JSONDecodeError as error:
        return _not_json(text, error)
    except RecursionError:
        return too_deep
    if max_depth is not None and _deeper_than(value, max_depth):
        return too_deep
    return Json(value, frozenset(repeated))


def _decoded(data: bytes) -> str | JsonFault:
    if not data.strip():
        return JsonFault("is empty", looks_cut=True)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        return JsonFault("is saved as UTF-16 or UTF-32; the notebook writes UTF-8")
    for beginning, kind in _BEGINNINGS:
        if data.lstrip().startswith(beginning):
            return JsonFault(f"is not JSON but {kind}, going by how it begins")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return JsonFault(
            f"is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start} does not fit"
        )


def _real(digits: str) -> float:
    number = float(digits)
    return Overflow(number) if math.isinf(number) else number


def _whole(digits: str) -> int | float:
    if len(digits) <= _MAX_DIGITS:
        number = int(digits)
        try:
            float(number)
        except OverflowError:
            pass
        else:
            return number
    return Overflow("-inf" if digits.startswith("-") else "inf")


def _not_json(text: str, error: json.JSONDecodeError) -> JsonFault:
    end = text.rstrip()
    place = f"line {error.lineno}, column {error.colno}"
    if not end.endswith(("}", "]")) or error.pos >= len(end):
        return JsonFault(f"stops in the middle, at {_last_place(end)}", looks_cut=True)
    if error.msg.startswith("Extra data"):
        return JsonFault(f"goes on after its end, from {place}")
    if text[error.pos : error.pos + 1] == "'":
        return JsonFault(f"is not JSON: single quotes at {place}, as when a dict is printed")
    near = clean(text[error.pos : error.pos + NAME_LIMIT], 30)
    return JsonFault(f"is not JSON: it cannot be read on from {place}, near {near!r}")


def _last_place(text: str) -> str:
    line_start = text.rfind("\n") + 1
    return f"line {text.count(chr(10)) + 1}, column {len(text) - line_start + 1}"


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
