"""What travels between the host and a child: orders as pickles, answers as frames.

Orders are one request, then call after call, each once the one before is answered: a program cannot know what
it will be asked. They go from the trusted side to the untrusted one only, so that a pickle will do; nothing
else is ever unpickled. Layout: u64 length of what follows, and that.

Answers are strict, binary, and read as if an enemy had written them. A frame is a header (magic, kind, index
of the call, length of the payload) and a payload of exactly that length. One frame of kind LOAD comes first,
then one per call, in the order of the calls. Lengths are exact, counts capped, dtypes whitelisted, and no
character of a text acts. Places are sent as cell number and line only: the host takes label and text from its
own copy of the program.
`FrameError` is all that reading an answer ever raises.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from autograder.assignment import Task
from autograder.sandbox import calls
from autograder.sandbox.calls import (
    Answer,
    Cell,
    End,
    Ended,
    LoadReport,
    Moment,
    Outcome,
    Place,
    Raised,
    Refusal,
    Refused,
    RunLimits,
    StatementFate,
    StatementReport,
)
from autograder.text import clean

# --- Orders. ---

LENGTH: Final = struct.Struct("<Q")


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
    moment: Moment = Moment.TESTED
    definitions_only: bool = False
    ended: tuple[tuple[int, Ended], ...] = ()


_CLASSES: Final[dict[str, Any]] = {**vars(calls), "Request": Request, "Task": Task}
"""By name: the grader's modules cannot be imported any more where a request is read."""
_OWN_MODULES: Final = __name__.partition(".")[0] + "."


def encode_order(order: Request | calls.Call) -> bytes:
    """A request or a call as bytes, its length first."""
    body = pickle.dumps(order, protocol=5)
    return LENGTH.pack(len(body)) + body


def decode_order(body: bytes) -> Any:
    """The request or call of these bytes, without the length in front."""
    return _Unpickler(io.BytesIO(body)).load()


class _Unpickler(pickle.Unpickler):  # the contract above says who writes what it reads
    def find_class(self, module: str, name: str) -> Any:
        """A class of the request's, or one of NumPy's, which makes the arrays."""
        return _CLASSES[name] if module.startswith(_OWN_MODULES) else super().find_class(module, name)


# --- Frames. ---

MAGIC: Final = b"AGF1"
HEADER: Final = struct.Struct("<4sBII")
LOAD_INDEX: Final = 0xFFFFFFFF
LOAD, ANSWER, RAISED, REFUSED, ENDED = range(1, 6)


class FrameError(Exception):
    """The bytes are not a frame, or its payload is no message; only `host` sees this."""


@dataclass(frozen=True)
class Frame:
    """A frame whose header is right; its payload is not yet looked at."""

    kind: int
    index: int
    payload: bytes


class FrameReader:
    """Cuts a stream into frames. Holds at most one frame and what came with it."""

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what the pipe gave."""
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame, None if there is none yet; FrameError if there never will be."""
        if not MAGIC.startswith(self._buffer[: len(MAGIC)]):
            raise FrameError("no frame begins here")
        if len(self._buffer) < HEADER.size:
            return None
        _, kind, index, length = HEADER.unpack_from(self._buffer)
        if not LOAD <= kind <= ENDED or (kind == LOAD) != (index == LOAD_INDEX):
            raise FrameError("unknown kind of frame")
        if length > self._max_payload:
            raise FrameError("the frame is too long")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[HEADER.size : end])
        del self._buffer[:end]
        return Frame(kind, index, payload)

    @property
    def pending(self) -> int:
        """Bytes that came and are no whole frame."""
        return len(self._buffer)


# --- What frames hold: each form says how its values are written, and how they are read. ---

DTYPES: Final[tuple[np.dtype[Any], ...]] = tuple(
    np.dtype(code) for code in ("<f2", "<f4", "<f8", "<i8", "<i4", "|u1", "|b1")
)
MAX_DIMENSIONS: Final = 8
MAX_ARRAYS: Final = 1024
MAX_PLACES: Final = 16
MAX_STATEMENTS: Final = 2000
MAX_LINE_LENGTH: Final = 200

Message = Union[LoadReport, Outcome]


