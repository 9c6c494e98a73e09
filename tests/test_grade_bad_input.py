"""Bad input: results.json is valid, says what to do, and only what is broken costs points.

Files that are missing, broken or something else; code that breaks, hangs, floods or leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from autograder import settings
from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from tests.answers.answer import (
    CONTENT,
    MODEL,
    PLAIN_FORWARD,
    PLAIN_LAYERS,
    POSITION,
    RECORD,
    SECTIONS,
    Answer,
    Draft,
    Share,
)
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, Files, notebook_text, write
from tests.answers.verdict import share_complaints

PERFECT = Answer("perfect")
NOTHING: Mapping[str, Share] = dict.fromkeys(SECTIONS, 0)


@dataclass(frozen=True)
class BadUpload:
    """files: what is handed in. shares: what it deserves by section, all points unless said otherwise.

    says: texts that the student is to find somewhere in the results.
    """

    name: str
    files: Callable[[], Files]
    shares: Mapping[str, Share] = field(default_factory=dict)
    says: tuple[str, ...] = ()


def _log(**changes: Any) -> str:
    """The perfect log with other values; None takes a key out."""
    log = json.loads(log_of(PERFECT)) | changes
    return json.dumps({key: value for key, value in log.items() if value is not None})


def _cut_in_half() -> str:
    return log_of(PERFECT)[: len(log_of(PERFECT)) // 2]


NEEDS_A_NAME = "    def forward(self, seq):\n        return my_attention(seq, self)\n"

FILES = (
    BadUpload("empty upload", dict, NOTHING, ("submission_log.json", "Upload your notebook")),
    BadUpload("only a PDF", lambda: {"hw.pdf": "%PDF-1.7\n"}, NOTHING, ("hw.pdf", "Upload your notebook")),
    BadUpload("empty files", lambda: {LOG: "", NOTEBOOK: ""}, NOTHING, ("empty",)),
    BadUpload("notebook is no JSON", lambda: {NOTEBOOK: "<html>Sign in</html>"}, NOTHING, (NOTEBOOK,)),
    BadUpload(
        "notebook cut in half",
        lambda: {LOG: log_of(PERFECT), NOTEBOOK: notebook_text(PERFECT)[:9000]},
        says=(NOTEBOOK,),
    ),
    BadUpload("notebook renamed to .json", lambda: {LOG: notebook_text(PERFECT)}, {RECORD: 0}, ("notebook",)),
    BadUpload("log cut in half, alone", lambda: {LOG: _cut_in_half()}, NOTHING, ("line 1",)),
    BadUpload(
        "code needs a name",
        lambda: {LOG: _log(torch_transformer_forward=NEEDS_A_NAME)},
        {RECORD: "less", MODEL: "less"},
        ("my_attention", "notebook"),
    ),
)
BESIDE_A_NOTEBOOK: Mapping[str, tuple[Callable[[], str], Mapping[str, Share], tuple[str, ...]]] = {
    "log cut in half": (_cut_in_half, {RECORD: 0}, ("line 1",)),
    "log of another assignment": (
        lambda: '{"seed": 5, "loss": [1, 2]}',
        {RECORD: 0},
        ("torch_transformer",),
    ),
    "log is a list": (lambda: "[1, 2, 3]", {RECORD: 0}, ()),
    "log of strings": (
        lambda: _log(attention_by_content_Q=["a"] * 9),
        {RECORD: "less"},
        ("attention_by_content_Q",),
    ),
    "wrong length": (
        lambda: _log(attention_by_content_K=[0.5] * 8),
        {RECORD: "less", CONTENT: 0},
        ("attention_by_content_K",),
    ),
}
ALONE: Mapping[str, tuple[str, object, Mapping[str, Share], tuple[str, ...]]] = {
    "log of strings, alone": ("attention_by_content_Q", ["a"] * 9, {CONTENT: 0}, ()),
    "numbers as strings": ("attention_by_position_pos", ["1.0"] * 16, {POSITION: 0}, ()),
    "wrong length, alone": ("attention_by_position_V", [0.5] * 22, {POSITION: 0}, ()),
    "ragged": ("attention_by_content_V", [[1, 0, 0], [0, 1], [0, 0, 1]], {CONTENT: 0}, ()),
    "empty arrays": ("attention_by_content_V", [], {CONTENT: 0}, ()),
    "another output": (
        "attention_by_content",
        [0.5] * 18,
        {},
        ("attention_by_content is not what the recorded matrices give",),
    ),
    "another model output": ("torch_transformer_value", [0.5] * 5, {}, ()),
    "another model shape": ("torch_transformer_shape", [8, 4], {}, ()),
    "no time": ("time", None, {}, ()),
    "code is no text": ("torch_transformer_forward", 7, {MODEL: 0}, ()),
    "code does not parse": ("torch_transformer_forward", "def forward(self, seq:\n  pass", {MODEL: 0}, ()),
    "infinity": ("attention_by_position_K", [float("inf"), *[0.5] * 6], {POSITION: "less"}, ()),
}
"""By name: the key of the log that has another value, and that; what it costs beside the log's own points;
what is said beside the key."""
BAD_FILES = (
    *FILES,
    *(
        BadUpload(name, lambda log=log: {LOG: log(), NOTEBOOK: notebook_text(PERFECT)}, shares, says)
        for name, (log, shares, says) in BESIDE_A_NOTEBOOK.items()
    ),
    *(
        BadUpload(name, lambda kw={key: value}: {LOG: _log(**kw)}, {RECORD: "less", **shares}, (key, *says))
        for name, (key, value, shares, says) in ALONE.items()
    ),
)

HANG = "while True:\n    pass\n"
HOARD = "hoard = [bytearray(64 * 2**20) for _ in range(48)]\n"
FLOOD = "line = 'x' * 1_000_000\nfor _ in range(1000):\n    print(line)\n"


def _handed_in(answer: Answer, *says: str, model: Share = 1) -> BadUpload:
    """The notebook with the log of a perfect one: what is recorded there keeps its points. Of a model that is
    to fail, the log does not hold the class, which would be graded instead."""
    recorded = json.loads(log_of(PERFECT))
    if model != 1:
        recorded = {key: value for key, value in recorded.items() if not key.startswith("torch_transformer")}
    files = {LOG: json.dumps(recorded), NOTEBOOK: notebook_text(answer)}
    return BadUpload(answer.name, lambda: files, {RECORD: "any" if model != 1 else 1, MODEL: model}, says)


def _forward(name: str, code: str, *says: str, model: Share = "less") -> BadUpload:
    return _handed_in(Answer(name, forward=PLAIN_FORWARD + code), *says, model=model)


def _init(name: str, code: str, *says: str, model: Share = 0) -> BadUpload:
    return _handed_in(Answer(name, layers=code + PLAIN_LAYERS), *says, model=model)


def _cell(name: str, code: str, *says: str, model: Share = 1) -> BadUpload:
    """A cell of the student's own, in front of the model's."""
    return _handed_in(Answer(name, before_model=code), *says, model=model)


def _last_cell(name: str, code: str, *says: str) -> BadUpload:
    return _handed_in(Answer(name, arrange=lambda drafts: [*drafts, Draft("end", code)]), *says)


def _renamed(drafts: list[Draft]) -> list[Draft]:
    return [replace(d, source=d.source.replace("PytorchTransformer", "MyTransformer")) for d in drafts]


RENAMED = Answer("PytorchTransformer is called MyTransformer", arrange=_renamed)
CLASSES = (
    _handed_in(RENAMED, "defines no class PytorchTransformer"),  # the log's class is graded
    BadUpload(
        "class with another name, notebook alone",
        lambda: {NOTEBOOK: notebook_text(RENAMED)},
        {RECORD: 0, MODEL: 0},
        ("MyTransformer", "PytorchTransformer"),
    ),
    _handed_in(Answer("syntax error", forward="out = (\n", like_jupyter=True), "syntax", NOTEBOOK, model=0),
    _init("import inside that is missing", "import flash_attn\n", model=1),
    _cell("import that is missing", "import flash_attn\nfrom xformers import ops", "flash_attn"),
    _cell("syntax error elsewhere", "for i in range(3)\n    print(i)\n"),
)
RETURNS = (
    _forward("returns None, log kept", "return None", "None"),
    _forward("returns a tuple, log kept", "return out, out", "tuple"),
    _forward("returns NumPy, log kept", "return out.detach().numpy()", "NumPy"),
    _forward("returns a list, log kept", "return out.tolist()", "list"),
    _forward("returns NaN, log kept", "return out / 0 * 0", "NaN"),
    _forward("returns the wrong shape, log kept", "return out[:, :-1]", "shape"),
    _forward("returns integers, log kept", "return out.int()", "int32"),
    _forward("returns float64", "return out.double()", model=1),
    _forward("needs gradients still", "return out.clone().requires_grad_()", model=1),
)
ENDINGS = (
    _forward("input() in forward", "name = input('name? ')", "input"),
    _cell("input() in a cell", "name = input('name? ')", "input"),
    _forward("sys.exit() in forward", "import sys; sys.exit(3)"),
    _cell("sys.exit() in a cell", "import sys\nsys.exit(0)"),
    _cell("os._exit() in a cell", "import os\nos._exit(0)", model="any"),
    _forward("killed by itself", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
    _last_cell("exit() in the last cell", "exit()"),
)
HANGS = (
    _last_cell("while True in the last cell", HANG, "too long"),
    _cell("while True in a cell", HANG, "too long"),
    _forward("while True in forward", HANG, "time"),
    _init("while True in __init__", HANG, "time"),
    _forward("sleeps in forward", "import time; time.sleep(10_000)", "time"),
)
FLOODS = (
    _forward("3 GB in forward", HOARD, "memory"),
    _cell("3 GB in a cell", HOARD),
    _forward("1 GB of prints in forward", FLOOD, model="any"),
    _cell("1 GB of prints in a cell", FLOOD, model="any"),
    _forward("prints ten thousand numbers", "print(torch.arange(10_000).tolist())", model="any"),
    _forward("endless recursion", "return self.forward(seq)", "recursion"),
    _forward("an error with a long text", "raise ValueError('<script>' * 100_000)", "ValueError"),
)
BAD_CODE = CLASSES + RETURNS + ENDINGS + HANGS + FLOODS

SMALL = replace(DEFAULT_LIMITS, memory=256 * settings.MIB)
SHORT = replace(SMALL, load_cpu=1.0, call_cpu=0.5, wall_factor=8.0)
"""For what hangs by design: it meets its limits soon."""


@pytest.mark.parametrize("bad", [*BAD_FILES, *BAD_CODE], ids=lambda bad: bad.name)
def test_bad_input_costs_only_what_it_broke(bad: BadUpload, fork_server: ForkServer, tmp_path: Path) -> None:
    upload = write(bad.files(), tmp_path / "upload")
    graded = grade(upload, fork_server, SHORT if bad in HANGS else SMALL)
    validate(graded.results)
    assert graded.faults == ()
    shares = dict.fromkeys(SECTIONS, 1) | dict(bad.shares)
    assert list(share_complaints(shares, graded.results)) == []
    told = _told(graded.results)
    assert [text for text in bad.says if text.lower() not in told.lower()] == []
    assert len(told) < settings.MAX_OUTPUT_BYTES


def _told(results: dict[str, Any]) -> str:
    return "\n".join([results["output"], *(test.get("output", "") for test in results["tests"])])
