"""An upload is read the way its student ran it: which file, with which modules, is decided by evidence."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Union

import pytest

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers.answer import PLAIN_FORWARD, PLAIN_START, Answer
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, notebook_text

Files = Mapping[str, Union[str, bytes]]

RIGHT = Answer("right")
UNSCALED = Answer("no scale", forward=PLAIN_FORWARD.replace(" / math.sqrt(self.d_k)", ""))
BLANK = Path(__file__).parents[1] / "submissions" / "blank" / NOTEBOOK
ATTEND = """
import math, torch

def attend(Q, K, V):
    return torch.softmax(Q @ K.T / math.sqrt(Q.shape[-1]), dim=-1) @ V
"""
MODEL = f"{ATTEND}\n\nclass Attention(torch.nn.Module):\n    attend = staticmethod(attend)\n"


def by_helper(call: str = "attend", *cells: str) -> str:
    """The right notebook, its attention computed by `call`, and cells in front of all others."""
    notebook = json.loads(notebook_text(Answer("helper", forward=f"{PLAIN_START}out = {call}(Q, K, V)\n")))
    first = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    return json.dumps({**notebook, "cells": [*first, *notebook["cells"]]})


def points(files: Files, folder: Path, sandbox: ForkServer) -> tuple[dict[str, float], str]:
    """What each section earned, and the text above the checks."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    graded = grade(folder, sandbox)
    assert graded.faults == ()
    earned: dict[str, float] = {}
    for test in graded.results["tests"]:
        earned[test["tags"][0]] = earned.get(test["tags"][0], 0.0) + test["score"]
    return earned, graded.results["output"]


def numbered(files: int, name: str, content: str) -> dict[str, str]:
    return {name.format(number): content for number in range(files)}


WHOLE = {"pytorch_transformer": 40, "attention_by_content": 25, "attention_by_position": 25}
NOTEBOOKS: Mapping[str, Callable[[], Files]] = {
    "blank beside, first by name": lambda: {"a.ipynb": BLANK.read_bytes(), "b.ipynb": notebook_text(RIGHT)},
    "blank beside, last by name": lambda: {"b.ipynb": BLANK.read_bytes(), "a.ipynb": notebook_text(RIGHT)},
    "wrong beside, last by name": lambda: {
        "b.ipynb": notebook_text(UNSCALED),
        "a.ipynb": notebook_text(RIGHT),
    },
    "wrong beside, in a folder": lambda: {
        "old/a.ipynb": notebook_text(UNSCALED),
        "a.ipynb": notebook_text(RIGHT),
    },
    "forty notebooks of others": lambda: {
        **numbered(40, "a{}.ipynb", notebook_text(RIGHT).replace("PytorchTransformer", "Net")),
        "z.ipynb": notebook_text(RIGHT),
    },
    "class in a package": lambda: {
        "net/__init__.py": "from .model import PytorchTransformer\n",
        "net/model.py": "\n".join(
            cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            for cell in json.loads(notebook_text(RIGHT))["cells"][:8]
            if cell["cell_type"] == "code"
        ),
        NOTEBOOK: by_helper("attend").replace("class PytorchTransformer", "class Unused"),
    },
}
MODULES: Mapping[str, Callable[[], Files]] = {
    "module": lambda: {"mine.py": ATTEND, NOTEBOOK: by_helper("attend", "from mine import attend")},
    "module by another name": lambda: {
        "mine.py": ATTEND,
        NOTEBOOK: by_helper("m.attend", "import mine as m"),
    },
    "package": lambda: {
        "mine/__init__.py": "from .inner import attend\n",
        "mine/inner.py": ATTEND,
        NOTEBOOK: by_helper("attend", "from mine import attend"),
    },
    "package without __init__": lambda: {
        "mine/inner.py": ATTEND,
        NOTEBOOK: by_helper("attend", "from mine.inner import attend"),
    },
    "in a folder on sys.path": lambda: {
        "src/mine.py": ATTEND,
        NOTEBOOK: by_helper("attend", "import sys\nsys.path.append('src')\nfrom mine import attend"),
    },
    "%run": lambda: {"mine.py": ATTEND, NOTEBOOK: by_helper("attend", "%run mine.py")},
    "%run without ending": lambda: {"mine.py": ATTEND, NOTEBOOK: by_helper("attend", "%run mine")},
    "exec of open": lambda: {
        "mine.py": ATTEND,
        NOTEBOOK: by_helper("attend", "exec(open('mine.py').read())"),
    },
    "%%writefile, then -a": lambda: {
        NOTEBOOK: by_helper(
            "attend",
            "%%writefile mine.py\nimport math, torch\n",
            f"%%writefile -a mine.py\n{ATTEND}",
            "from mine import *",
        )
    },
    "notebook as a module": lambda: {
        "mine.ipynb": json.dumps(
            {
                "nbformat": 4,
                "metadata": {},
                "cells": [{"cell_type": "code", "source": ATTEND, "outputs": []}],
            }
        ),
        NOTEBOOK: by_helper("attend", "import import_ipynb\nfrom mine import attend"),
    },
    "two modules with one name": lambda: {
        "mine.py": ATTEND,
        "other.py": "def attend(Q, K, V):\n    return V\n",
        NOTEBOOK: by_helper("mine.attend", "import mine\nimport other"),
    },
    "other people's module of the same name": lambda: {
        **numbered(25, "hw{}/mine.py", "def attend(Q, K, V):\n    return V\n"),
        "hw99/mine.py": ATTEND,
        f"hw99/{NOTEBOOK}": by_helper("attend", "from mine import attend"),
    },
}


