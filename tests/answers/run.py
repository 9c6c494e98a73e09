"""Runs a notebook as its student did, training cut short, and gives the log that it writes."""

from __future__ import annotations
import __future__

import ast
import contextlib
import io
import json
import linecache
import random
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch

from tests.answers.answer import Answer, Draft

STEPS = re.compile(r"10_?001\b")
PLOTS = ("matplotlib", "matplotlib.pyplot", "matplotlib.axes", "matplotlib.figure")


def log_of(answer: Answer) -> str:
    """submission_log.json of an answer, as text; the time in it is always the same."""
    saved = dict(_run(answer).namespace["TO_SAVE"], time=1_700_000_000.5)
    return json.dumps(saved)


@cache
def _run(answer: Answer) -> _Run:
    run = _Run(answer.like_jupyter)
    with _surroundings(run):
        for draft in in_turn(answer.drafts()):
            run.cell(draft)
    return run


def in_turn(drafts: Sequence[Draft]) -> list[Draft]:
    """The code cells that were run, in the order in which they were."""
    turns = [(float(i) if d.turn is None else d.turn, i, d) for i, d in enumerate(drafts) if d.is_code]
    return [draft for turn, _, draft in sorted(turns, key=lambda each: each[:2]) if turn >= 0]


class _Run:
    """A kernel: variables and compiler flags that stay from cell to cell."""

    def __init__(self, like_jupyter: bool) -> None:
        self.module = ModuleType("answer")  # dataclasses look their module up
        self.namespace = vars(self.module)
        self.namespace["open"] = mock.mock_open()
        self._flags = 0
        self._count = 0
        self._like_jupyter = like_jupyter

    def cell(self, draft: Draft) -> None:
        self._count += 1
        source = STEPS.sub("2", without_magics(draft.source))
        name = f"<answer cell {self._count}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        with contextlib.suppress(SyntaxError):
            for statement in ast.parse(source).body:
                if not self._statement(statement, name) and self._like_jupyter:
                    return

    def _statement(self, statement: ast.stmt, name: str) -> bool:
        code = compile(ast.Module([statement], []), name, "exec", self._flags, dont_inherit=True)
        self._flags |= code.co_flags & __future__.annotations.compiler_flag
        try:
            exec(code, self.namespace)
        except Exception:
            return False
        return True


def without_magics(source: str) -> str:
    """The source with lines for the shell or for IPython left blank."""
    lines = source.splitlines()
    return "\n".join(
        "pass" if line.lstrip().startswith(("%", "!")) and line[0] in "%!" else line for line in lines
    )


@contextlib.contextmanager
def _surroundings(run: _Run) -> Iterator[None]:
    """No prints, no plots; generators and the default dtype as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_default_dtype()
    stubs: dict[str, Any] = {name: mock.MagicMock() for name in PLOTS}
    stubs["answer"] = run.module
    stubs["matplotlib"].pyplot = stubs["matplotlib.pyplot"]
    stubs["matplotlib.pyplot"].subplots.return_value = (mock.MagicMock(), [mock.MagicMock()] * 3)
    before = {name: sys.modules.get(name) for name in stubs}
    sys.modules.update(stubs)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        # Only these: what else was imported meanwhile stays, as parts of torch take a second each time.
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_default_dtype(states[3])
