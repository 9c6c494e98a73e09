"""Hostile uploads, one a row: files, or a function that puts into a folder what files cannot say."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .base import CODE, LOG, LOOPED_FORWARD, WRONG_FORWARD, Files, code, honest, log, wrong

NASTY: Final = "<script>alert(1)</script><img src=x onerror=y>\x1b[31m\x07\u202egnp\u2066\u200b\x00\x9b"
"""HTML, ANSI, a bell, bidirectional overrides, a zero-width space, NUL, a C1 control character."""
_NAME: Final = "<b>\u202egnp\x1b[31m & \u200b"
_FIFTY_MB: Final = 50 * 2**20


@dataclass(frozen=True)
class Upload:
    """verdict: SAME as the honest upload's score; no more than the WRONG one's; or ANY, but valid.

    fails: numbers of the tests that must not pass in any case.
    """

    family: str
    name: str
    files: Files = field(default_factory=dict)
    put: Callable[[Path, Path], None] | None = None
    verdict: str = "SAME"
    fails: tuple[str, ...] = ()


def archive(files: dict[str, bytes], mode: int = 0) -> bytes:
    """A .zip of these; mode: of the last one, in st_mode's terms."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == list(files)[-1]:
                info.external_attr = mode << 16
            opened.writestr(info, data)
    return stream.getvalue()


def _zipped(extra: dict[str, bytes], mode: int = 0) -> Files:
    return {"upload.zip": archive({**honest(), **extra}, mode)}


def _beside(**extra: bytes) -> Files:
    return {**honest(), **{name.replace("__", "."): data for name, data in extra.items()}}


def _notebook(*sources: object, **top: object) -> bytes:
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in sources
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **top}).encode()


def _with_notebook(*sources: object) -> Files:
    return {LOG: log(), "homework.ipynb": _notebook(*sources, code().decode())}


def _link_to(target: str) -> Callable[[Path, Path], None]:
    return lambda folder, secret: (folder / LOG).symlink_to(secret if target == "secret" else target)


def _fifo(folder: Path, secret: Path) -> None:
    os.mkfifo(folder / LOG)


def _loop(folder: Path, secret: Path) -> None:
    (folder / "again").symlink_to(folder)


def _hard_link(folder: Path, secret: Path) -> None:
    (folder / "notes.json").hardlink_to(secret)


def _many(folder: Path, secret: Path) -> None:
    for number in range(3000):
        (folder / f"z{number}.txt").touch()


def _deep(folder: Path, secret: Path) -> None:
    for _ in range(60):
        folder = folder / "d"
        folder.mkdir()


_RAISES = f"raise ValueError({NASTY!r})"
_PATCHES = (
    "import json, random, unittest\nnp.allclose = torch.allclose = np.isclose = lambda *a, **k: True\n"
    "np.testing.assert_allclose = lambda *a, **k: None\njson.dumps = lambda *a, **k: '{}'\n"
    "unittest.TestCase.assertTrue = lambda *a: None"
)
_FAKE_COUNT = (
    "from torch.utils import _python_dispatch as d\nimport builtins\n"
    "def enter(self):\n    type(self).count = property(lambda s: 9, lambda s, v: None)\n    return self\n"
    "d.TorchDispatchMode.__enter__ = enter\nd.TorchDispatchMode.__exit__ = lambda *a: None"
)
_FORGE_ALL = (
    "import struct\nfor i in range(200):\n"
    "    p = struct.pack('<IH', 1, 6) + b'output' + struct.pack('<BBQQ', 1, 2, 1, 1) + bytes(4)\n"
    "    os.write(4, b'AGF1\\x02' + struct.pack('<II', i, len(p)) + p)"
)
_SCORES = {"score": 100, "tests": [{"name": "all", "score": 100, "max_score": 100}]}
_LOCAL = b"import os\nos._exit(0)\n"
_LOG_WRONG = {LOG: log(torch_transformer_forward=WRONG_FORWARD), CODE: code()}

