"""The reader of frames takes hostile bytes: it gives a message or a FrameError. tests/fuzz gives it any."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from autograder.bounds import within
from autograder.sandbox import wire
from autograder.sandbox.calls import (
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
from autograder.sandbox.host import DEFAULT_LIMITS
from autograder.sandbox.wire import FrameError, next_message

CELLS = (Cell("cell 1", "x = 1\n  y = 2  \n"), Cell("cell 2", ""))
LABELS = {"cell 1": 0, "cell 2": 1}
MAX_TEXT = 100
MAX_PAYLOAD = 10_000
LIMITS = replace(DEFAULT_LIMITS, answer=MAX_PAYLOAD, text=MAX_TEXT)

RAISED = Raised("ValueError", "bad", (Place("cell 1", 2, "y = 2"), Place("cell 2", 9, "")))
REPORT = StatementReport(Place("cell 1", 1, "x = 1"), StatementFate.FAILED, RAISED)
MESSAGES: tuple[wire.Reply, ...] = (
    RAISED,
    Refused(Refusal.NOT_A_TENSOR, "a list of 3"),
    Ended(End.MEMORY, "MemoryError"),
    LoadReport(
        (REPORT, StatementReport(Place("cell 2", 3, ""), StatementFate.NOT_RUN)), ("A", "B"), True, ("c",)
    ),
)
ANSWER = Answer({"a": np.eye(3), "b": np.zeros((2, 0), bool)})


def encoded(message: wire.Reply) -> bytes:
    """The frame of a message: the load's own index, or that of some call."""
    index = wire.LOAD_INDEX if isinstance(message, LoadReport) else 3
    return wire.encode(index, message, LABELS, MAX_TEXT)


def decode(data: bytes, index: int = 3) -> object:
    came = bytearray(data)
    message = next_message(came, index, CELLS, LIMITS)
    assert message is not None
    assert not came
    return message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_is_decoded(message: wire.Reply) -> None:
    assert decode(encoded(message), wire.LOAD_INDEX if isinstance(message, LoadReport) else 3) == message


@pytest.mark.parametrize("dtype", wire.DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_come_back_with_dtype_and_shape(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    array = (np.arange(np.prod(shape, dtype=int)) % 2).astype(dtype).reshape(shape)
    got = decode(wire.encode(3, Answer({"a": array, "b": array.copy()}), LABELS, MAX_TEXT))
    assert isinstance(got, Answer)
    assert list(got.arrays) == ["a", "b"]
    assert got.arrays["b"].dtype == dtype
    assert got.arrays["b"].shape == shape
    assert np.array_equal(got.arrays["b"], array)


def test_a_text_is_cut_at_a_whole_character() -> None:
    got = decode(wire.encode(3, Refused(Refusal.NO_CLASS, "é" * 99), LABELS, MAX_TEXT))
    assert got == Refused(Refusal.NO_CLASS, "é" * 50)


def test_a_frame_that_comes_in_single_bytes_is_read() -> None:
    came = bytearray()
    data = wire.encode(3, RAISED, LABELS, MAX_TEXT)
    for byte in data[:-1]:
        came.append(byte)
        assert next_message(came, 3, CELLS, LIMITS) is None
    came += data[-1:]
    assert next_message(came, 3, CELLS, LIMITS) == RAISED


def answer(payload: bytes) -> bytes:
    return wire.HEADER.pack(wire.MAGIC, wire.ANSWER, 3, len(payload)) + payload


ONE_ARRAY = struct.pack("<IH", 1, 0)
WRONG = {
    "no magic": b"AGF2" + bytes(9),
    "unknown kind": wire.HEADER.pack(wire.MAGIC, 9, 3, 0),
    "a load frame with a call's index": wire.HEADER.pack(wire.MAGIC, wire.LOAD, 3, 0),
    "a call's frame with the load's index": wire.HEADER.pack(wire.MAGIC, wire.ANSWER, wire.LOAD_INDEX, 0),
    "another call's": wire.HEADER.pack(wire.MAGIC, wire.ANSWER, 4, 4) + bytes(4),
    "longer than allowed": wire.HEADER.pack(wire.MAGIC, wire.ANSWER, 3, MAX_PAYLOAD + 1),
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


def test_two_thousand_failing_statements_of_a_long_cell_are_read_in_one_pass() -> None:
    cell = Cell("cell 1", "fail()\n" * 40_000)
    failed = Raised("NameError", "fail", (Place("cell 1", 39_999, ""),))
    reports = [StatementReport(Place("cell 1", n, ""), StatementFate.FAILED, failed) for n in range(1, 2001)]
    load = LoadReport(tuple(reports), (), False)
    came = bytearray(wire.encode(wire.LOAD_INDEX, load, {"cell 1": 0}, MAX_TEXT))
    with within(2):
        report = next_message(came, wire.LOAD_INDEX, [cell], replace(LIMITS, answer=1_000_000))
    assert isinstance(report, LoadReport)
    assert {statement.place.text for statement in report.statements} == {"fail()"}


def test_a_text_of_the_students_code_has_no_character_that_acts() -> None:
    raised = Raised("a\u202eb", "one\n\x1b[31mtwo\x9b\u2028", ())
    assert decode(encoded(raised)) == Raised("a\\u202eb", "one\n\\x1b[31mtwo\\x9b\\u2028", ())
    names = Answer({"trainable \x07": np.zeros(1)})
    got = decode(wire.encode(3, names, LABELS, MAX_TEXT))
    assert isinstance(got, Answer)
    assert list(got.arrays) == ["trainable \\x07"]
