"""How the student's statements are run, one by one, in `__main__`, and what is told of the others."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.assignment import Task
from autograder.sandbox.calls import (
    Answer,
    Cell,
    LoadReport,
    Raised,
    Refusal,
    Refused,
    StatementFate,
    TaskMatrices,
)
from autograder.sandbox.host import ForkServer
from tests.sandbox.model import HONEST, SHORT, program


def load(fork_server: ForkServer, *sources: str) -> LoadReport:
    cells = [Cell(f"cell {number}", source) for number, source in enumerate(sources, 1)]
    got = fork_server.run(cells, [], SHORT).load
    assert isinstance(got, LoadReport)
    return got


def fates(report: LoadReport) -> list[tuple[str, int, StatementFate]]:
    return [(item.place.label, item.place.line, item.fate) for item in report.statements]


def errors(report: LoadReport) -> list[Raised]:
    return [item.error for item in report.statements if item.error is not None]


def test_a_statement_that_fails_is_recorded_and_the_next_one_runs(fork_server: ForkServer) -> None:
    report = load(fork_server, "x = 1\n1 / 0\nassert x == 1", "\n\ny")
    assert fates(report) == [("cell 1", 2, StatementFate.FAILED), ("cell 2", 3, StatementFate.FAILED)]
    assert [error.type_name for error in errors(report)] == ["ZeroDivisionError", "NameError"]
    assert report.statements[0].place.text == "1 / 0"


@pytest.mark.parametrize("source", ["import sys; sys.exit(1)", "quit()", "raise KeyboardInterrupt"])
def test_leaving_the_program_is_a_failed_statement_like_any_other(
    fork_server: ForkServer, source: str
) -> None:
    report = load(fork_server, source, "1 / 0")
    assert [item.place.label for item in report.statements] == ["cell 1", "cell 2"]


def test_a_package_that_is_not_here_gets_a_stand_in_and_is_told(fork_server: ForkServer) -> None:
    report = load(fork_server, "import no_such_package\nfrom other.part import *\nimport math", "math.pi")
    assert (report.statements, report.absent) == ((), ("no_such_package", "other"))


def test_a_program_that_does_without_a_package_is_told_that_it_is_missing(fork_server: ForkServer) -> None:
    source = "try:\n    import no_such_package\nexcept ImportError:\n    found = False\nassert found is False"
    report = load(fork_server, source)
    assert (report.statements, report.absent) == ((), ())


@pytest.mark.parametrize(
    "source",
    [
        "from typing import Optional, Self, override\nassert override(len)([]) == 0",
        "import numpy as np\nassert (np.Inf, -np.inf) == (np.inf, np.NINF) and np.isnan(np.NaN)",
        "import numpy as np\nassert np.row_stack([[1], [2]]).shape == (2, 1) and np.float_(1) == 1",
        "import numpy as np\nassert np.math.sqrt(4) == 2 and np.eye(2, dtype=np.float).dtype == np.float64",
        "import numpy as np\nassert np.alltrue([1, 2]) and np.int is int and np.in1d([1], [1]).all()",
        "import numpy as np\nassert np.product([2, 3]) == 6 and np.mat('1 2').size == np.round_(1.5)",
    ],
)
def test_names_of_other_versions_are_there(fork_server: ForkServer, source: str) -> None:
    assert errors(load(fork_server, source)) == []


def test_a_cell_with_a_syntax_error_still_gives_what_parses(fork_server: ForkServer) -> None:
    report = load(
        fork_server, "a = 1\nb = \nc = 3\ndef f(:\n    pass\n\nd = 4", "assert (a, c, d) == (1, 3, 4)"
    )
    assert fates(report) == [("cell 1", 2, StatementFate.FAILED), ("cell 1", 4, StatementFate.FAILED)]
    assert {error.type_name for error in errors(report)} == {"SyntaxError"}


@pytest.mark.parametrize(
    "broken",
    [
        "if True:\nx = 1",
        "x = (1,\ny = 2\n",
        "s = '''\nnever closed",
        "  x = 1",
        "x = 1\n\t y = 2",
        "\x00",
        "\ud800",
        "(" * 500,
    ],
)
def test_no_text_keeps_the_other_cells_from_running(fork_server: ForkServer, broken: str) -> None:
    report = load(fork_server, broken, "1 / 0")
    assert fates(report)[-1] == ("cell 2", 1, StatementFate.FAILED)
    assert errors(report)[-1].type_name == "ZeroDivisionError"
    assert len(report.statements) >= 2


def test_a_future_import_in_the_middle_holds_from_there_on(fork_server: ForkServer) -> None:
    later = "def f(x: NoSuchName) -> AlsoNot: pass"
    assert not errors(
        load(fork_server, '"""Setup."""\nimport math\nfrom __future__ import annotations\n' + later, later)
    )
    assert errors(load(fork_server, later))


def test_dataclasses_type_hints_and_getsource_work_as_in_a_notebook(fork_server: ForkServer) -> None:
    setup = (
        "from __future__ import annotations\nimport inspect, typing\nfrom dataclasses import dataclass, field"
    )
    body = (
        "@dataclass\nclass Config:\n    n: int = 3\n"
        "    names: typing.List[str] = field(default_factory=list)\n\n"
        "def twice(x: Config):\n    return 2 * x.n\n\n"
        "assert twice(Config()) == 6 and __name__ == '__main__'\n"
        "assert typing.get_type_hints(twice) == {'x': Config}\n"
        "assert inspect.getsource(twice) == 'def twice(x: Config):\\n    return 2 * x.n\\n'\n"
        "import __main__\nassert __main__.twice is twice"
    )
    assert load(fork_server, setup, body).statements == ()


def test_lines_are_counted_as_python_counts_them(fork_server: ForkServer) -> None:
    report = load(fork_server, "x = '\u2028 \x0c'\r\n\x0c\r1 / 0")
    assert fates(report) == [("cell 1", 3, StatementFate.FAILED)]
    assert report.statements[0].place.text == "1 / 0"


def test_training_and_what_depends_on_it_is_skipped(fork_server: ForkServer) -> None:
    report = load(
        fork_server,
        "def train_loop(): 1 / 0\ndef all_of_it(): return train_loop()",
        "model, loss = train_loop()\nprint(loss)\n"
        "x = loss * 2\nprint(x)\nif loss > 1: compare_transformers(model)",
    )
    assert fates(report) == [("cell 2", line, StatementFate.SKIPPED) for line in (1, 2, 3, 4, 5)]


def test_a_script_under_main_loses_only_its_training(fork_server: ForkServer) -> None:
    script = "if __name__ == '__main__':\n    a = 1\n    train_loop()\n    b = a + 1\n"
    report = load(fork_server, script, "assert b == 2")
    assert fates(report) == [("cell 1", 3, StatementFate.SKIPPED)]


def test_a_statement_that_takes_too_long_is_stopped_and_what_is_cheap_follows(
    fork_server: ForkServer,
) -> None:
    report = load(fork_server, "while True: pass", "x = []\nx.append(1)\nassert x == [1]")
    assert fates(report) == [("cell 1", 1, StatementFate.STOPPED)]
    assert report.is_cut
    assert not report.definitions_only


def test_many_statements_that_take_too_long_leave_definitions_alone(fork_server: ForkServer) -> None:
    report = load(fork_server, *["while True: pass"] * 40, "def f(): pass\nx = 1")
    assert fates(report)[0] == ("cell 1", 1, StatementFate.STOPPED)
    assert fates(report)[-1] == ("cell 41", 2, StatementFate.NOT_RUN)
    assert report.definitions_only


def test_an_exception_handler_does_not_catch_the_stop(fork_server: ForkServer) -> None:
    report = load(fork_server, "while True:\n    try:\n        abs(1)\n    except Exception:\n        pass")
    assert [item.fate for item in report.statements] == [StatementFate.STOPPED]


def test_the_log_that_cannot_be_written_here_is_no_failure(fork_server: ForkServer) -> None:
    report = load(
        fork_server,
        "import json\nwith open('submission_log.json', 'w') as f:\n    json.dump({}, f)",
        "open('/etc/other', 'w')",
    )
    assert [item.place.label for item in report.statements] == ["cell 2"]


def test_plots_and_notebook_helpers_go_nowhere(fork_server: ForkServer) -> None:
    source = """
