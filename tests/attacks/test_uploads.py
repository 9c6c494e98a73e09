"""Hostile uploads against the whole grader: valid results, no point too many, no fault of the grader's.

After each, an honest upload gets the results it got before.
"""

from __future__ import annotations

import io
import json
import os
import stat
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import Allowance, ForkServer

from .base import CODE, HONEST_FORWARD, LOG, WRONG_FORWARD, Files, code, filled, honest, log, wrong

SECRET = "secret-metadata-of-the-course"
ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

pytestmark = pytest.mark.slow

NASTY = "<script>alert(1)</script><img src=x onerror=y>\x1b[31m\x07\u202egnp\u2066\u200b\x00\x9b"
"""HTML, ANSI, a bell, bidirectional overrides, a zero-width space, NUL, a C1 control character."""
_NAME = "<b>\u202egnp\x1b[31m & \u200b"
_FIFTY_MB = 50 * 2**20


@dataclass(frozen=True)
class Upload:
    """A hostile upload. put: puts into the folder what files cannot say, given a secret that lies elsewhere.

    verdict: SAME as the honest upload's score; no more than the WRONG one's; or ANY, but valid.
    fails: numbers of the tests that must not pass in any case.
    """

    family: str
    name: str
    files: Files = field(default_factory=dict)
    put: Callable[[Path, Path], object] | None = None
    verdict: str = "SAME"
    fails: tuple[str, ...] = ()


def archive(files: Files, mode: int = 0) -> bytes:
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


def _zipped(extra: Files, mode: int = 0) -> Files:
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


def _many(folder: Path, secret: Path) -> None:
    for number in range(3000):
        (folder / f"z{number}.txt").touch()


def _deep(folder: Path, secret: Path) -> None:
    for _ in range(60):
        folder = folder / "d"
        folder.mkdir()


_LOOPED = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:len(seq)]], dim=-1)
        keys, values = self.Km(seq), self.Vm(seq)
        rows = []
        for row in seq:
            scores = self.Qm(row) @ keys.T / math.sqrt(self.qk_dim)
            rows.append(torch.softmax(scores, dim=-1) @ values)
        return torch.stack(rows)
