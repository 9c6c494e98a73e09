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
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Union

import numpy as np
import numpy.typing as npt

from autograder.assignment import Task
from autograder.sandbox.calls import (
    Answer,
    Call,
    Cell,
    Describe,
    End,
    Ended,
    Forward,
    Gradients,
    LoadReport,
    Moment,
    Outcome,
    Place,
    Raised,
    RecordedOutput,
    Refusal,
    Refused,
    RunLimits,
    Sizes,
    StatementFate,
    StatementReport,
    TaskMatrices,
    Train,
    Weights,
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


_CLASSES: Final[dict[str, Any]] = {
    cls.__name__: cls
    for cls in (
        *(Request, RunLimits, Cell, Moment, End, Ended, Sizes, Weights, Task),
        *(Describe, Forward, Gradients, RecordedOutput, TaskMatrices, Train),
    )
}
"""By name: the grader's modules cannot be imported any more where a request is read."""
_OWN_MODULES: Final = __name__.partition(".")[0] + "."


def encode_order(order: Request | Call) -> bytes:
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


# --- What frames hold. ---

DTYPES: Final[tuple[np.dtype[Any], ...]] = tuple(
    np.dtype(code) for code in ("<f2", "<f4", "<f8", "<i8", "<i4", "|u1", "|b1")
)
MAX_DIMENSIONS: Final = 8
MAX_ARRAYS: Final = 1024
MAX_PLACES: Final = 16
MAX_STATEMENTS: Final = 2000
MAX_LINE_LENGTH: Final = 200

_REFUSALS: Final = tuple(Refusal)
_FATES: Final = tuple(StatementFate)
_CHILD_ENDS: Final = (End.MEMORY,)

Message = Union[LoadReport, Outcome]


def source_lines(source: str) -> list[str]:
    """The lines of a program as Python counts them: str.splitlines also splits at form feeds and others."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def can_be_sent(answer: Answer) -> bool:
    """Whether the reader would take it: arrays not too many, of not too many dimensions."""
    arrays = answer.arrays.values()
    return len(arrays) <= MAX_ARRAYS and all(array.ndim <= MAX_DIMENSIONS for array in arrays)


class _Writer:
    def __init__(self, max_text: int) -> None:
        self.parts: list[bytes] = []
        self._max_text = max_text

    def number(self, form: str, *values: int) -> None:
        self.parts.append(struct.pack("<" + form, *values))

    def text(self, text: str) -> None:
        cut = text[: self._max_text].encode("utf-8", "replace")[: self._max_text]
        whole = cut.decode("utf-8", "ignore").encode("utf-8")
        self.number("H", len(whole))
        self.parts.append(whole)

    def array(self, array: npt.NDArray[Any]) -> None:
        self.number("BB", DTYPES.index(array.dtype), array.ndim)
        self.number(f"{array.ndim}Q", *array.shape)
        self.parts.append(array.tobytes())


def encode(index: int, message: Message, labels: Mapping[str, int], max_text: int) -> bytes:
    """The frame of a message. labels: number of each cell by its label."""
    out = _Writer(max_text)
    if isinstance(message, LoadReport):
        kind = LOAD
        statements = message.statements[:MAX_STATEMENTS]
        out.number("BI", message.definitions_only, len(statements))
        for report in statements:
            out.number("HIB", labels[report.place.label], report.place.line, _FATES.index(report.fate))
            out.number("B", report.error is not None)
            if report.error is not None:
                _encode_raised(out, report.error, labels)
        for names in (message.classes[:MAX_ARRAYS], message.absent[:MAX_ARRAYS]):
            out.number("I", len(names))
            for name in names:
                out.text(name)
    elif isinstance(message, Answer):
        kind = ANSWER
        out.number("I", len(message.arrays))
        for name, array in message.arrays.items():
            out.text(name)
            out.array(array)
    elif isinstance(message, Raised):
        kind = RAISED
        _encode_raised(out, message, labels)
    elif isinstance(message, Refused):
        kind = REFUSED
        out.number("B", _REFUSALS.index(message.reason))
        out.text(message.detail)
    else:
        kind = ENDED
        out.number("B", _CHILD_ENDS.index(message.reason))
        out.text(message.detail)
    payload = b"".join(out.parts)
    return HEADER.pack(MAGIC, kind, index, len(payload)) + payload


def _encode_raised(out: _Writer, raised: Raised, labels: Mapping[str, int]) -> None:
    out.text(raised.type_name)
    out.text(raised.message)
    out.number("B", len(raised.trace))
    for place in raised.trace:
        out.number("HI", labels[place.label], place.line)


class _Reader:
    def __init__(self, payload: bytes, cells: Sequence[Cell], max_text: int) -> None:
        self._payload = payload
        self._at = 0
        self._cells = cells
        self._max_text = max_text
        self._lines: dict[int, list[str]] = {}

    def take(self, count: int) -> bytes:
        if count > len(self._payload) - self._at:
            raise FrameError("the frame is too short")
        start, self._at = self._at, self._at + count
        return self._payload[start : self._at]

    def numbers(self, form: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + form)
        return layout.unpack(self.take(layout.size))

    def number(self, form: str, below: int) -> int:
        (value,) = self.numbers(form)
        if value >= below:
            raise FrameError("a number is out of range")
        return value

    def text(self) -> str:
        length = self.number("H", self._max_text + 1)
        try:
            text = self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise FrameError("a text is not UTF-8") from error
        return text if text.isprintable() else clean(text, self._max_text, lines=True)

    def texts(self) -> tuple[str, ...]:
        return tuple(self.text() for _ in range(self.number("I", MAX_ARRAYS + 1)))

    def place(self) -> Place:
        number = self.number("H", len(self._cells))
        (line,) = self.numbers("I")
        cell = self._cells[number]
        if number not in self._lines:  # split once, however many statements of it fail
            self._lines[number] = source_lines(cell.source)
        lines = self._lines[number]
        text = lines[line - 1].strip()[:MAX_LINE_LENGTH] if 1 <= line <= len(lines) else ""
        return Place(cell.label, line, text)

    def array(self) -> npt.NDArray[Any]:
        dtype = DTYPES[self.number("B", len(DTYPES))]
        shape = self.numbers(f"{self.number('B', MAX_DIMENSIONS + 1)}Q")
        count = 1
        for size in shape:
            count *= size
        data = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        if dtype == np.bool_:  # any byte but 0 and 1 is not a bool
            data = data.view(np.uint8) != 0
        try:
            return data.reshape(shape).copy()
        except (ValueError, OverflowError) as error:  # empty, but of a giant's shape
            raise FrameError("a dimension is out of range") from error

    def raised(self) -> Raised:
        type_name, message = self.text(), self.text()
        count = self.number("B", MAX_PLACES + 1)
        return Raised(type_name, message, tuple(self.place() for _ in range(count)))

    def end(self) -> None:
        if self._at != len(self._payload):
            raise FrameError("the frame is too long for what it holds")


def decode(frame: Frame, cells: Sequence[Cell], max_text: int) -> Message:
    """The message of a frame; FrameError for everything that is not exactly one."""
    read = _Reader(frame.payload, cells, max_text)
    message = _decode(frame.kind, read)
    read.end()
    return message


def _decode(kind: int, read: _Reader) -> Message:
    if kind == LOAD:
        return _decode_load(read)
    if kind == ANSWER:
        return Answer({read.text(): read.array() for _ in range(read.number("I", MAX_ARRAYS + 1))})
    if kind == RAISED:
        return read.raised()
    if kind == REFUSED:
        return Refused(_REFUSALS[read.number("B", len(_REFUSALS))], read.text())
    return Ended(_CHILD_ENDS[read.number("B", len(_CHILD_ENDS))], read.text())


def _decode_load(read: _Reader) -> LoadReport:
    definitions_only = bool(read.number("B", 2))
    count = read.number("I", MAX_STATEMENTS + 1)
    statements = []
    for _ in range(count):
        place = read.place()
        fate = _FATES[read.number("B", len(_FATES))]
        error = read.raised() if read.number("B", 2) else None
        statements.append(StatementReport(place, fate, error))
    return LoadReport(tuple(statements), read.texts(), definitions_only, read.texts())