import matplotlib, numpy as np, seaborn as sns
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib import cm, colors as mcolors
from mpl_toolkits.axes_grid1 import make_axes_locatable
from IPython.display import display, HTML
from google.colab import files, drive
from typing import Optional
from tqdm.auto import tqdm, trange
import tqdm as progress
matplotlib.use('Agg')
plt.rcParams['figure.figsize'] = [20, 5]
fig, axs = plt.subplots(nrows=1, ncols=8)
fig, (left, (upper, lower)) = plt.subplots(1, 2)
axs[1].imshow(np.eye(2), cmap=cm.viridis)
for ax in axs.flat: ax.set_title('x')
for ax, title in zip(axs, 'ab'): ax.set_title(title)
with plt.style.context('ggplot'): plt.show()
def draw(ax: Optional[Axes] = None, other: 'Axes | None' = None) -> Axes | None: return ax
class Mine(Axes): pass
assert not isinstance(3, Axes)
assert list(tqdm([1, 2], desc='x')) == [1, 2] and list(trange(3)) == [0, 1, 2]
assert list(progress.tqdm('ab')) == ['a', 'b']
with tqdm(total=3) as bar: bar.update(1)
sns.set_theme(); display(fig); files.download('submission_log.json')
get_ipython().run_line_magic('matplotlib', 'inline')
color = 0.5 * cm.Reds(0.3)
"""
    assert load(fork_server, source).statements == ()


def test_an_optimizer_and_a_compiled_function_work(fork_server: ForkServer) -> None:
    source = """