"""
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

_FORGED = {
    "results.json in the upload": _beside(results__json=json.dumps(_SCORES).encode()),
    "a score in the log": honest(score=100, tests=[], leaderboard=[{"value": 9}]),
}
_LOCALS = {
    "numpy.py": _beside(numpy__py=_LOCAL),
    "torch.py": _beside(torch__py=_LOCAL),
    "json.py": _beside(json__py=_LOCAL),
    "sitecustomize.py": _beside(sitecustomize__py=_LOCAL, usercustomize__py=_LOCAL),
    "a .pth file": _beside(evil__pth=b"import os; os._exit(0)\n"),
    "the grader's own names": _beside(autograder__py=_LOCAL, reference__py=_LOCAL),
    "conftest.py and pytest.ini": _beside(conftest__py=_LOCAL, pytest__ini=b"[pytest]\n"),
    "a library": _beside(libtorch__so=b"\x7fELF" + bytes(64)),
    "run_autograder and setup.sh": _beside(run_autograder=b"exit", setup__sh=b"exit"),
}
_ENVIRONMENT = {
    "magics that run commands": _with_notebook("!rm -rf /\n%env PATH=/tmp\n%run x.py"),
    "magics for whole cells": _with_notebook("%%bash\nkill -9 $PPID"),
    "variables": honest("os.environ.update(PYTHONPATH='/tmp', LD_PRELOAD='/tmp/x.so')"),
}
_AS_LOG: Mapping[str, Callable[[Path, Path], object]] = {
    "the log is a link to a secret": lambda folder, secret: (folder / LOG).symlink_to(secret),
    "the log is a link to a device": lambda folder, secret: (folder / LOG).symlink_to("/dev/zero"),
    "the log is a FIFO": lambda folder, secret: os.mkfifo(folder / LOG),
    "a folder for a log": lambda folder, secret: (folder / LOG).mkdir(),
}
_IN_FOLDERS: Mapping[str, Callable[[Path, Path], object]] = {
    "a link to itself": lambda folder, secret: (folder / "again").symlink_to(folder),
    "3,000 files": _many,
    "60 folders deep": _deep,
}
_ARCHIVES = {
    "a name with ..": _zipped({"../../results.json": b"{}"}),
    "an absolute name": _zipped({"/etc/cron.d/x": b"{}"}),
    "a drive's name": _zipped({"C:\\x.json": b"{}"}),
    "a link": _zipped({"metadata.json": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
    "a device": _zipped({"zero.json": b""}, stat.S_IFCHR | 0o666),
    "a bomb": _zipped({"big.ipynb": bytes(_FIFTY_MB), "big.json": bytes(_FIFTY_MB)}),
    "a bomb in a bomb": _zipped({"b.zip": archive({"c.zip": archive({"d.zip": b""})})}),
    "not an archive": {**honest(), "upload.zip": b"PK\x03\x04" + bytes(100)},
}
_LOGS: Mapping[str, tuple[bytes, tuple[str, ...]]] = {
    "a depth of 100,000": (b"[" * 100_000, ("1.1",)),
    "objects of a depth of 100,000": (b'{"a":' * 100_000, ("1.1",)),
    "a number of a million digits": (log(time=0).replace(b'"time": 0', b'"time": ' + b"9" * 10**6), ()),
    "an exponent of a million": (log(time=0).replace(b'"time": 0', b'"time": 1e1000000'), ()),
    "not numbers": (log(attention_by_content_Q=[float("nan")] * 9), ("3.2",)),
    "infinities": (log(attention_by_content_V=[float("inf")] * 9), ("3.2",)),
    "texts for numbers": (log(attention_by_content_V=[NASTY] * 9), ("1.1",)),
    "true for 1": (log(attention_by_content_V=[True] * 9), ()),
    "a list that is not the log's": (b"[1, 2, 3]", ("1.1",)),
    "twice the same key": (log()[:-1] + b', "time": 1}', ()),
    "a matrix of 10,000 columns": (log(attention_by_position_Q=[0.0] * 70_000), ("4.2",)),
    "an empty matrix": (log(attention_by_content_Q=[]), ("3.2",)),
}
_INITS = {
    "init runs a command": "    os.system('id')\nimport os; os._exit(0)\n",
    "init is no code": NASTY,
}
_SOURCES = {
    "100,000 brackets": honest(after="x = " + "(" * 100_000),
    "a million minuses": honest(after="x = " + "-" * 10**6 + "1"),
    "NUL in it": {LOG: log(), CODE: code() + b"\nx = '\0'\n"},
    "another encoding that is none": {LOG: log(), CODE: b"# coding: evil\n" + code()},
    "cells that are no text": _with_notebook(7, None, {"a": 1}, ["x", 3]),
}
_TEXTS = {
    "in an exception": _RAISES,
    "in a type's name": f"raise type({NASTY.replace(chr(0), '')!r}, (Exception,), {{}})",
    "in prints": f"print({NASTY!r} * 1000)",
    "in a layer's name": f"PytorchTransformer.__qualname__ = {NASTY!r}",
    "in a line that fails": "1/0 # <script>alert(1)</script>\u202egnp",
    "a flood of failing lines": "1/0\n" * 3000,
}
_CHEATS = {
    "what compares, patched": wrong(_PATCHES),
    "answers sent beforehand": wrong(_FORGE_ALL),
    "exit at once": wrong(after="os._exit(0)"),
    "leave when asked": wrong(after="PytorchTransformer.__call__ = lambda *a: os._exit(0)"),
}
_READINGS = {
    "the log's class is right, the script's wrong": {**honest(), CODE: wrong()[CODE]},
    "the script's class is right, the log's wrong": {
        LOG: log(torch_transformer_forward=WRONG_FORWARD),
        CODE: code(),
    },
}
_NO_CLASS = {LOG: log(torch_transformer_init="", torch_transformer_forward=""), CODE: wrong()[CODE]}


def _rows(family: str, uploads: Mapping[str, Files], verdict: str = "SAME") -> list[Upload]:
    return [Upload(family, name, files, verdict=verdict) for name, files in uploads.items()]


UPLOADS = (
    *_rows("results, forged", _FORGED),
    Upload(
        "results, forged",
        "a score in the log of a wrong answer",
        {**wrong(), "x.json": b"{}"},
        verdict="WRONG",
    ),
    *_rows("local modules", _LOCALS),
    *_rows("environment", _ENVIRONMENT),
    *(Upload("files", name, {CODE: code()}, put, "ANY", ("1.1",)) for name, put in _AS_LOG.items()),
    *(Upload("files", name, honest(), put) for name, put in _IN_FOLDERS.items()),
    Upload("files", "names that act", {**honest(), _NAME + ".txt": b"", _NAME + ".py": b"x = 1\n"}),
    *_rows("archives", _ARCHIVES),
    *(
        Upload("JSON", name, {LOG: data, CODE: code()}, None, "ANY", fails)
        for name, (data, fails) in _LOGS.items()
    ),
    *_rows("JSON", {"keys that act": honest(**{NASTY: 1}), "half a surrogate": honest(extra="\ud800")}),
    *(
        Upload("code in the log", name, {LOG: log(torch_transformer_init=init)}, None, "ANY", ("2.2",))
        for name, init in _INITS.items()
    ),
    *_rows("source", _SOURCES, "ANY"),
    Upload("source", "a line of 3 MB", honest(after="x = '" + "y" * 3_000_000 + "'")),
    Upload("source", "5,000 cells", _with_notebook(*["x = 1"] * 5000)),
    *_rows("texts", {name: honest(after=after) for name, after in _TEXTS.items()}),
    Upload(
        "texts",
        "in the model's exception",
        honest(forward=f"    def forward(self, seq):\n        {_RAISES}"),
        verdict="ANY",
        fails=("2.2", "2.3"),
    ),
    *_rows("cheats", _CHEATS, "WRONG"),
    Upload("cheats", "operations not counted", honest(_FAKE_COUNT, _LOOPED), None, "ANY", ("2.5",)),
    Upload(
        "cheats",
        "a right output in the log beside a wrong class",
        _NO_CLASS,
        verdict="ANY",
        fails=("1.3", "2.2", "2.3", "2.4", "2.6"),
    ),
    *_rows("readings", _READINGS),
)


@dataclass(frozen=True)
class Scores:
    honest: dict[str, Any]
    wrong: float


@pytest.fixture(scope="module")
def scores(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    good = results_of(filled(tmp_path_factory.mktemp("honest"), honest()), fork_server)
    bad = results_of(filled(tmp_path_factory.mktemp("wrong"), wrong()), fork_server)
    return Scores(good, total(bad))


def test_the_honest_upload_is_worth_all_and_the_wrong_one_little(scores: Scores) -> None:
    assert total(scores.honest) == 100
    assert scores.wrong < 60


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.family}: {row.name}") for row in UPLOADS])
def test_a_hostile_upload_gains_nothing(
    fork_server: ForkServer, scores: Scores, tmp_path: Path, row: Upload
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(f'{{"{SECRET}": 1}}')
    folder = filled(tmp_path / "upload", row.files)
    if row.put is not None:
        row.put(folder, secret)
    results = results_of(folder, fork_server)
    passed = {test["number"] for test in results["tests"] if test.get("status") == "passed"}
    if row.verdict == "SAME":
        assert total(results) == total(scores.honest)
    elif row.verdict == "WRONG":
        assert total(results) <= scores.wrong
    assert passed.isdisjoint(row.fails)
    assert SECRET not in str(results)
    again = results_of(filled(tmp_path / "honest", honest()), fork_server)
    assert again == scores.honest


def test_a_forward_that_sleeps_is_cut_with_the_time_of_the_upload_and_keeps_what_it_earned(
    fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.grade.Allowance", lambda: Allowance(wall_left=12.0))
    sleepy = HONEST_FORWARD.replace("seq):\n", "seq):\n        __import__('time').sleep(1)\n", 1)
    began = time.monotonic()
    results = results_of(filled(tmp_path / "upload", honest(forward=sleepy)), fork_server)
    assert time.monotonic() - began < 60
    output = {test["number"]: test.get("output", "") for test in results["tests"]}
    passed = {test["number"] for test in results["tests"] if test.get("status") == "passed"}
    told = [number for number, text in output.items() if "used up its time (12 s for the whole" in text]
    assert len(told) == 1  # once: the checks behind it point there
    assert output["2.4"].startswith(("See 2.", "Your program used up its time"))
    assert passed >= {"2.1", "3.1", "3.2", "4.1", "4.2"}
    assert passed.isdisjoint({"2.4", "2.6"})  # 2.5 is judged by the outputs that came


def results_of(folder: Path, fork_server: ForkServer) -> dict[str, Any]:
    """The results, found valid, without a fault of the grader's, and with no character that acts."""
    graded = grade(folder, fork_server)
    validate(graded.results)
    assert graded.faults == ()
    for text, form in texts(graded.results):
        assert [c for c in text if unicodedata.category(c) in ACTING and c not in "\n\t"] == []
        assert form != "html" or "<script" not in text
        assert form not in ("md", "simple_format") or "<img" not in text
        assert len(text) < 100_000
    graded.results.pop("execution_time", None)
    return graded.results


def texts(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for part in (results, *results["tests"]):
        yield part.get("output", ""), part.get("output_format", "text")
        yield part.get("name", ""), part.get("name_format", "text")


def total(results: dict[str, Any]) -> float:
    return sum(test["score"] for test in results["tests"])
