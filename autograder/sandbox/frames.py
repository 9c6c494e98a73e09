"""The stream a child answers with: strict, binary, read as if an enemy had written it.

A frame is a header (magic, kind, index of the call, length of the payload) and a payload of exactly
that length. One frame of kind LOAD comes first, then one frame per call, in the order of the calls.
What a payload holds, `messages` says. `FrameError` is all that reading ever raises.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"AGF1"
HEADER: Final = struct.Struct("<4sBII")
LOAD_INDEX: Final = 0xFFFFFFFF
LOAD, ANSWER, RAISED, REFUSED, ENDED = range(1, 6)


class FrameError(Exception):
    """The bytes are not a frame, or its payload is no message; only `attempt` sees this."""


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