import torch
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = layer(torch.ones(1, 2)).pow(2).sum()
    loss.backward()
    optimizer.step()
assert torch.compile(lambda x: x + 1)(torch.ones(1)) == 2
"""
    got = fork_server.run([Cell("cell 1", source)], [])  # the optimizer imports a second's worth of torch
    assert isinstance(got.load, LoadReport)
    assert got.load.statements == ()


def test_the_classes_are_told_in_order(fork_server: ForkServer) -> None:
    report = load(
        fork_server, "from torch import nn\nclass B(nn.Module): pass\nclass A(B): pass\nclass C: pass"
    )
    assert report.classes == ("B", "A")


def test_a_forged_module_name_or_class_name_does_no_harm(fork_server: ForkServer) -> None:
    hostile = (
        "class M(type):\n    def __getattribute__(c, n): raise SystemExit\n"
        "class X(__import__('torch').nn.Module, metaclass=M): pass\n"
        "class Km:\n    __class__ = property(lambda self: 1 / 0)\nKm = Km()\n"
        "class E(NameError):\n    name = property(lambda self: [])\n"
        "    __traceback__ = property(lambda self: 1 / 0)\nraise E()"
    )
    got = fork_server.run(program(beside=hostile), [HONEST])
    assert isinstance(got.load, LoadReport)
    assert isinstance(got.outcomes[0], Answer)


def test_files_cannot_be_read_or_written_outside_the_environment(fork_server: ForkServer) -> None:
    report = load(
        fork_server, "open('/tmp/canary', 'w')", f"open({__file__!r})", "import socket; socket.socket()"
    )
    assert len(report.statements) == 3


def matrices(fork_server: ForkServer, task: Task, *sources: str) -> object:
    cells = [Cell(f"cell {number}", source) for number, source in enumerate(sources, 1)]
    outcome = fork_server.run(cells, [TaskMatrices(task)], SHORT).outcomes[0]
    return {k: v.tolist() for k, v in outcome.arrays.items()} if isinstance(outcome, Answer) else outcome


def test_a_matrix_may_be_a_tensor_a_list_or_hold_integers(fork_server: ForkServer) -> None:
    source = "import numpy as np, torch\nKm = np.eye(3, dtype=int)\nQm = torch.eye(3, requires_grad=True)\n"
    source += "Vm = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nTO_SAVE = {}\nTO_SAVE['attention_by_content'] = 1"
    got = matrices(fork_server, Task.CONTENT, source)
    assert got == dict.fromkeys(("Km", "Qm", "Vm"), np.eye(3).tolist())


def test_annotations_decorators_and_base_classes_of_an_absent_package_work(fork_server: ForkServer) -> None:
    source = """