def source_lines(source: str) -> list[str]:
    """The lines of a program as Python counts them: str.splitlines also splits at form feeds and others."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def can_be_sent(answer: Answer) -> bool:
    """Whether the reader would take it: arrays not too many, of not too many dimensions."""
    arrays = answer.arrays.values()
    return len(arrays) <= MAX_ARRAYS and all(array.ndim <= MAX_DIMENSIONS for array in arrays)


class _Writer(NamedTuple):
    """What writing needs beside the value: number of each cell by its label."""

    labels: Mapping[str, int]
    max_text: int


class _Reader:
    def __init__(self, payload: bytes, cells: Sequence[Cell], max_text: int) -> None:
        self.rest = memoryview(payload)
        self.cells = cells
        self.max_text = max_text
        self._lines: dict[int, list[str]] = {}

    def take(self, count: int) -> memoryview:
        if count > len(self.rest):
            raise FrameError("the frame is too short")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def numbers(self, form: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + form)
        return layout.unpack(self.take(layout.size))

    def number(self, form: str, below: int) -> int:
        (value,) = self.numbers(form)
        if value >= below:
            raise FrameError("a number is out of range")
        return value

    def lines(self, cell: int) -> list[str]:
        """Split once, however many statements of a cell fail."""
        if cell not in self._lines:
            self._lines[cell] = source_lines(self.cells[cell].source)
        return self._lines[cell]


class _Form(NamedTuple):
    write: Callable[[Any, _Writer], bytes]
    read: Callable[[_Reader], Any]


def _one_of(*values: object) -> _Form:
    return _Form(lambda value, _: bytes([values.index(value)]), lambda r: values[r.number("B", len(values))])


def _several(item: _Form, count: str, most: int) -> _Form:
    """As a tuple; of more than most, the first are written."""

    def write(values: Sequence[Any], to: _Writer) -> bytes:
        parts = [item.write(value, to) for value in islice(values, most)]
        return struct.pack("<" + count, len(parts)) + b"".join(parts)

    return _Form(write, lambda r: tuple(item.read(r) for _ in range(r.number(count, most + 1))))


def _or_none(item: _Form) -> _Form:
    some = _several(item, "B", 1)
    return _Form(
        lambda value, to: some.write([] if value is None else [value], to),
        lambda r: next(iter(some.read(r)), None),
    )


def _record(make: Callable[..., Any], **fields: _Form) -> _Form:
    return _Form(
        lambda value, to: b"".join(form.write(getattr(value, name), to) for name, form in fields.items()),
        lambda r: make(**{name: form.read(r) for name, form in fields.items()}),
    )


def _write_text(text: str, to: _Writer) -> bytes:
    cut = text[: to.max_text].encode("utf-8", "replace")[: to.max_text]
    whole = cut.decode("utf-8", "ignore").encode("utf-8")
    return struct.pack("<H", len(whole)) + whole


def _read_text(r: _Reader) -> str:
    try:
        text = str(r.take(r.number("H", r.max_text + 1)), "utf-8")
    except UnicodeDecodeError as error:
        raise FrameError("a text is not UTF-8") from error
    return text if text.isprintable() else clean(text, r.max_text, lines=True)


def _write_place(place: Place, to: _Writer) -> bytes:
    return struct.pack("<HI", to.labels[place.label], place.line)


def _read_place(r: _Reader) -> Place:
    number = r.number("H", len(r.cells))
    (line,) = r.numbers("I")
    lines = r.lines(number)
    text = lines[line - 1].strip()[:MAX_LINE_LENGTH] if 1 <= line <= len(lines) else ""
    return Place(r.cells[number].label, line, text)


def _write_array(array: npt.NDArray[Any], _: _Writer) -> bytes:
    head = struct.pack(f"<BB{array.ndim}Q", DTYPES.index(array.dtype), array.ndim, *array.shape)
    return head + array.tobytes()


def _read_array(r: _Reader) -> npt.NDArray[Any]:
    dtype = DTYPES[r.number("B", len(DTYPES))]
    shape = r.numbers(f"{r.number('B', MAX_DIMENSIONS + 1)}Q")
    data = np.frombuffer(r.take(math.prod(shape) * dtype.itemsize), dtype)
    if dtype == np.bool_:  # any byte but 0 and 1 is not a bool
        data = data.view(np.uint8) != 0
    try:
        return data.reshape(shape).copy()
    except (ValueError, OverflowError) as error:  # empty, but of a giant's shape
        raise FrameError("a dimension is out of range") from error


_TEXT: Final = _Form(_write_text, _read_text)
_TEXTS: Final = _several(_TEXT, "I", MAX_ARRAYS)
_PLACE: Final = _Form(_write_place, _read_place)
_NAMED: Final = _Form(
    lambda item, to: _write_text(item[0], to) + _write_array(item[1], to),
    lambda r: (_read_text(r), _read_array(r)),
)
_ARRAYS: Final = _several(_NAMED, "I", MAX_ARRAYS)
_RAISED: Final = _record(Raised, type_name=_TEXT, message=_TEXT, trace=_several(_PLACE, "B", MAX_PLACES))
_STATEMENT: Final = _record(
    StatementReport, place=_PLACE, fate=_one_of(*StatementFate), error=_or_none(_RAISED)
)
_FORMS: Final[dict[int, tuple[type[Message], _Form]]] = {
    LOAD: (
        LoadReport,
        _record(
            LoadReport,
            statements=_several(_STATEMENT, "I", MAX_STATEMENTS),
            classes=_TEXTS,
            definitions_only=_one_of(False, True),
            absent=_TEXTS,
        ),
    ),
    ANSWER: (
        Answer,
        _Form(
            lambda answer, to: _ARRAYS.write(tuple(answer.arrays.items()), to),
            lambda r: Answer(dict(_ARRAYS.read(r))),
        ),
    ),
    RAISED: (Raised, _RAISED),
    REFUSED: (Refused, _record(Refused, reason=_one_of(*Refusal), detail=_TEXT)),
    ENDED: (Ended, _record(Ended, reason=_one_of(End.MEMORY), detail=_TEXT)),
}


def encode(index: int, message: Message, labels: Mapping[str, int], max_text: int) -> bytes:
    """The frame of a message. labels: number of each cell by its label."""
    kind, form = next((kind, form) for kind, (cls, form) in _FORMS.items() if isinstance(message, cls))
    payload = form.write(message, _Writer(labels, max_text))
    return HEADER.pack(MAGIC, kind, index, len(payload)) + payload


def decode(frame: Frame, cells: Sequence[Cell], max_text: int) -> Message:
    """The message of a frame; FrameError for everything that is not exactly one."""
    reader = _Reader(frame.payload, cells, max_text)
    message: Message = _FORMS[frame.kind][1].read(reader)
    if reader.rest:
        raise FrameError("the frame is too long for what it holds")
    return message
