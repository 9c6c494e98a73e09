"""Section 2: the right model passes each check, and a mistake with a name fails it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autograder.sandbox.host import ForkServer
from tests.answers.every import BY_NAME
from tests.answers.upload import NOTEBOOK, notebook_text
from tests.checks.run import evidence_of, evidence_of_files, full, result

CHECKS = ("2.1", "2.2", "2.3", "2.4", "2.5", "2.6")


@pytest.mark.parametrize("number", CHECKS)
def test_the_right_model_passes(number: str, fork_server: ForkServer) -> None:
    assert full(result(evidence_of("plain", fork_server), number))


@pytest.mark.parametrize(
    ("mistake", "number", "says"),
    [
        ("bias left on", "2.1", "bias=False"),
        ("other layer names", "2.1", "W_k.weight"),
        ("unused weight", "2.1", "extra.weight"),
        ("frozen values", "2.1", "not trainable"),
        ("layers transposed", "2.1", "shape"),
        ("no scale", "2.2", "cases fail"),
        ("softmax over queries", "2.2", "cases fail"),
        ("positions prepended", "2.3", "cases fail"),
        ("positions ignored", "2.3", "cases fail"),
        ("squeezed", "2.4", "not shown"),
        ("loop over queries", "2.5", "over Q"),
        ("comprehension over rows", "2.5", "over Q"),
        ("numpy in the middle", "2.6", "gets no gradient"),
        ("values detached", "2.6", "Vm"),
        ("positions by data", "2.6", "pos"),
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


def test_a_loop_hidden_in_a_helper_is_seen(fork_server: ForkServer) -> None:
    looping = BY_NAME["loop over queries"]
    hidden = replace(
        looping,
        name="hidden",
        before_model="import torch\n\ndef rows(q, k):\n    return [k @ one for one in q]\n",
        forward=looping.forward.split("rows = []")[0]
        + "out = torch.softmax(torch.stack(rows(Q, K)) / math.sqrt(self.d_k), -1) @ V",
    )
    test = result(evidence_of_files({NOTEBOOK: notebook_text(hidden)}, fork_server), "2.5")
    assert test["score"] == 0
    assert "line 4" in test["output"]


def test_a_loop_that_no_source_shows_is_counted(fork_server: ForkServer) -> None:
    looping = BY_NAME["loop over queries"]
    code = "one = lambda q: torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V\n"
    code += "out = torch.stack(eval('[one(q) for q in Q]', {'one': one, 'Q': Q}))\n"
    hidden = replace(looping, name="evaluated", forward=looping.forward.split("rows = []")[0] + code)
    test = result(evidence_of_files({NOTEBOOK: notebook_text(hidden)}, fork_server), "2.5")
    assert test["score"] == 0
    assert "grows with the sequence" in test["output"]
