"""The reader of frames takes hostile bytes: it gives a message or a FrameError, and holds little."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox import frames, messages
from autograder.sandbox.frames import FrameError, FrameReader
from autograder.sandbox.types import (
    Answer,
    Cell,
    End,
    Ended,
    LoadReport,
    Place,
    Raised,
    Refusal,
    Refused,
    StatementFate,
    StatementReport,
)

CELLS = (Cell("cell 1", "x = 1\n  y = 2  \n"), Cell("cell 2", ""))
LABELS = {"cell 1": 0, "cell 2": 1}
MAX_TEXT = 100
MAX_PAYLOAD = 10_000

RAISED = Raised("ValueError", "bad", (Place("cell 1", 2, "y = 2"), Place("cell 2", 9, "")))
REPORT = StatementReport(Place("cell 1", 1, "x = 1"), StatementFate.FAILED, RAISED)
MESSAGES = [
    RAISED,
    Refused(Refusal.NOT_A_TENSOR, "a list of 3"),
    Ended(End.MEMORY, "MemoryError"),
    LoadReport((REPORT, StatementReport(Place("cell 2", 3, ""), StatementFate.NOT_RUN)), ("A", "B"), True),
]


def decode(data: bytes, index: int = 3) -> object:
    reader = FrameReader(MAX_PAYLOAD)
    reader.feed(data)
    frame = reader.next()
    assert frame is not None
    assert frame.index in (index, frames.LOAD_INDEX)
    assert reader.pending == 0
    return messages.decode(frame, CELLS, MAX_TEXT)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_is_decoded(message: messages.Message) -> None:
    index = frames.LOAD_INDEX if isinstance(message, LoadReport) else 3
    assert decode(messages.encode(index, message, LABELS, MAX_TEXT)) == message


@pytest.mark.parametrize("dtype", messages.DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_come_back_with_dtype_and_shape(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 2).astype(dtype).reshape(shape)
    got = decode(messages.encode(3, Answer({"a": array, "b": array.copy()}), LABELS, MAX_TEXT))
    assert isinstance(got, Answer)
    assert list(got.arrays) == ["a", "b"]
    assert got.arrays["b"].dtype == dtype
    assert got.arrays["b"].shape == shape
    assert np.array_equal(got.arrays["b"], array)


def test_a_text_is_cut_at_a_whole_character() -> None:
    got = decode(messages.encode(3, Refused(Refusal.NO_CLASS, "é" * 99), LABELS, MAX_TEXT))
    assert got == Refused(Refusal.NO_CLASS, "é" * 50)


def test_a_frame_that_comes_in_single_bytes_is_read() -> None:
    reader = FrameReader(MAX_PAYLOAD)
    data = messages.encode(3, RAISED, LABELS, MAX_TEXT)
    for byte in data[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next() is None
    reader.feed(data[-1:])
    assert reader.next() is not None


def answer(payload: bytes) -> bytes:
    return frames.HEADER.pack(frames.MAGIC, frames.ANSWER, 3, len(payload)) + payload


ONE_ARRAY = struct.pack("<IH", 1, 0)
WRONG = {
    "no magic": b"AGF2" + bytes(9),
    "unknown kind": frames.HEADER.pack(frames.MAGIC, 9, 3, 0),
    "a load frame with a call's index": frames.HEADER.pack(frames.MAGIC, frames.LOAD, 3, 0),
    "a call's frame with the load's index": frames.HEADER.pack(
        frames.MAGIC, frames.ANSWER, frames.LOAD_INDEX, 0
    ),
    "longer than allowed": frames.HEADER.pack(frames.MAGIC, frames.ANSWER, 3, MAX_PAYLOAD + 1),
    "empty payload": answer(b""),
    "a rest": answer(struct.pack("<I", 0) + b"x"),
    "too many arrays": answer(struct.pack("<I", 2**31)),
    "unknown dtype": answer(ONE_ARRAY + struct.pack("<BBQ", 99, 1, 1) + bytes(8)),
    "too many dimensions": answer(ONE_ARRAY + struct.pack("<BB", 2, 200) + bytes(1600)),
    "an array larger than its bytes": answer(ONE_ARRAY + struct.pack("<BBQ", 2, 1, 2) + bytes(8)),
    "an array whose size overflows": answer(ONE_ARRAY + struct.pack("<BB2Q", 2, 2, 2**63, 2**63)),
    "an empty array of a giant's shape": answer(ONE_ARRAY + struct.pack("<BB2Q", 2, 2, 0, 2**60)),
    "a text that is not UTF-8": answer(
        struct.pack("<IH", 1, 1) + b"\xff" + struct.pack("<BB", 2, 0) + bytes(8)
    ),
    "a text too long": answer(struct.pack("<IH", 1, MAX_TEXT + 1) + b"x" * 200),
    "the same name twice, cut": answer(struct.pack("<IH", 2, 0) + struct.pack("<BB", 2, 0) + bytes(8)),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_not_exactly_a_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode(data)


def read_all(data: bytes, step: int) -> None:
    reader = FrameReader(MAX_PAYLOAD)
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
            while (frame := reader.next()) is not None:
                message = messages.decode(frame, CELLS, MAX_TEXT)
                assert isinstance(message, (LoadReport, Answer, Raised, Refused, Ended))
            assert reader.pending <= MAX_PAYLOAD + frames.HEADER.size + step
    except FrameError:
        return


KINDS = st.integers(frames.LOAD, frames.ENDED)


@given(kind=KINDS, payload=st.binary(max_size=300), step=st.integers(1, 400))
@settings(max_examples=2000, deadline=None, derandomize=True)
def test_any_payload_gives_a_message_or_an_error(kind: int, payload: bytes, step: int) -> None:
    index = frames.LOAD_INDEX if kind == frames.LOAD else 3
    read_all(frames.HEADER.pack(frames.MAGIC, kind, index, len(payload)) + payload, step)


@given(data=st.data(), step=st.integers(1, 100))
@settings(max_examples=2000, deadline=None, derandomize=True)
def test_any_change_of_a_true_frame_gives_a_message_or_an_error(data: st.DataObject, step: int) -> None:
    whole = b"".join(
        messages.encode(frames.LOAD_INDEX if isinstance(m, LoadReport) else 3, m, LABELS, MAX_TEXT)
        for m in [*MESSAGES, Answer({"a": np.eye(3), "b": np.zeros((2, 0), bool)})]
    )
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    read_all(bytes(broken[cut:] if data.draw(st.booleans()) else broken[:cut]), step)
