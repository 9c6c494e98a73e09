"""Inputs for each reader: arbitrary bytes, files with pieces bent, and files that are odd all through."""

from __future__ import annotations

import io
import json
import stat
import warnings
import zipfile
from typing import Any

from hypothesis import strategies as st

from autograder.sandbox import wire

from ..sandbox.frame_samples import ANSWER, MESSAGES, encoded
from ..submission.samples import CLASS, IMPORTS, log_bytes, log_values, notebook_bytes


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return stream.getvalue()


_CODE = notebook_bytes(IMPORTS, CLASS, "%time x = 1\n!ls\n")
_FRAMES = tuple(encoded(message) for message in (*MESSAGES, ANSWER))
SAMPLES: dict[str, tuple[bytes, ...]] = {
    "log": (log_bytes(), log_bytes(time=None), notebook_bytes("x")),
    "notebook": (_CODE, notebook_bytes("%%bash\nls", "x?"), notebook_bytes("x", nbformat=3)),
    "archive": (
        _zip({"a/submission_log.json": log_bytes(), "a/homework.ipynb": _CODE}),
        _zip({"a.zip": _zip({})}),
    ),
    "frame": tuple(b"\x40" + data for data in (*_FRAMES, b"".join(_FRAMES))),
    "script": ((IMPORTS + "%time x = 1\n!ls 'a\n" + CLASS).encode(),),
    "pipeline": (_zip({"submission_log.json": log_bytes(), "homework.ipynb": _CODE}),),
}
"""Files that are right, or nearly."""

_TOKENS = st.sampled_from(
    [
        *rb'NaN -Infinity 1e999 null true [[ ]] { } " \ \ud800 , : "cells" "source" %% ! ?'.split(),
        *(b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"9" * 5000, b"[" * 3000, b"PK\x01\x02"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, *originals: bytes) -> bytes:
    """One of the files, with pieces cut, repeated, moved or put in."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(_TOKENS, st.binary(max_size=6), st.just(b""), st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_CODE_TEXT = st.text(st.sampled_from("%!?x=1 \n\\'\"()[]{}:;#é\t\f."), max_size=60)
_CELL = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]) | _JSON,
        "source": _CODE_TEXT | st.lists(_CODE_TEXT, max_size=3) | _JSON,
        "input": _CODE_TEXT | _JSON,
        "outputs": _JSON,
        "metadata": _JSON,
        "level": _JSON,
        "language": _JSON,
    },
)
_CELLS = st.lists(_CELL | _JSON, max_size=4) | _JSON
_NOTEBOOK = st.fixed_dictionaries(
    {"nbformat": st.sampled_from([2, 3, 4]) | _JSON},
    optional={
        "cells": _CELLS,
        "worksheets": st.lists(st.fixed_dictionaries({}, optional={"cells": _CELLS}) | _JSON, max_size=2)
        | _JSON,
        "nbformat_minor": _JSON,
        "metadata": st.fixed_dictionaries({}, optional={"kernelspec": _JSON, "language_info": _JSON}) | _JSON,
    },
).map(lambda value: json.dumps(value).encode())
_NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12) | st.lists(st.floats(), max_size=12)
_LOG = st.dictionaries(
    st.sampled_from([*log_values(), "cells", "x"]), _NUMBERS | _JSON | _CODE_TEXT, max_size=3
).map(lambda changed: log_bytes(**changed))

_NAMES = st.sampled_from(
    [
        "submission_log.json",
        "a/homework.ipynb",
        "a.py",
        "../a.py",
        "/a.py",
        "C:\\a.py",
        "__MACOSX/a.py",
        "a.zip",
        "a/",
    ]
) | st.text(max_size=12)
_MODES = (0, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFDIR)
_DATES = st.tuples(
    st.integers(1980, 2107), st.integers(0, 15), *(st.integers(0, highest) for highest in (31, 31, 63, 59))
)


@st.composite
def _archive(draw: st.DrawFn, contents: st.SearchStrategy[bytes]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as opened:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for _ in range(draw(st.integers(0, 4))):
            member: Any = zipfile.ZipInfo(draw(_NAMES), draw(_DATES))
            member.external_attr = draw(st.sampled_from(_MODES)) << 16
            member.compress_type = draw(
                st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
            )
            opened.writestr(member, draw(contents))
    return stream.getvalue()


_MATRIX = st.integers(0, 12).flatmap(lambda n: st.just([float(i % 3) for i in range(n)])) | _NUMBERS
_MATRICES = st.dictionaries(st.sampled_from(list(log_values())), _MATRIX | _JSON, max_size=3).map(
    lambda changed: log_bytes(**changed)
)
_BENT_CODE = mutated((IMPORTS + CLASS).encode(), b"Km = Qm = Vm = pos = None\n").map(
    lambda code: code.decode("utf-8", "replace")
)
_UPLOAD = st.tuples(_MATRICES | _LOG, _BENT_CODE, st.sampled_from(["", "Km = Qm = Vm = pos = x\n"])).map(
    lambda parts: _zip(
        {"submission_log.json": parts[0], "homework.ipynb": notebook_bytes(parts[1], CLASS + parts[2])}
    )
)
_INNER = st.sampled_from([*SAMPLES["log"], _CODE]) | _LOG | _NOTEBOOK | _CODE_TEXT.map(str.encode)


@st.composite
def _bent_frame(draw: st.DrawFn) -> bytes:
    """A frame whose header fits its payload, so that the payload is what is looked at."""
    kind = draw(st.integers(wire.LOAD, wire.ENDED))
    payloads = [data[wire.HEADER.size :] for data in _FRAMES]
    payload = draw(st.binary(max_size=300) | mutated(*payloads))
    index = wire.LOAD_INDEX if kind == wire.LOAD else 3
    return wire.HEADER.pack(wire.MAGIC, kind, index, len(payload)) + payload


_STEP = st.binary(min_size=1, max_size=1)
_STREAM = st.lists(st.sampled_from(_FRAMES) | _bent_frame(), min_size=1, max_size=4).map(b"".join)

_ODD = {
    "log": _LOG,
    "notebook": _NOTEBOOK | _CODE_TEXT.map(notebook_bytes),
    "archive": _archive(_INNER | _archive(_INNER)),
    "frame": st.tuples(_STEP, _STREAM).map(b"".join),
    "script": _CODE_TEXT.map(str.encode),
    "pipeline": _UPLOAD | _archive(_INNER),
}
INPUTS: dict[str, st.SearchStrategy[bytes]] = {
    name: st.one_of(st.binary(max_size=200), mutated(*SAMPLES[name]), _ODD[name]) for name in SAMPLES
}
