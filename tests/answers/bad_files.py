"""Uploads that are not what was asked for: files that are missing, broken, or something else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.answers.answer import Answer, Share
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, Files, notebook_text

PERFECT = Answer("perfect")
MODEL, CONTENT, POSITION = "pytorch_transformer", "attention_by_content", "attention_by_position"
NOTHING: Mapping[str, Share] = {"submission_log": 0, MODEL: 0, CONTENT: 0, POSITION: 0}
BROKEN_LOG: Mapping[str, Share] = {"submission_log": 0, MODEL: 1, CONTENT: 1, POSITION: 1}


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


def _with_notebook(name: str, log: Callable[[], str], shares: Mapping[str, Share], *says: str) -> BadUpload:
    return BadUpload(name, lambda: {LOG: log(), NOTEBOOK: notebook_text(PERFECT)}, shares, says)


def _log_alone(name: str, log: Callable[[], str], shares: Mapping[str, Share], *says: str) -> BadUpload:
    return BadUpload(name, lambda: {LOG: log()}, shares, says)


def _cut_in_half() -> str:
    return log_of(PERFECT)[: len(log_of(PERFECT)) // 2]


def _flat_zeros(count: int) -> list[float]:
    return [0.5] * count


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
    BadUpload(
        "notebook renamed to .json",
        lambda: {LOG: notebook_text(PERFECT)},
        {"submission_log": 0},
        ("notebook",),
    ),
)
LOGS = (
    _with_notebook("log cut in half", _cut_in_half, BROKEN_LOG, "line 1"),
    _log_alone("log cut in half, alone", _cut_in_half, NOTHING, "line 1"),
    _with_notebook(
        "log of another assignment", lambda: '{"seed": 5, "loss": [1, 2]}', BROKEN_LOG, "torch_transformer"
    ),
    _with_notebook("log is a list", lambda: "[1, 2, 3]", BROKEN_LOG),
    _with_notebook(
        "log of strings",
        lambda: _log(attention_by_content_Q=["a"] * 9),
        {"submission_log": "less"},
        "attention_by_content_Q",
    ),
    _log_alone(
        "log of strings, alone",
        lambda: _log(attention_by_content_Q=["a"] * 9),
        {"submission_log": "less", CONTENT: 0},
        "attention_by_content_Q",
    ),
    _log_alone(
        "numbers as strings",
        lambda: _log(attention_by_position_pos=["1.0"] * 16),
        {"submission_log": "less", POSITION: 0},
        "attention_by_position_pos",
    ),
    _with_notebook(
        "wrong length",
        lambda: _log(attention_by_content_K=_flat_zeros(8)),
        {"submission_log": "less", CONTENT: 0},
        "attention_by_content_K",
    ),
    _log_alone(
        "wrong length, alone",
        lambda: _log(attention_by_position_V=_flat_zeros(22)),
        {"submission_log": "less", POSITION: 0},
        "attention_by_position_V",
    ),
    _log_alone(
        "ragged",
        lambda: _log(attention_by_content_V=[[1, 0, 0], [0, 1], [0, 0, 1]]),
        {"submission_log": "less", CONTENT: 0},
        "attention_by_content_V",
    ),
    _log_alone(
        "empty arrays",
        lambda: _log(attention_by_content_V=[]),
        {"submission_log": "less", CONTENT: 0},
        "attention_by_content_V",
    ),
    _log_alone(
        "another output",
        lambda: _log(attention_by_content=_flat_zeros(18)),
        {"submission_log": "less"},
        "attention_by_content is not what the recorded matrices give",
    ),
    _log_alone(
        "another model output",
        lambda: _log(torch_transformer_value=_flat_zeros(5)),
        {"submission_log": "less"},
        "torch_transformer_value",
    ),
    _log_alone(
        "another model shape",
        lambda: _log(torch_transformer_shape=[8, 4]),
        {"submission_log": "less"},
        "torch_transformer_shape",
    ),
    _log_alone("no time", lambda: _log(time=None), {"submission_log": "less"}, "time"),
    _log_alone(
        "code is no text",
        lambda: _log(torch_transformer_forward=7),
        {"submission_log": "less", MODEL: 0},
        "torch_transformer_forward",
    ),
    _log_alone(
        "code does not parse",
        lambda: _log(torch_transformer_forward="def forward(self, seq:\n  pass"),
        {"submission_log": "less", MODEL: 0},
    ),
    _log_alone(
        "code needs a name",
        lambda: _log(
            torch_transformer_forward="    def forward(self, seq):\n        return my_attention(seq, self)\n"
        ),
        {"submission_log": "less", MODEL: "less"},
        "my_attention",
        "notebook",
    ),
    _log_alone(
        "infinity",
        lambda: _log(attention_by_position_K=[float("inf"), *_flat_zeros(6)]),
        {"submission_log": "less", POSITION: "less"},
        "attention_by_position_K",
    ),
)
BAD_FILES = FILES + LOGS