@pytest.mark.parametrize("name", [*NOTEBOOKS, *MODULES])
def test_code_alone_is_graded_as_it_ran(name: str, fork_server: ForkServer, tmp_path: Path) -> None:
    earned, _ = points({**NOTEBOOKS, **MODULES}[name](), tmp_path, fork_server)
    assert {section: earned[section] for section in WHOLE} == WHOLE


RECORDED = log_of(RIGHT)
LOGS: Mapping[str, Callable[[], Files]] = {
    "UTF-16": lambda: {LOG: codecs.BOM_UTF16_LE + RECORDED.encode("utf-16-le")},
    ".txt": lambda: {"submission_log.txt": RECORDED},
    "among thirty other files": lambda: {LOG: RECORDED, **numbered(30, "a{}.json", "{}")},
    "notebook that fails": lambda: {
        LOG: RECORDED,
        NOTEBOOK: notebook_text(Answer("x", forward="return 1 / 0")),
    },
    "notebook of an older state": lambda: {LOG: RECORDED, NOTEBOOK: notebook_text(UNSCALED)},
    "helper in a module, no notebook": lambda: {
        LOG: json.dumps(
            json.loads(RECORDED)
            | {
                "torch_transformer_forward": json.loads(RECORDED)["torch_transformer_forward"].replace(
                    "torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V", "attend(Q, K, V)"
                )
            }
        ),
        "mine.py": ATTEND,
    },
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_counts_under_any_name_and_so_does_the_class_it_records(
    name: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    earned, _ = points(LOGS[name](), tmp_path, fork_server)
    assert sum(earned.values()) == 100


def test_a_log_without_an_ending_is_read_but_counts_as_handed_in_under_its_name_alone(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    earned, output = points({"submission_log": RECORDED}, tmp_path, fork_server)
    assert earned == {**dict.fromkeys(earned, 0), **WHOLE}
    assert output.startswith("Start with 1.1: submission_log has no ending; that also explains 1.2, 1.3.")


def test_what_is_said_of_the_choice_names_the_reading_that_was_graded(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    files = {LOG: RECORDED, NOTEBOOK: notebook_text(UNSCALED)}
    _, output = points(files, tmp_path, fork_server)
    assert f"the class that {LOG} records, chosen because of what you uploaded it passes the most" in output


def test_a_worse_reading_is_never_taken_and_a_blank_one_earns_nothing(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    files = {"a.ipynb": BLANK.read_bytes(), "b.ipynb": notebook_text(UNSCALED)}
    earned, output = points(files, tmp_path, fork_server)
    assert earned["pytorch_transformer"] == 10
    assert "Code: b.ipynb" in output


def test_a_class_mended_below_its_test_and_not_tested_again_counts(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    failing = 'raise ValueError("the two transformers differ")'
    text = notebook_text(UNSCALED).replace(json.dumps(failing)[1:-1], "print(1)")
    assert "print(1)" in text
    tested = json.loads(text)
    mended = json.loads(notebook_text(RIGHT))
    below = next(cell for cell in mended["cells"] if "class PytorchTransformer" in "".join(cell["source"]))
    source = "".join(below["source"]).rsplit("test()", 1)[0]
    tested["cells"].append({**below, "source": source, "execution_count": 99})
    earned, output = points({NOTEBOOK: json.dumps(tested)}, tmp_path, fork_server)
    assert {section: earned[section] for section in WHOLE} == WHOLE
    assert f"PytorchTransformer stands at the end of {NOTEBOOK} otherwise than tested" in output


def test_who_passes_at_once_pays_for_no_other_reading(
    fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    really = ForkServer.run
    monkeypatch.setattr(
        ForkServer, "run", lambda self, *args, **kwargs: runs.append(1) or really(self, *args, **kwargs)
    )
    points(
        {"b.ipynb": notebook_text(RIGHT), "a.ipynb": notebook_text(UNSCALED), LOG: RECORDED},
        tmp_path,
        fork_server,
    )
    assert len(runs) == 1
