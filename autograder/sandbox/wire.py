"""What travels between the host and a child: orders as pickles, answers as frames.

Orders are one request, then call after call, each once the one before is answered: a program cannot know what
it will be asked. They go from the trusted side to the untrusted one only, so that pickles will do; nothing
else is ever unpickled.

Answers are strict, binary, and read as if an enemy had written them. A frame is a header (magic, kind, index
of the call, length of the payload) and a payload of exactly that length: the fields of one message, each read
as its type says. One frame of kind LOAD comes first, then one per call, in order. Lengths are exact, counts
capped, dtypes whitelisted, and no character of a text acts. Of places, only cell number and line are sent:
the host has its own copy of the program. `FrameError` is all that reading an answer ever raises.
"""

from __future__ import annotations

import functools
import math
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Union, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from autograder.assignment import Task
from autograder.sandbox import calls
from autograder.sandbox.calls import Answer, Cell, Ended, LoadReport, Place, Raised, Refused, RunLimits
from autograder.text import clean

# --- Orders. ---


@dataclass(frozen=True)
class Request:
    """One attempt: load the cells, within these limits; then the calls come, one by one.

    cpu_seconds: of the whole attempt. moment: the state in which the calls are made. definitions_only: run
    imports, functions and classes alone. ended: by their numbers, the statements to leave out, since an
    attempt ended in them, and how.
    """

    cells: tuple[Cell, ...]
    limits: RunLimits
    cpu_seconds: int
    moment: calls.Moment = calls.Moment.TESTED
    definitions_only: bool = False
    ended: tuple[tuple[int, Ended], ...] = ()


_CLASSES: Final[dict[str, Any]] = {**vars(calls), "Request": Request, "Task": Task}
"""By name: the grader's modules cannot be imported any more where a request is read."""


def encode_order(order: Request | calls.Call) -> bytes:
    """A request or a call as bytes."""
    return pickle.dumps(order, protocol=5)


def read_orders(stream: BinaryIO) -> Iterator[Any]:
    """The request, then call after call, each when it has come, until the host asks no more."""
    with suppress(EOFError):
        while True:
            yield _Unpickler(stream).load()


class _Unpickler(pickle.Unpickler):  # the contract above says who writes what it reads
    def find_class(self, module: str, name: str) -> Any:
        """A class of the request's, or one of NumPy's, which makes the arrays."""
        return _CLASSES[name] if module.startswith("autograder.") else super().find_class(module, name)


# --- Frames. ---

MAGIC: Final = b"AGF1"
HEADER: Final = struct.Struct("<4sBII")
LOAD_INDEX: Final = 0xFFFFFFFF
LOAD, ANSWER, RAISED, REFUSED, ENDED = range(1, 6)


class FrameError(Exception):
    """The bytes are no frame, or not the one that is due, or its payload is no message."""


# --- Messages: what each field of one is written as, and how it is read. ---

DTYPES: Final[tuple[np.dtype[Any], ...]] = tuple(
    np.dtype(code) for code in ("<f2", "<f4", "<f8", "<i8", "<i4", "|u1", "|b1")
)
MAX_DIMENSIONS: Final = 8
MAX_ARRAYS: Final = 1024
MAX_LINE_LENGTH: Final = 200

Reply = Union[LoadReport, calls.Outcome]

_KINDS: Final = {LOAD: LoadReport, ANSWER: Answer, RAISED: Raised, REFUSED: Refused, ENDED: Ended}
_FIELDS: Final = {
    cls: get_type_hints(cls) for cls in (LoadReport, calls.StatementReport, Raised, Refused, Ended)
}
_CHOICES: Final[dict[type, tuple[object, ...]]] = {
    bool: (False, True),
    calls.StatementFate: tuple(calls.StatementFate),
    calls.Refusal: tuple(calls.Refusal),
    calls.End: (calls.End.MEMORY,),
}
_Named = tuple[str, npt.NDArray[Any]]
_MOST: Final = {str: MAX_ARRAYS, _Named: MAX_ARRAYS, calls.StatementReport: 2000, Place: 16, Raised: 1}
"""How many there may be where a type says "several" or "or None"; of more, the first are written."""


