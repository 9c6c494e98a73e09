"""torch without the part that the CPU has no use for: it comes in when asked for, and nothing differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox.calls import Answer, Cell, Forward, Sizes
from autograder.sandbox.host import ForkServer
from tests.sandbox.test_calls import MODEL, expected_output, sequence, weights

ROOT = Path(__file__).resolve().parents[2]
SIZES = Sizes(input_dim=3, qk_dim=4, v_dim=2, pos_dim=None, max_seq_len=6)
START = """
import sys
from autograder.sandbox.worker import torch_import
torch_import.import_torch()
import torch
PART = ("torch._meta_registrations", "torch._decomp", "torch._prims", "torch._refs")
"""


def run(program: str) -> str:
    """What a program prints in an interpreter of its own, in which torch was imported that way."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_part_is_not_imported_by_what_a_model_does() -> None:
    program = """
from torch import nn
torch.manual_seed(0)
layer, table = nn.Linear(3, 2, bias=False), nn.Embedding(4, 3)
torch.softmax(layer(table(torch.arange(4))), dim=-1).sum().backward()
nn.functional.scaled_dot_product_attention(*[torch.randn(4, 3, requires_grad=True)] * 3).sum().backward()
torch.einsum("ij,kj->ik", torch.eye(3), torch.randn(2, 3, generator=torch.Generator().manual_seed(1)))
print([name for name in PART if name in sys.modules])
"""
    assert run(program) == "[]\n"


@pytest.mark.parametrize(
    "asks",
    [
        "import torch._refs",
        "torch._prims",
        "from torch import _decomp",
        "import torch._prims.rng_prims",
        "torch.broadcast_shapes((2, 1), (1, 3))",
        "import torch.utils._content_store",
        "torch.func.vmap(torch.sin)(torch.ones(2))",
        "torch_import.complete()",
    ],
)
def test_whoever_asks_for_the_part_gets_all_of_it_once(asks: str) -> None:
    program = f"""
{asks}
assert all(name in sys.modules for name in PART)
assert not [finder for finder in sys.meta_path if "torch" in type(finder).__module__]
import torch.utils._content_store
for module in [module for name, module in sys.modules.items() if name.startswith("torch._refs")]:
    assert module.__spec__.loader.get_filename(module.__name__) == module.__file__
torch_import.complete()
print(torch._refs.sin(torch.zeros(1)).item(), torch.Generator().manual_seed(1).initial_seed())
"""
    assert run(program) == "0.0 1\n"


def test_a_tensor_on_the_meta_device_has_its_operators(fork_server: ForkServer) -> None:
    source = MODEL.replace(
        "        super().__init__()",
        "        super().__init__()\n        torch.dot(*torch.empty(2, 3, device='meta'))",
    )
    assert source != MODEL
    call = Forward(SIZES, weights(SIZES), sequence())
    answer = fork_server.run([Cell("cell 1", source)], [call]).outcomes[0]
    assert isinstance(answer, Answer)
    np.testing.assert_allclose(answer.arrays["output"], expected_output(SIZES, sequence()), rtol=1e-4)
