"""The model is called in the state of the program in which the notebook tested it."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.sandbox.calls import Answer, Cell, Forward, Moment, Sizes, Weights
from autograder.sandbox.host import ForkServer

IMPORTS = "import numpy as np, torch\nfrom torch import nn\nimport torch.nn.functional as F\nTO_SAVE = {}"
MODEL = """
scale = 1.0
settings = {"scale": 1.0}
def helper(x): return x * 1.0
class PytorchTransformer(nn.Module):
    factor = 1.0
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        for name in ("Km", "Qm", "Vm"):
            setattr(self, name, nn.Linear(input_dim, v_dim, bias=False))
    def forward(self, seq):
        out = helper(F.relu(self.Vm(seq))) * scale * settings["scale"] * self.factor
        return out * max(1.0, 1.0) * (1.0 if torch.zeros(1).dtype == torch.float32 else 0.0)
"""
TEST = """
def test():
    PytorchTransformer(2, 2, 2)(torch.ones(1, 2))
    TO_SAVE["torch_transformer_value"] = [1]
test()
"""
WRONG = MODEL.replace("seq)\n", "seq)\n        return self.Vm(seq) * 0\n", 1).replace(
    "factor = 1.0", "factor = 0.0"
)
CALL = Forward(Sizes(2, 2, 2, None, 4), Weights(np.eye(2), np.eye(2), np.eye(2)), np.ones((3, 2)))


def is_right(fork_server: ForkServer, *cells: str | Cell, moment: Moment = Moment.TESTED) -> bool:
    program = [c if isinstance(c, Cell) else Cell(f"code cell {i}", c) for i, c in enumerate(cells, 1)]
    (got,) = fork_server.run(program, [CALL], moment=moment).outcomes
    return isinstance(got, Answer) and np.array_equal(got.arrays["output"], np.ones((3, 2), np.float32))


LATER = [
    "F = np.array([1, 0, 1])",
    "max = np.max(np.eye(3))",
    "scale = 10",
    "settings['scale'] = 10",
    "def helper(x): return np.exp(x)",
    "PytorchTransformer.factor = 0",
    "PytorchTransformer.forward = lambda self, seq: seq",
    "PytorchTransformer = None",
    "del PytorchTransformer, helper, torch",
    "for name in list(globals()):\n    if not name.startswith('_'): del globals()[name]",
    "torch.set_default_dtype(torch.float64)",
    "torch.set_grad_enabled(False)",
    WRONG,
]


@pytest.mark.parametrize("later", LATER)
def test_what_a_later_cell_does_has_no_effect(fork_server: ForkServer, later: str) -> None:
    assert is_right(fork_server, IMPORTS, MODEL, TEST, later)


@pytest.mark.parametrize("later", ["scale = 10", "del PytorchTransformer", WRONG])
def test_at_the_end_it_has(fork_server: ForkServer, later: str) -> None:
    assert not is_right(fork_server, IMPORTS, MODEL, TEST, later, moment=Moment.END)


def test_of_two_tests_that_ran_through_the_later_counts(fork_server: ForkServer) -> None:
    assert is_right(fork_server, IMPORTS, WRONG, TEST, MODEL, TEST)
    assert not is_right(fork_server, IMPORTS, MODEL, TEST, WRONG, TEST)


def test_a_test_that_failed_does_not_stand_for_a_class_that_was_mended_below(fork_server: ForkServer) -> None:
    failing = TEST.replace("(torch.ones(1, 2))", "(None)")
    assert is_right(fork_server, IMPORTS, WRONG, failing, MODEL)


def test_without_a_test_the_names_are_those_at_the_class_and_helpers_may_stand_below(
    fork_server: ForkServer,
) -> None:
    helper = "def helper(x): return x * 1.0\n"
    assert is_right(fork_server, IMPORTS, MODEL.replace(helper, ""), helper, "scale = 10\nF = 1")


def test_lines_that_record_the_model_are_a_test_too(fork_server: ForkServer) -> None:
    record = "TO_SAVE['torch_transformer_value'] = PytorchTransformer(2, 2, 2)(torch.ones(1, 2)).tolist()"
    assert is_right(fork_server, IMPORTS, MODEL, record, WRONG, "scale = 10")


@pytest.mark.parametrize("source", [WRONG, WRONG + TEST, "scale = 10", "def helper(x): return 0 * x"])
def test_a_cell_that_was_never_executed_replaces_nothing(fork_server: ForkServer, source: str) -> None:
    never = Cell("code cell 9", source, executed=False)
    assert is_right(fork_server, IMPORTS, MODEL, never)
    assert is_right(fork_server, IMPORTS, MODEL, TEST, never, moment=Moment.END)


def test_a_class_in_a_cell_that_was_never_executed_is_better_than_none(fork_server: ForkServer) -> None:
    assert is_right(fork_server, IMPORTS, Cell("code cell 9", MODEL, executed=False))