def source_lines(source: str) -> list[str]:
    """The lines of a program as Python counts them: str.splitlines also splits at form feeds and others."""
    return [f"{line}\n" for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def encode(index: int, message: Reply, labels: Mapping[str, int], max_text: int) -> bytes:
    """The frame of a message. labels: number of each cell by its label."""

    def write(kind: Any, value: Any) -> bytes:
        if kind is str:
            cut = value[:max_text].encode("utf-8", "replace")[:max_text]
            whole = cut.decode("utf-8", "ignore").encode("utf-8")
            return b"".join((struct.pack("<H", len(whole)), whole))
        if kind is Place:
            return struct.pack("<HI", labels[value.label], value.line)
        if kind is _Named:
            name, array = value
            head = struct.pack(f"<BB{array.ndim}Q", DTYPES.index(array.dtype), array.ndim, *array.shape)
            return b"".join((write(str, name), head, array.tobytes()))
        if kind is Answer:
            return write(tuple[_Named, ...], tuple(value.arrays.items()))
        if kind in _CHOICES:
            return bytes([_CHOICES[kind].index(value)])
        if kind in _FIELDS:
            return b"".join(write(form, getattr(value, name)) for name, form in _FIELDS[kind].items())
        item = get_args(kind)[0]
        several = value if isinstance(value, tuple) else () if value is None else (value,)
        parts = [write(item, each) for each in several[: _MOST[item]]]
        return struct.pack("<I", len(parts)) + b"".join(parts)

    kind, form = next((kind, form) for kind, form in _KINDS.items() if isinstance(message, form))
    payload = write(form, message)
    return HEADER.pack(MAGIC, kind, index, len(payload)) + payload


def next_message(came: bytearray, index: int, cells: Sequence[Cell], limits: RunLimits) -> Reply | None:
    """Take the message of this index off what came; None if it is not whole yet.

    FrameError for everything that is not exactly one, as soon as that shows.
    """
    if not MAGIC.startswith(came[: len(MAGIC)]):
        raise FrameError("no frame begins here")
    if len(came) < HEADER.size:
        return None
    _, kind, of, length = HEADER.unpack_from(came)
    if kind not in _KINDS or (kind == LOAD) != (of == LOAD_INDEX):
        raise FrameError("unknown kind of frame")
    if of != index:
        raise FrameError("a frame came out of turn")
    if length > limits.answer:
        raise FrameError("the frame is too long")
    end = HEADER.size + length
    if len(came) < end:
        return None
    reader = _Reader(bytes(came[HEADER.size : end]), cells, limits.text)
    del came[:end]
    message: Reply = reader.read(_KINDS[kind])
    if reader.rest:
        raise FrameError("the frame is too long for what it holds")
    return message


class _Reader:
    def __init__(self, payload: bytes, cells: Sequence[Cell], max_text: int) -> None:
        self.rest = memoryview(payload)
        self._cells = cells
        self._max_text = max_text
        self._lines_of = functools.cache(source_lines)  # split once, however many statements of a cell fail

    def read(self, kind: Any) -> Any:
        """A value of this type, from what `encode` writes of one."""
        if kind is str:
            return self._text()
        if kind is Place:
            cell, (line,) = self._cells[self._number("H", len(self._cells))], self._numbers("I")
            lines = self._lines_of(cell.source)
            text = lines[line - 1].strip()[:MAX_LINE_LENGTH] if 1 <= line <= len(lines) else ""
            return Place(cell.label, line, text)
        if kind is _Named:
            return self._text(), self._array()
        if kind is Answer:
            return Answer(dict(self.read(tuple[_Named, ...])))
        if kind in _CHOICES:
            return _CHOICES[kind][self._number("B", len(_CHOICES[kind]))]
        if kind in _FIELDS:
            return kind(**{name: self.read(form) for name, form in _FIELDS[kind].items()})
        item, others = get_args(kind)
        several = tuple(self.read(item) for _ in range(self._number("I", _MOST[item] + 1)))
        return several if others is Ellipsis else next(iter(several), None)

    def _take(self, count: int) -> memoryview:
        if count > len(self.rest):
            raise FrameError("the frame is too short")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def _numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))

    def _number(self, form: str, below: int) -> int:
        (value,) = self._numbers(form)
        if value >= below:
            raise FrameError("a number is out of range")
        return value

    def _text(self) -> str:
        try:
            text = str(self._take(self._number("H", self._max_text + 1)), "utf-8")
        except UnicodeDecodeError as error:
            raise FrameError("a text is not UTF-8") from error
        return text if text.isprintable() else clean(text, self._max_text, lines=True)

    def _array(self) -> npt.NDArray[Any]:
        dtype = DTYPES[self._number("B", len(DTYPES))]
        shape = self._numbers(f"{self._number('B', MAX_DIMENSIONS + 1)}Q")
        data = np.frombuffer(self._take(math.prod(shape) * dtype.itemsize), dtype)
        if dtype == np.bool_:  # any byte but 0 and 1 is not a bool
            data = data.view(np.uint8) != 0
        try:
            return data.reshape(shape).copy()
        except (ValueError, OverflowError) as error:  # empty, but of a giant's shape
            raise FrameError("a dimension is out of range") from error