from typing import Optional
import torch
import pytorch_lightning as pl
from beartype import beartype as typechecker
from jaxtyping import Float, jaxtyped
from fastcore.basics import *
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)
@typechecker
def double(x: Float[torch.Tensor, "n"], y: Optional[Float] = None, z: "Float | None" = None): return 2 * x
@jaxtyped(typechecker=typechecker)
def triple(x): return 3 * x
assert isinstance(torch.ones(1), Float[torch.Tensor, "n"]) and double(1) == 2 and triple(1) == 3
@patch
def forward(self: Model, x): return self.layer(x)
assert Model()(torch.ones(1, 1)).shape == (1, 1)
"""
    report = load(fork_server, source)
    assert (report.statements, report.absent) == (
        (),
        ("pytorch_lightning", "beartype", "jaxtyping", "fastcore"),
    )


@pytest.mark.parametrize("made", ["absent.make(3)", "np.eye(3) @ absent.make(3)", "np.exp(absent.make(3))"])
def test_a_matrix_that_an_absent_package_makes_says_so(fork_server: ForkServer, made: str) -> None:
    source = f"import numpy as np, absent\nKm = np.eye(3)\nKm = {made}\nQm = Vm = np.eye(3)\n" + STORE
    got = fork_server.run([Cell("cell 1", source)], [TaskMatrices(Task.CONTENT)]).outcomes[0]
    told = "Km is something made with absent, which the grader does not have"
    assert got == Refused(Refusal.NOT_NUMERIC, told)


def test_a_matrix_that_needs_numbers_of_an_absent_package_is_not_known(fork_server: ForkServer) -> None:
    source = "import numpy as np, absent\nKm = Qm = Vm = np.eye(3)\nKm = np.array(absent.make(3))\n" + STORE
    got = fork_server.run([Cell("cell 1", source)], [TaskMatrices(Task.CONTENT)]).outcomes[0]
    assert got == Refused(Refusal.NOT_KNOWN, "Km")


STORE = "TO_SAVE = {}\nTO_SAVE['attention_by_content'] = 1"
SLOW = "def train():\n    while True: pass\n"


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        (["model = train()", "Km = np.zeros((3, 3))\nnp.fill_diagonal(Km, 2)"], True),
        (["Km = train()"], False),
        (["W = train()", "Km = 2 * W"], False),
        (["for i in range(3):\n    Km[i, i] = 2\n    train()"], False),
        (["Km[0, 0] = train()", "Km[1, 1] = 2"], False),
        (["Km[0, 0] = train()", "Km = np.eye(3)"], True),
    ],
)
def test_after_the_time_limit_matrices_are_whole_or_not_known(
    fork_server: ForkServer, cells: list[str], known: bool
) -> None:
    sources = ["import numpy as np\nKm = Qm = Vm = np.eye(3)\n" + SLOW, *cells, STORE]
    program = [Cell(f"cell {i}", source) for i, source in enumerate(sources)]
    got = fork_server.run(program, [TaskMatrices(Task.CONTENT)], SHORT).outcomes[0]
    assert isinstance(got, Answer) if known else got == Refused(Refusal.NOT_KNOWN, "Km")


def test_a_loop_over_plots_runs_its_body(fork_server: ForkServer) -> None:
    source = """
import matplotlib.pyplot as plt
fig, axs = plt.subplots(2, 2)
pairs = [(i, ax) for i, ax in enumerate(axs.flat)]
assert len(pairs) == 4 and [m for ax, m in zip(fig.subplots(1, 3), 'KQV')] == ['K', 'Q', 'V']
one, ax = plt.subplots()
ax.plot([1])
"""
    assert load(fork_server, source).statements == ()
