"""The jail is fair: honest code of every style gives the same on every machine, jailed fully or hardly."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import grade
from autograder.sandbox.calls import Answer
from autograder.sandbox.jail.confine import environment_paths, prepare

from .base import CALLS, Files, Row, World, filled, honest, log, program
from .machines import MACHINES, Machine, fork_server_on

pytestmark = pytest.mark.slow

SDPA = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos(torch.arange(len(seq)))], dim=-1)
        q, k, v = (layer(seq)[None] for layer in (self.Qm, self.Km, self.Vm))
        return nn.functional.scaled_dot_product_attention(q, k, v)[0]
"""
EINSUM = """\
    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:len(seq)]], dim=-1)
        scores = torch.einsum('qd,kd->qk', self.Qm(seq), self.Km(seq)) / self.qk_dim ** 0.5
        return torch.einsum('qk,kv->qv', scores.softmax(-1), self.Vm(seq))
"""
STYLES: dict[str, Files] = {
    "plain": honest(),
    "scaled_dot_product_attention": honest(forward=SDPA),
    "einsum": honest(forward=EINSUM),
    "the log alone": {"submission_log.json": log()},
    "torch.compile": honest(after="PytorchTransformer = torch.compile(PytorchTransformer)"),
    "a file that cannot be written": honest(
        after="torch.save(torch.ones(3), 'weights.pt')\nopen('notes.txt', 'w').write('x')"
    ),
}
IN_ROOTS_HOME = prepare(environment_paths()).unreachable
WAYS = {
    "threads": "done = []\nthreads = [threading.Thread(target=done.append, args=(n,)) for n in range(4)]\n"
    "for t in threads: t.start()\nfor t in threads: t.join()\nassert sorted(done) == [0, 1, 2, 3]",
    "a pool of threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(4) as pool: assert list(pool.map(abs, [-1, -2])) == [1, 2]",
    "more threads for torch": "torch.set_num_threads(2)\n"
    "assert (torch.ones(300, 300) @ torch.ones(300, 300)).sum() > 0",
    "a data loader": "from torch.utils.data import DataLoader\n"
    "assert len(list(DataLoader(torch.ones(8, 2), batch_size=2, shuffle=True, num_workers=0))) == 4",
    "training": "m = nn.Linear(2, 1)\no = torch.optim.Adam(m.parameters())\nfor _ in range(3):\n"
    "    o.zero_grad(); m(torch.ones(4, 2)).pow(2).sum().backward(); o.step()",
    "linear algebra": "np.linalg.inv(np.eye(3)) @ np.linalg.svd(np.eye(3))[0]; np.fft.fft(np.ones(8))\n"
    "torch.linalg.qr(torch.randn(5, 5)); torch.fft.fft(torch.ones(8))",
    "saving into memory": "b = io.BytesIO(); torch.save(torch.ones(3), b); b.seek(0)\n"
    "assert torch.load(b).sum() == 3",
    "timing and sleeping": "t = time.perf_counter(); time.sleep(0.001); assert time.perf_counter() > t",
    "random numbers of the system": "import secrets, uuid; secrets.token_hex(4); uuid.uuid4()",
    "looking around": "os.getcwd(); os.getpid(); os.cpu_count(); sys.version; os.path.exists('x')",
    "dates and patterns": "import datetime, re; datetime.datetime.now(); re.findall('a', 'banana')",
    "attention by torch itself": "nn.MultiheadAttention(4, 2)(*[torch.ones(3, 1, 4)] * 3)",
    "an anomaly detector": "with torch.autograd.detect_anomaly():\n"
    "    torch.ones(2, requires_grad=True).sum().backward()",
    "a warning": "import warnings; warnings.warn('careful')",
}


@pytest.fixture(scope="module")
def everywhere() -> dict[Machine, dict[str, Any]]:
    """On each machine: the results of every style, and what became of the statements of every way."""
    machines = [*MACHINES, Machine.BARE] if len(MACHINES) > 1 else MACHINES
    return {machine: _on(machine) for machine in machines}


def _on(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, fork_server_on(machine) as fork_server:
        for number, (name, files) in enumerate(STYLES.items()):
            found[name] = grade(filled(Path(folder, str(number)), files), fork_server).results["tests"]
        for name, code in WAYS.items():
            wrapped = "def way():\n    " + code.replace("\n", "\n    ") + "\nway()"
            found[name] = fork_server.run(program(World(0, "", "", "", ""), Row("", "", wrapped)), CALLS[:2])
    return found


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gets_all_points_and_the_same_results_on_every_machine(
    everywhere: dict[Machine, dict[str, Any]], style: str
) -> None:
    first, *others = [found[style] for found in everywhere.values()]
    assert all(other == first for other in others)
    assert sum(test["score"] for test in first) == 100


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_compute_is_open_on_every_machine(
    everywhere: dict[Machine, dict[str, Any]], way: str
) -> None:
    for machine, found in everywhere.items():
        if IN_ROOTS_HOME and machine in (Machine.OLD_KERNEL, Machine.BARE):
            continue  # there the doctor says what is missing: what is not loaded yet cannot be imported
        statements = found[way].load.statements
        assert [(machine, s.error) for s in statements] == []
        assert all(isinstance(outcome, Answer) for outcome in found[way].outcomes)