UPLOADS: Final = (
    Upload(
        "results, forged", "results.json in the upload", _beside(results__json=json.dumps(_SCORES).encode())
    ),
    Upload("results, forged", "a score in the log", honest(score=100, tests=[], leaderboard=[{"value": 9}])),
    Upload(
        "results, forged",
        "a score in the log of a wrong answer",
        {**wrong(), "x.json": b"{}"},
        verdict="WRONG",
    ),
    Upload("local modules", "numpy.py", _beside(numpy__py=_LOCAL)),
    Upload("local modules", "torch.py", _beside(torch__py=_LOCAL)),
    Upload("local modules", "json.py", _beside(json__py=_LOCAL)),
    Upload("local modules", "sitecustomize.py", _beside(sitecustomize__py=_LOCAL, usercustomize__py=_LOCAL)),
    Upload("local modules", "a .pth file", _beside(evil__pth=b"import os; os._exit(0)\n")),
    Upload("local modules", "the grader's own names", _beside(autograder__py=_LOCAL, reference__py=_LOCAL)),
    Upload(
        "local modules", "conftest.py and pytest.ini", _beside(conftest__py=_LOCAL, pytest__ini=b"[pytest]\n")
    ),
    Upload("local modules", "a library", _beside(libtorch__so=b"\x7fELF" + bytes(64))),
    Upload(
        "local modules", "run_autograder and setup.sh", _beside(run_autograder=b"exit", setup__sh=b"exit")
    ),
    Upload("environment", "magics that run commands", _with_notebook("!rm -rf /\n%env PATH=/tmp\n%run x.py")),
    Upload("environment", "magics for whole cells", _with_notebook("%%bash\nkill -9 $PPID")),
    Upload(
        "environment", "variables", honest("os.environ.update(PYTHONPATH='/tmp', LD_PRELOAD='/tmp/x.so')")
    ),
    Upload("files", "the log is a link to a secret", {CODE: code()}, _link_to("secret"), "ANY", ("1.1",)),
    Upload("files", "the log is a link to a device", {CODE: code()}, _link_to("/dev/zero"), "ANY", ("1.1",)),
    Upload("files", "the log is a FIFO", {CODE: code()}, _fifo, "ANY", ("1.1",)),
    Upload("files", "a link to itself", honest(), _loop),
    Upload("files", "a folder for a log", {CODE: code()}, lambda f, s: (f / LOG).mkdir(), "ANY", ("1.1",)),
    Upload("files", "3,000 files", honest(), _many),
    Upload("files", "60 folders deep", honest(), _deep),
    Upload("files", "names that act", {**honest(), _NAME + ".txt": b"", _NAME + ".py": b"x = 1\n"}),
    Upload("archives", "a name with ..", _zipped({"../../results.json": b"{}"})),
    Upload("archives", "an absolute name", _zipped({"/etc/cron.d/x": b"{}"})),
    Upload("archives", "a drive's name", _zipped({"C:\\x.json": b"{}"})),
    Upload("archives", "a link", _zipped({"metadata.json": b"/etc/passwd"}, stat.S_IFLNK | 0o777)),
    Upload("archives", "a device", _zipped({"zero.json": b""}, stat.S_IFCHR | 0o666)),
    Upload("archives", "a bomb", _zipped({"big.ipynb": bytes(_FIFTY_MB), "big.json": bytes(_FIFTY_MB)})),
    Upload("archives", "a bomb in a bomb", _zipped({"b.zip": archive({"c.zip": archive({"d.zip": b""})})})),
    Upload("archives", "not an archive", {**honest(), "upload.zip": b"PK\x03\x04" + bytes(100)}),
    Upload("JSON", "a depth of 100,000", {LOG: b"[" * 100_000, CODE: code()}, None, "ANY", ("1.1",)),
    Upload(
        "JSON",
        "objects of a depth of 100,000",
        {LOG: b'{"a":' * 100_000, CODE: code()},
        None,
        "ANY",
        ("1.1",),
    ),
    Upload(
        "JSON",
        "a number of a million digits",
        {LOG: log(time=0).replace(b'"time": 0', b'"time": ' + b"9" * 10**6), CODE: code()},
        None,
        "ANY",
    ),
    Upload(
        "JSON",
        "an exponent of a million",
        {LOG: log(time=0).replace(b'"time": 0', b'"time": 1e1000000'), CODE: code()},
        None,
        "ANY",
    ),
    Upload("JSON", "not numbers", honest(attention_by_content_Q=[float("nan")] * 9), None, "ANY", ("3.2",)),
    Upload("JSON", "infinities", honest(attention_by_content_V=[float("inf")] * 9), None, "ANY", ("3.2",)),
    Upload("JSON", "texts for numbers", honest(attention_by_content_V=[NASTY] * 9), None, "ANY", ("1.1",)),
    Upload("JSON", "true for 1", honest(attention_by_content_V=[True] * 9), None, "ANY"),
    Upload("JSON", "a list that is not the log's", {LOG: b"[1, 2, 3]", CODE: code()}, None, "ANY", ("1.1",)),
    Upload("JSON", "keys that act", honest(**{NASTY: 1})),
    Upload("JSON", "twice the same key", {LOG: log()[:-1] + b', "time": 1}', CODE: code()}, None, "ANY"),
    Upload("JSON", "half a surrogate", honest(extra="\ud800")),
    Upload(
        "JSON",
        "a matrix of 10,000 columns",
        honest(attention_by_position_Q=[0.0] * 70_000),
        None,
        "ANY",
        ("4.2",),
    ),
    Upload("JSON", "an empty matrix", honest(attention_by_content_Q=[]), None, "ANY", ("3.2",)),
    Upload(
        "code in the log",
        "init runs a command",
        {LOG: log(torch_transformer_init="    os.system('id')\nimport os; os._exit(0)\n")},
        None,
        "ANY",
        ("2.2",),
    ),
    Upload(
        "code in the log", "init is no code", {LOG: log(torch_transformer_init=NASTY)}, None, "ANY", ("2.2",)
    ),
    Upload("source", "100,000 brackets", honest(after="x = " + "(" * 100_000), None, "ANY"),
    Upload("source", "a million minuses", honest(after="x = " + "-" * 10**6 + "1"), None, "ANY"),
    Upload("source", "a line of 3 MB", honest(after="x = '" + "y" * 3_000_000 + "'")),
    Upload("source", "NUL in it", {LOG: log(), CODE: code() + b"\nx = '\0'\n"}, None, "ANY"),
    Upload(
        "source",
        "another encoding that is none",
        {LOG: log(), CODE: b"# coding: evil\n" + code()},
        None,
        "ANY",
    ),
    Upload("source", "cells that are no text", _with_notebook(7, None, {"a": 1}, ["x", 3]), None, "ANY"),
    Upload("source", "5,000 cells", _with_notebook(*["x = 1"] * 5000)),
    Upload("texts", "in an exception", honest(after=_RAISES)),
    Upload(
        "texts",
        "in the model's exception",
        honest(forward=f"    def forward(self, seq):\n        {_RAISES}"),
        None,
        "ANY",
        ("2.2", "2.3"),
    ),
    Upload(
        "texts",
        "in a type's name",
        honest(after=f"raise type({NASTY.replace(chr(0), '')!r}, (Exception,), {{}})"),
    ),
    Upload("texts", "in prints", honest(after=f"print({NASTY!r} * 1000)")),
    Upload("texts", "in a layer's name", honest(after=f"PytorchTransformer.__qualname__ = {NASTY!r}")),
    Upload("texts", "in a line that fails", honest(after="1/0 # <script>alert(1)</script>\u202egnp")),
    Upload("texts", "a flood of failing lines", honest(after="1/0\n" * 3000)),
    Upload("cheats", "what compares, patched", wrong(_PATCHES), None, "WRONG"),
    Upload("cheats", "answers sent beforehand", wrong(_FORGE_ALL), None, "WRONG"),
    Upload("cheats", "operations not counted", honest(_FAKE_COUNT, LOOPED_FORWARD), None, "ANY", ("2.5",)),
    Upload("readings", "the log's class is right, the script's wrong", {**honest(), CODE: wrong()[CODE]}),
    Upload("readings", "the script's class is right, the log's wrong", _LOG_WRONG),
    Upload(
        "cheats",
        "a right output in the log beside a wrong class",
        {LOG: log(torch_transformer_init="", torch_transformer_forward=""), CODE: wrong()[CODE]},
        None,
        "ANY",
        ("1.3", "2.2", "2.3", "2.4", "2.6"),
    ),
    Upload("cheats", "exit at once", wrong(after="os._exit(0)"), None, "WRONG"),
    Upload(
        "cheats",
        "leave when asked",
        wrong(after="PytorchTransformer.__call__ = lambda *a: os._exit(0)"),
        None,
        "WRONG",
    ),
)
