"""A right model written with a newer Python than the one that grades gets all points."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers.answer import Answer
from tests.answers.every import BY_NAME
from tests.answers.upload import LOG, Files, log_alone, log_and_notebook, log_and_script, write

LINE = "        Q, K, V ="
FORWARD = "    def forward(self"
CLASS = "class PytorchTransformer("
NEWER = {
    "strings in an f-string": (
        LINE,
        f"""        d = {{"Q": 1}}
        f"{{d["Q"]}} {{"\\n".join("ab")}}"
{LINE}""",
    ),
    "a type parameter": (FORWARD, f"    def first[T](self, x: T) -> T:\n        return x\n\n{FORWARD}"),
    "a type statement": (CLASS, f"type Rows = torch.Tensor\n\n\n{CLASS}"),
    "exceptions without parentheses": (
        LINE,
        f"        try:\n            pass\n        except TypeError, ValueError:\n            pass\n{LINE}",
    ),
    "a name of typing": (LINE, f"        from typing import override\n{LINE}"),
}


def changed(files: Files, old: str, new: str) -> Files:
    """The files with a change of the code, wherever it stands: as it is, or in JSON."""
    escaped = [json.dumps(text)[1:-1] for text in (old, new)]
    found = {}
    for name, text in files.items():
        if name.endswith(".ipynb"):
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                cell["source"] = "".join(cell["source"]).replace(old, new)
            text = json.dumps(notebook)
        found[name] = text.replace(*escaped) if name == LOG else text.replace(old, new)
    return found


@pytest.mark.parametrize("name", NEWER)
@pytest.mark.parametrize("form", [log_and_notebook, log_and_script])
def test_it_gets_all_points(
    name: str, form: Callable[[Answer], Files], fork_server: ForkServer, tmp_path: Path
) -> None:
    before = form(BY_NAME["plain"])
    files = changed(before, *NEWER[name])
    assert files != before
    graded = grade(write(files, tmp_path / "upload"), fork_server)
    assert graded.results["score"] == 100


def test_a_log_alone_gets_all_points(fork_server: ForkServer, tmp_path: Path) -> None:
    files = changed(log_alone(BY_NAME["plain"]), *NEWER["strings in an f-string"])
    graded = grade(write(files, tmp_path / "upload"), fork_server)
    assert graded.results["score"] == 100
