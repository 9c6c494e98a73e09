"""What the host sends to a child: the program, the calls, the limits; written and read here.

Layout: u64 length of all that follows, u32 length of the header, the header (JSON), the arrays.
An array stands in the header as its offset and shape; its numbers are float64 or int64. Nothing in a
request is executable. It travels from the trusted side to the untrusted one only.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Final

import numpy as np

from autograder.sandbox.limits import RunLimits
from autograder.sandbox.types import (
    Call,
    Cell,
    CountOperations,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Sizes,
    Task,
    TaskMatrices,
    Train,
    Weights,
)

LENGTH: Final = struct.Struct("<Q")
_HEADER: Final = struct.Struct("<I")


class LoadLevel(Enum):
    """How much of the program runs."""

    ALL = "all statements"
    DEFINITIONS = "imports, functions, classes, assignments"
    NAMES = "imports, functions, classes"


@dataclass(frozen=True)
class Request:
    """One attempt: load the cells at this level, make these calls, within these limits."""

    cells: tuple[Cell, ...]
    calls: tuple[Call, ...]
    level: LoadLevel
    limits: RunLimits


_CLASSES: Final[dict[str, Any]] = {
    cls.__name__: cls
    for cls in (
        *(Request, RunLimits, Cell, Sizes, Weights),
        *(Describe, Forward, Gradients, CountOperations, RecordedOutput, TaskMatrices, Train),
    )
}
_ENUMS: Final[dict[str, Any]] = {cls.__name__: cls for cls in (LoadLevel, Task)}


def encode(request: Request) -> bytes:
    """The request as bytes, its length first."""
    raw = bytearray()

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value, dtype=np.float64)
            offset = len(raw)
            raw.extend(array.tobytes())
            return {"=": "array", "offset": offset, "shape": list(array.shape)}
        if isinstance(value, Enum):
            return {"=": type(value).__name__, "name": value.name}
        if is_dataclass(value):
            return {"=": type(value).__name__} | {
                item.name: plain(getattr(value, item.name)) for item in fields(value)
            }
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    header = json.dumps(plain(request)).encode("ascii")
    body = _HEADER.pack(len(header)) + header + bytes(raw)
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Request:
    """The request of these bytes, without the length in front."""
    (header_length,) = _HEADER.unpack_from(body)
    raw_start = _HEADER.size + header_length

    def rich(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(rich(item) for item in value)
        if not isinstance(value, dict):
            return value
        name = value.pop("=")
        if name == "array":
            shape = tuple(value["shape"])
            count = int(np.prod(shape, dtype=np.int64))
            flat = np.frombuffer(body, np.float64, count, raw_start + value["offset"])
            return flat.reshape(shape).copy()
        if name in _ENUMS:
            return _ENUMS[name][value["name"]]
        return _CLASSES[name](**{key: rich(item) for key, item in value.items()})

    request: Request = rich(json.loads(body[_HEADER.size : raw_start]))
    return request
