"""Answers whose code breaks, hangs, floods or leaves: each with what it may cost, and what is to be said."""

from __future__ import annotations

import json

from tests.answers.answer import PLAIN_FORWARD, PLAIN_LAYERS, Answer, Draft
from tests.answers.bad_files import MODEL, PERFECT, BadUpload, Share
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, notebook_text

HANG = "while True:\n    pass\n"
HOARD = "hoard = [bytearray(64 * 2**20) for _ in range(48)]\n"
FLOOD = "line = 'x' * 1_000_000\nfor _ in range(1000):\n    print(line)\n"


def _handed_in(answer: Answer, *says: str, model: Share = 1) -> BadUpload:
    """The notebook with the log of a perfect one: what is recorded there keeps its points. Of a model that is
    to fail, the log does not hold the class, which would be graded instead."""
    log = "any" if model != 1 else 1
    recorded = json.loads(log_of(PERFECT))
    if model != 1:
        recorded = {key: value for key, value in recorded.items() if not key.startswith("torch_transformer")}
    files = {LOG: json.dumps(recorded), NOTEBOOK: notebook_text(answer)}
    return BadUpload(answer.name, lambda: files, {"submission_log": log, MODEL: model}, says)


def _forward(name: str, code: str, *says: str, model: Share = "less") -> BadUpload:
    return _handed_in(Answer(name, forward=PLAIN_FORWARD + code), *says, model=model)


def _init(name: str, code: str, *says: str, model: Share = 0) -> BadUpload:
    return _handed_in(Answer(name, layers=code + PLAIN_LAYERS), *says, model=model)


def _cell(name: str, code: str, *says: str, model: Share = 1) -> BadUpload:
    """A cell of the student's own, in front of the model's."""
    return _handed_in(Answer(name, before_model=code), *says, model=model)


def _last_cell(name: str, code: str, *says: str) -> BadUpload:
    return _handed_in(Answer(name, arrange=lambda drafts: [*drafts, Draft("end", code)]), *says)


def _renamed(old: str, new: str) -> Answer:
    def arrange(drafts: list[Draft]) -> list[Draft]:
        return [Draft(d.name, d.source.replace(old, new), d.is_code) for d in drafts]

    return Answer(f"{old} is called {new}", arrange=arrange)


RENAMED = _renamed("PytorchTransformer", "MyTransformer")
CLASSES = (
    _handed_in(RENAMED, "defines no class PytorchTransformer"),  # the log's class is graded
    BadUpload(
        "class with another name, notebook alone",
        lambda: {NOTEBOOK: notebook_text(RENAMED)},
        {"submission_log": 0, MODEL: 0},
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
