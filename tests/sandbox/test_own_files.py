"""What a program imports, runs or opens of its own upload, though the jail has no folder."""

from __future__ import annotations

import pytest

from autograder.sandbox.calls import Cell, LoadReport, StatementFate
from autograder.sandbox.host import ForkServer

ATTEND = "def attend(x): return x + 1\nif __name__ == '__main__': ran = True"
FILES = {
    "helpers.py": ATTEND,
    "utils/__init__.py": "from .attention import attend\nfrom . import numbers",
    "utils/attention.py": "from utils.numbers import ONE\ndef attend(x): return x + ONE",
    "utils/numbers.py": "ONE = 1",
    "plain/inner/attention.py": "from ..other import ONE\ndef attend(x): return x + ONE",
    "plain/other.py": "ONE = 1",
    "src/deep.py": "from numbered import attend",
    "src/numbered.py": ATTEND,
    "work.ipynb": ATTEND,
    "same_a.py": "def attend(x): return x + 1",
    "same_b.py": "def attend(x): return -x",
}


def load(fork_server: ForkServer, source: str, *more: Cell) -> LoadReport:
    beside = [Cell(f"{path}, code", text, file=path) for path, text in FILES.items()]
    got = fork_server.run([Cell("code cell 1", source), *beside, *more], []).load
    assert isinstance(got, LoadReport)
    return got


@pytest.mark.parametrize(
    "source",
    [
        "from helpers import attend",
        "from helpers import *",
        "from .helpers import attend",
        "import helpers\nattend = helpers.attend",
        "import helpers as h, math\nattend = h.attend",
        "from utils import attend",
        "from utils.attention import attend",
        "import utils.attention\nattend = utils.attention.attend",
        "from plain.inner.attention import attend",
        "import sys\nsys.path.append('src')\nfrom deep import attend",
        "import importlib\nattend = importlib.import_module('helpers').attend",
        "import import_ipynb\nfrom work import attend",
        "get_ipython().run_line_magic('run', 'helpers.py')\nassert ran",
        "get_ipython().run_line_magic('run', './helpers')\nassert ran",
        "get_ipython().run_line_magic('run', '-i work.ipynb')\nassert ran",
        "exec(open('helpers.py').read())",
        "with open('/content/src/../helpers.py', 'r') as f: exec(f.read())",
        "from pathlib import Path\nexec(Path('utils') .joinpath('../helpers.py').read_text())",
        "exec(compile(open('helpers.py', 'rb').read(), 'helpers.py', 'exec'))",
        "import same_b, same_a\nfrom same_a import attend\nassert same_b.attend(1) == -1",
    ],
)
def test_a_file_of_the_upload_is_found(fork_server: ForkServer, source: str) -> None:
    report = load(fork_server, source + "\nassert attend(1) == 2")
    assert (report.statements, report.absent) == ((), ())


def test_a_file_that_is_saved_in_parts_is_whole(fork_server: ForkServer) -> None:
    parts = [
        Cell("code cell 2", "ONE = 1", file="saved.py"),
        Cell("code cell 3", "TWO = ONE + 1", file="saved.py"),
    ]
    assert load(fork_server, "import saved\nassert saved.TWO == 2", *parts).statements == ()


def test_a_statement_that_fails_in_a_module_costs_only_itself_and_is_told_at_its_line(
    fork_server: ForkServer,
) -> None:
    broken = Cell("broken.py", "A = 1\nB = 1 / 0\nC = 3", file="broken.py")
    report = load(fork_server, "from broken import A, C\nassert (A, C) == (1, 3)", broken)
    (failed,) = report.statements
    assert (failed.place.label, failed.place.line, failed.place.text) == ("broken.py", 2, "B = 1 / 0")
    assert failed.error is not None
    assert [place.label for place in failed.error.trace][-1] == "broken.py"


def test_a_file_that_is_not_in_the_upload_is_a_failure_of_its_statement(fork_server: ForkServer) -> None:
    report = load(fork_server, "get_ipython().run_line_magic('run', 'nowhere.py')\nopen('nowhere.py')")
    assert [item.fate for item in report.statements] == [StatementFate.FAILED] * 2


def test_the_output_of_a_command_is_an_empty_list(fork_server: ForkServer) -> None:
    assert load(fork_server, "x = get_ipython().getoutput('ls')\nassert x == []").statements == ()
