"""Section 2: the right model passes each check, and a mistake with a name fails it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from autograder.checks.run import StudentRun
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from tests.answers.every import BY_NAME
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, notebook_text
from tests.checks.run import evidence_of, evidence_of_files, full, result, with_log

CHECKS = ("2.1", "2.2", "2.3", "2.4", "2.5", "2.6")


@pytest.mark.parametrize("number", CHECKS)
def test_the_right_model_passes(number: str, fork_server: ForkServer) -> None:
    assert full(result(evidence_of("plain", fork_server), number))


@pytest.mark.parametrize(
    ("mistake", "number", "says"),
    [
        ("bias left on", "2.1", "bias=False"),
        ("other layer names", "2.1", "Rename self.W_k to self.Km"),
        ("unused weight", "2.1", "extra.weight"),
        ("frozen values", "2.1", "not trainable"),
        ("layers transposed", "2.1", "shape"),
        ("no scale", "2.2", "cases fail"),
        ("softmax over queries", "2.2", "cases fail"),
        ("positions prepended", "2.3", "cases fail"),
        ("positions ignored", "2.3", "cases fail"),
        ("squeezed", "2.4", "See 2."),
        ("loop over queries", "2.5", "grows with the sequence"),
        ("comprehension over rows", "2.5", "line"),
        ("numpy in the middle", "2.6", "gets no gradient"),
        ("values detached", "2.6", "Vm"),
        ("positions by data", "2.6", "pos"),
        ("weights are parameters", "2.1", "make it nn.Linear(…, bias=False)"),
    ],
)
def test_a_named_mistake_fails_the_check_that_is_there_for_it(
    mistake: str, number: str, says: str, fork_server: ForkServer
) -> None:
    test = result(evidence_of(mistake, fork_server), number)
    assert test["score"] == 0
    assert says in test["output"]


def test_hidden_cases_tell_neither_sizes_nor_numbers(fork_server: ForkServer) -> None:
    output = result(evidence_of("no scale", fork_server), "2.4")["output"]
    assert "input_dim" not in output
    assert "got" not in output


def test_of_a_hidden_case_that_raises_the_type_alone_is_told(fork_server: ForkServer) -> None:
    shouting = replace(
        BY_NAME["plain"],
        name="shouting",
        forward="if len(seq) > 11: raise ValueError(f'{seq.shape} {seq}')\n" + BY_NAME["plain"].forward,
    )
    output = result(evidence_of_files({NOTEBOOK: notebook_text(shouting)}, fork_server), "2.4")["output"]
    assert "(it raises ValueError)" in output
    assert not re.search(r"tensor|Size|\d\.\d", output)


FORWARD = BY_NAME["plain"].forward
HIDDEN = "if len(seq) > 11:\n    {}\n" + FORWARD


@pytest.mark.parametrize(
    "line",
    [
        "return torch.zeros(3, int(len(seq) * 7))",
        "return torch.full((len(seq), self.Vm.weight.shape[0]), float('nan'))",
        "seq = seq * 2",
        "raise type(f'{len(seq)}', (Exception,), {})",
        "import os; os._exit(len(seq))",
        "for i in range(len(seq) * 3): seq = (seq + self.Km.weight.sum() * 0) * 1",
    ],
)
def test_nothing_that_a_program_does_with_a_hidden_case_tells_of_it(
    line: str, fork_server: ForkServer
) -> None:
    spying = replace(BY_NAME["plain"], name=line, forward=HIDDEN.format(line))
    evidence = evidence_of_files({NOTEBOOK: notebook_text(spying)}, fork_server)
    for number in ("2.4", "2.5", "2.6"):
        output = result(evidence, number).get("output", "")
        told = output.replace("(allowed: 0.001 relative plus 1e-05)", "")
        told = re.sub(
            r"\d+ of \d+ (cases fail|were not run)|2\.\d|(cell|line) \d+|dimensions of 1|dim=-1", "", told
        )
        assert not re.search(r"\d", told), output


@pytest.mark.parametrize("line", ["while True: pass", "import time; time.sleep(60)"])
def test_a_hidden_case_that_takes_too_long_is_told_of_its_time(line: str, fork_server: ForkServer) -> None:
    slow = replace(BY_NAME["plain"], name=line, forward=HIDDEN.format(line))
    limits = replace(DEFAULT_LIMITS, call_cpu=0.5, wall_factor=4.0)
    evidence = evidence_of_files({NOTEBOOK: notebook_text(slow)}, fork_server, limits)
    output = result(evidence, "2.4")["output"]
    assert "time" in output
    assert "other sizes" not in output
    assert "were not run" in output
    assert not re.search(r"(\d+) of \1 cases fail", output)


def test_a_model_that_cannot_be_built_is_explained_once(fork_server: ForkServer) -> None:
    evidence = evidence_of("blank", fork_server)
    outputs = {number: result(evidence, number)["output"] for number in CHECKS}
    assert [number for number in CHECKS if "see 2.1" not in outputs[number]] == ["2.1"]


def test_buffers_and_weightless_modules_cost_nothing(fork_server: ForkServer) -> None:
    for name in ("scale in a buffer", "layers: weightless beside them"):
        assert full(result(evidence_of(name, fork_server), "2.1"))


def test_a_float64_output_is_right(fork_server: ForkServer) -> None:
    evidence = evidence_of("float64 out", fork_server)
    assert all(full(result(evidence, number)) for number in CHECKS)


VECTORIZED = "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V\n"
ROW = "torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V"
FAIR = {
    "prints rows": "for row in Q:\n    print(row, row.sum() * 2)\n" + VECTORIZED,
    "asserts on rows": VECTORIZED + "for row in out:\n    assert torch.isfinite(row * 2).all()\n",
    "keeps rows for a plot": VECTORIZED + "self.rows = [row * 2 for row in out]\n",
    "a batch of one": "out = torch.stack([torch.softmax(q @ k.T / math.sqrt(self.d_k), -1) @ v "
    "for q, k, v in zip(Q[None], K[None], V[None])])[0]",
    "a branch that never runs": f"if False:\n    out = torch.stack([{ROW} for q in Q])\n" + VECTORIZED,
    "vmap": f"out = torch.vmap(lambda q: {ROW})(Q)",
    "a loop over features": "scores = sum(Q[:, i, None] * K[None, :, i] for i in range(self.d_k))\n"
    "out = torch.softmax(scores / math.sqrt(self.d_k), -1) @ V",
}
LOOPING = {
    "a helper": "def rows(q):\n    return [K @ one for one in q]\n"
    "out = torch.softmax(torch.stack(rows(Q)) / math.sqrt(self.d_k), -1) @ V",
    "no source": f"one = lambda q: {ROW}\n"
    "out = torch.stack(eval('[one(q) for q in Q]', {'one': one, 'Q': Q}))",
    "map": f"out = torch.stack(list(map(lambda q: {ROW}, Q)))",
    "padding to max_seq_len": "n = len(Q)\nP = torch.cat([Q, torch.zeros(self._max_seq_len - n, self.d_k)])\n"
    f"out = torch.stack([{ROW} for q in P])[:n]",
    "padding to 64": f"n = len(Q)\nP = torch.cat([Q, torch.zeros(64 - n, self.d_k)])\n"
    f"out = torch.stack([{ROW} for q in P])[:n]",
    "blocks of 16": "out = torch.cat("
    "[torch.softmax(q @ K.T / math.sqrt(self.d_k), -1) @ V for q in Q.split(16)])",
    "a thread": "import threading\nrows = []\n"
    f"t = threading.Thread(target=lambda: rows.extend({ROW} for q in Q))\n"
    "t.start()\nt.join()\nout = torch.stack(rows)",
    "no dispatch": f"with torch._C._DisableTorchDispatch():\n    out = torch.stack([{ROW} for q in Q])",
    "only when not traced": f"import sys\nout = torch.stack([{ROW} for q in Q])\n"
    "if sys.gettrace():\n    " + VECTORIZED,
    "an autograd.Function": "class Rows(torch.autograd.Function):\n    @staticmethod\n"
    "    def forward(ctx, Q, K, V):\n"
    "        return torch.stack([torch.softmax(K @ q / math.sqrt(Q.shape[1]), 0) @ V for q in Q])\n"
    "    @staticmethod\n    def backward(ctx, g):\n        return g, g, g\nout = Rows.apply(Q, K, V)",
}


def _computed(name: str, code: str, fork_server: ForkServer) -> StudentRun:
    """The run of a forward pass that computes out from Q, K and V so."""
    start = BY_NAME["loop over queries"].forward.split("rows = []")[0]
    answer = replace(BY_NAME["plain"], name=name, before_model="import torch\n", forward=start + code)
    return evidence_of_files({NOTEBOOK: notebook_text(answer)}, fork_server)


@pytest.mark.parametrize("how", FAIR)
def test_what_computes_all_scores_at_once_is_vectorized(how: str, fork_server: ForkServer) -> None:
    assert full(result(_computed(how, FAIR[how], fork_server), "2.5"))


@pytest.mark.parametrize("how", LOOPING)
def test_a_loop_over_queries_costs_the_points_in_whatever_form(how: str, fork_server: ForkServer) -> None:
    test = result(_computed(how, LOOPING[how], fork_server), "2.5")
    assert test["score"] == 0
    assert "one product of all queries with all keys" in test["output"]


def test_the_message_names_the_line_that_makes_the_output(fork_server: ForkServer) -> None:
    code = "for row in Q:\n    print(row * 2)\nrows = []\nfor q in Q:\n" + f"    rows.append({ROW})\n"
    run = _computed("two loops", code + "out = torch.stack(rows)", fork_server)
    label, line = re.findall(r"(cell \[\d+\]), line (\d+)", result(run, "2.5")["output"])[0]
    assert run.submission.program is not None
    (source,) = [cell.source for cell in run.submission.program.cells if cell.label.endswith(label)]
    assert source.split("\n")[int(line) - 1].strip() == f"rows.append({ROW})"


def test_a_crash_with_positions_alone_leaves_2_5_judged_without_them(fork_server: ForkServer) -> None:
    crash = replace(
        BY_NAME["plain"], name="crash", forward="assert self.pos is None\n" + BY_NAME["plain"].forward
    )
    evidence = evidence_of_files({NOTEBOOK: notebook_text(crash)}, fork_server)
    assert full(result(evidence, "2.5"))
    assert not full(result(evidence, "2.3"))


def test_the_right_layers_under_a_second_name_cost_nothing(fork_server: ForkServer) -> None:
    twice = BY_NAME["plain"].layers + "\nself.all = nn.ModuleList([self.Km, self.Qm, self.Vm])"
    evidence = evidence_of_files(
        {NOTEBOOK: notebook_text(replace(BY_NAME["plain"], name="twice", layers=twice))}, fork_server
    )
    assert full(result(evidence, "2.1"))


def test_a_name_that_is_nearly_right_gets_one_line(fork_server: ForkServer) -> None:
    lines = result(evidence_of("other layer names", fork_server), "2.1")["output"].splitlines()
    assert [line.split("Rename ")[1].split(":")[0] for line in lines if line.startswith("- ")] == [
        "self.W_k to self.Km",
        "self.W_q to self.Qm",
        "self.W_v to self.Vm",
    ]
    assert not [line for line in lines if "remove it" in line]


def test_of_a_log_alone_layers_that_a_base_class_makes_are_not_said_to_be_missing(
    fork_server: ForkServer,
) -> None:
    recorded = json.loads(log_of(BY_NAME["plain"]))
    recorded["torch_transformer_init"] = "    def __init__(self, *sizes):\n        super().__init__()\n"
    told = result(evidence_of_files({LOG: json.dumps(recorded)}, fork_server), "2.1")["output"]
    assert "the log does not hold it, your notebook does" in told


def test_a_model_that_passed_the_notebook_s_test_by_luck_is_told_how(fork_server: ForkServer) -> None:
    log = evidence_of("plain", fork_server).submission.log
    assert log is not None
    told = result(with_log(evidence_of("no scale", fork_server), model=log.model), "2.2")["output"]
    assert "The notebook's test may draw qk_dim 1, where no scale is right as well." in told


def test_an_error_that_two_groups_meet_is_told_once(fork_server: ForkServer) -> None:
    evidence = evidence_of("positions added", fork_server)
    assert "Where: " in result(evidence, "2.3")["output"]
    assert result(evidence, "2.4")["output"].startswith("See 2.3: ")
