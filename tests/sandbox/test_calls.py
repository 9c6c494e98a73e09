"""Every call on an honest model, and every refusal of one that is not."""

from __future__ import annotations

import numpy as np
import pytest

from autograder.sandbox.calls import (
    Answer,
    Call,
    Cell,
    Describe,
    Forward,
    Gradients,
    Outcome,
    Raised,
    RecordedOutput,
    Refusal,
    Refused,
    Sizes,
    Weights,
)
from autograder.sandbox.host import ForkServer

SIZES = Sizes(input_dim=3, qk_dim=4, v_dim=2, pos_dim=2, max_seq_len=6)
PLAIN = Sizes(input_dim=3, qk_dim=4, v_dim=2, pos_dim=None, max_seq_len=6)

MODEL = """
import torch
import torch.nn as nn

class PytorchTransformer(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        width = input_dim + (pos_dim or 0)
        self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim else None
        self.Km = nn.Linear(width, qk_dim, bias=False)
        self.Qm = nn.Linear(width, qk_dim, bias=False)
        self.Vm = nn.Linear(width, v_dim, bias=False)

    def forward(self, seq):
        seq_len = len(seq)
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=1)
        Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
        out = torch.softmax(Q @ K.T / K.shape[1] ** 0.5, dim=-1) @ V
        return out
"""


def weights(sizes: Sizes) -> Weights:
    rng = np.random.default_rng(5)
    pos = None if sizes.pos_dim is None else rng.normal(size=(sizes.max_seq_len, sizes.pos_dim))
    wide = (sizes.total_dim, sizes.qk_dim)
    return Weights(rng.normal(size=wide), rng.normal(size=wide), rng.normal(size=(wide[0], sizes.v_dim)), pos)


def sequence(seq_len: int = 5) -> np.ndarray:
    return np.random.default_rng(6).normal(size=(seq_len, 3))


def outcome(fork_server: ForkServer, source: str, call: Call) -> Outcome:
    return fork_server.run([Cell("cell 1", source)], [call]).outcomes[0]


def changed(old: str, new: str) -> str:
    assert old in MODEL
    return MODEL.replace(old, new)


def expected_output(sizes: Sizes, seq: np.ndarray) -> np.ndarray:
    w = weights(sizes)
    if w.pos is not None:
        seq = np.concatenate([seq, w.pos[: len(seq)]], axis=1)
    scores = np.exp((seq @ w.Qm) @ (seq @ w.Km).T / np.sqrt(sizes.qk_dim))
    return scores / scores.sum(axis=1, keepdims=True) @ (seq @ w.Vm)


@pytest.mark.parametrize("sizes", [SIZES, PLAIN])
def test_forward_gives_the_output_for_the_weights_that_were_sent(
    fork_server: ForkServer, sizes: Sizes
) -> None:
    got = outcome(fork_server, MODEL, Forward(sizes, weights(sizes), sequence()))
    assert isinstance(got, Answer)
    assert got.arrays["output"].dtype == np.float32
    np.testing.assert_allclose(got.arrays["output"], expected_output(sizes, sequence()), rtol=1e-4, atol=1e-6)


def test_describe_tells_trainable_frozen_and_buffer_apart(fork_server: ForkServer) -> None:
    source = changed(
        "        self.Qm =",
        "        self.register_buffer('scale', torch.ones(()))\n        self.Qm =",
    )
    source = source.replace(
        "    def forward", "        self.Qm.weight.requires_grad = False\n\n    def forward"
    )
    got = outcome(fork_server, source, Describe(SIZES))
    assert isinstance(got, Answer)
    assert {name: tuple(shape) for name, shape in got.arrays.items()} == {
        "buffer scale": (),
        "trainable pos.weight": (6, 2),
        "trainable Km.weight": (4, 5),
        "frozen Qm.weight": (4, 5),
        "trainable Vm.weight": (2, 5),
    }


def test_lazy_layers_have_the_shapes_that_their_first_call_gives_them(fork_server: ForkServer) -> None:
    source = MODEL.replace("nn.Linear(width, ", "nn.LazyLinear(")
    assert source.count("LazyLinear") == 3
    got = outcome(fork_server, source, Describe(SIZES))
    assert isinstance(got, Answer)
    shapes = {name: tuple(shape) for name, shape in got.arrays.items()}
    assert shapes["trainable Km.weight"] == (4, 5)
    assert shapes["trainable Vm.weight"] == (2, 5)


def test_gradients_come_in_the_orientation_of_numpy(fork_server: ForkServer) -> None:
    upstream = np.ones((5, 2))
    got = outcome(fork_server, MODEL, Gradients(SIZES, weights(SIZES), sequence(), upstream))
    assert isinstance(got, Answer)
    shapes = {name: array.shape for name, array in got.arrays.items()}
    assert shapes == {"Km": (5, 4), "Qm": (5, 4), "Vm": (5, 2), "pos": (6, 2)}
    np.testing.assert_allclose(got.arrays["pos"][5], 0)


def test_a_detached_weight_has_no_gradient(fork_server: ForkServer) -> None:
    source = changed("self.Km(seq), ", "self.Km(seq).detach(), ")
    got = outcome(fork_server, source, Gradients(PLAIN, weights(PLAIN), sequence(), np.ones((5, 2))))
    assert isinstance(got, Answer)
    assert set(got.arrays) == {"Qm", "Vm"}


def test_an_output_without_a_graph_is_refused(fork_server: ForkServer) -> None:
    source = changed("return out", "return out.detach()")
    got = outcome(fork_server, source, Gradients(PLAIN, weights(PLAIN), sequence(), np.ones((5, 2))))
    assert got == Refused(Refusal.NO_GRADIENT, "")


def test_gradients_of_an_output_of_the_wrong_shape_are_an_error(fork_server: ForkServer) -> None:
    source = changed("return out", "return out[:1]")
    got = outcome(fork_server, source, Gradients(PLAIN, weights(PLAIN), sequence(), np.ones((5, 2))))
    assert isinstance(got, Raised)
    assert "(1, 2)" in got.message
    assert "(5, 2)" in got.message


def operations(fork_server: ForkServer, source: str) -> list[int]:
    """How many operations make the output of 3 tokens and of 6."""
    calls = [Forward(PLAIN, weights(PLAIN), sequence(length)) for length in (3, 6)]
    outcomes = fork_server.run([Cell("model.py", source)], calls).outcomes
    assert all(isinstance(each, Answer) for each in outcomes)
    return [int(each.arrays["operations"][0]) for each in outcomes if isinstance(each, Answer)]


def test_a_vectorized_model_makes_its_output_by_as_many_operations_at_any_length(
    fork_server: ForkServer,
) -> None:
    short, long = operations(fork_server, MODEL)
    assert 5 < short == long


NOT_COUNTED = {
    "rows that are printed": "for row in out:\n            print(row, row.sum() * 2)\n        return out",
    "an assertion per row": "assert all(row.sum() < 1e9 for row in out)\n        return out",
    "rows that are kept": "self.kept = [row * 2 for row in out]\n        return out",
}
COUNTED = {
    "a comprehension": "return torch.stack([row + 0 for row in out])",
    "map": "return torch.stack(list(map(torch.exp, out)))",
    "another thread": "rows = []\n        import threading\n"
    "        t = threading.Thread(target=lambda: rows.extend(row + 0 for row in out))\n"
    "        t.start()\n        t.join()\n        return torch.stack(rows)",
    "no dispatch": "with torch._C._DisableTorchDispatch():\n"
    "            return torch.stack([row + 0 for row in out])",
    "NumPy": "return torch.tensor([[float(x) for x in row] for row in out.detach().numpy()])",
    "no gradients": "with torch.no_grad():\n            return torch.stack([row + 0 for row in out])",
}


@pytest.mark.parametrize("how", NOT_COUNTED)
def test_what_does_not_make_the_output_is_not_counted(how: str, fork_server: ForkServer) -> None:
    short, long = operations(fork_server, changed("return out", NOT_COUNTED[how]))
    assert short == long == operations(fork_server, MODEL)[0]


@pytest.mark.parametrize("how", COUNTED)
def test_a_loop_makes_the_output_of_a_longer_sequence_by_more_operations(
    how: str, fork_server: ForkServer
) -> None:
    short, long = operations(fork_server, changed("return out", COUNTED[how]))
    assert short < long


def test_numbers_that_older_versions_of_torch_drew_are_given_too(fork_server: ForkServer) -> None:
    lines = MODEL.splitlines()
    last = max(i for i, text in enumerate(lines) if "self.Vm = " in text)
    indent = lines[last][: len(lines[last]) - len(lines[last].lstrip())]
    lines.insert(last + 1, f"{indent}torch.nn.init.trunc_normal_(self.Km.weight, std=0.02)")
    got = outcome(fork_server, "\n".join(lines), RecordedOutput(1998, SIZES, 3))
    assert isinstance(got, Answer)
    assert got.arrays["older"].shape == got.arrays["output"].shape
    assert not np.allclose(got.arrays["older"], got.arrays["output"])


def test_the_recorded_output_depends_on_the_order_of_the_layers(fork_server: ForkServer) -> None:
    call = RecordedOutput(1998, Sizes(7, 4, 3, 2, 9), 8)
    other = MODEL.replace("self.Km = ", "self.Tm = ").replace("self.Qm = ", "self.Km = ")
    first = outcome(fork_server, MODEL, call)
    second = outcome(fork_server, other.replace("self.Tm = ", "self.Qm = "), call)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert first.arrays["output"].dtype == np.float64
    assert tuple(first.arrays["shape"]) == (8, 3)
    assert not np.allclose(first.arrays["output"], second.arrays["output"])


@pytest.mark.parametrize(
    ("returned", "detail"),
    [
        ("None", "None"),
        ("(out, Q)", "a tuple of 2"),
        ("[out]", "a list of 1"),
        ("out.detach().numpy()", "a NumPy array of shape (5, 2)"),
        ("0.5", "a float"),
    ],
)
def test_what_is_no_tensor_is_refused_by_what_it_is(
    fork_server: ForkServer, returned: str, detail: str
) -> None:
    got = outcome(
        fork_server, changed("return out", f"return {returned}"), Forward(PLAIN, weights(PLAIN), sequence())
    )
    assert got == Refused(Refusal.NOT_A_TENSOR, detail)


@pytest.mark.parametrize(("method", "name"), [("long", "int64"), ("bool", "bool"), ("cfloat", "complex64")])
def test_a_tensor_of_anything_but_floats_is_refused(fork_server: ForkServer, method: str, name: str) -> None:
    got = outcome(
        fork_server,
        changed("return out", f"return out.{method}()"),
        Forward(PLAIN, weights(PLAIN), sequence()),
    )
    assert got == Refused(Refusal.BAD_DTYPE, name)


@pytest.mark.parametrize(
    ("returned", "dtype"),
    [
        ("out.double()", np.float64),
        ("out.half()", np.float16),
        ("out.bfloat16()", np.float32),
        ("nn.Parameter(out)", np.float32),
        ("out.T.contiguous().T", np.float32),
    ],
)
def test_any_floating_tensor_is_taken(fork_server: ForkServer, returned: str, dtype: type) -> None:
    got = outcome(
        fork_server, changed("return out", f"return {returned}"), Forward(PLAIN, weights(PLAIN), sequence())
    )
    assert isinstance(got, Answer)
    assert got.arrays["output"].dtype == dtype
    np.testing.assert_allclose(got.arrays["output"], expected_output(PLAIN, sequence()), rtol=0.05, atol=0.05)


def test_a_layer_by_another_name_is_refused_with_the_names_there_are(fork_server: ForkServer) -> None:
    got = outcome(
        fork_server, MODEL.replace("self.Km", "self.keys"), Forward(PLAIN, weights(PLAIN), sequence())
    )
    assert isinstance(got, Refused)
    assert got.reason is Refusal.MISSING_LAYER
    assert "keys.weight" in got.detail


def test_a_layer_of_another_shape_is_refused_with_both_shapes(fork_server: ForkServer) -> None:
    source = changed("self.Km = nn.Linear(width, qk_dim,", "self.Km = nn.Linear(width, qk_dim + 1,")
    got = outcome(fork_server, source, Forward(PLAIN, weights(PLAIN), sequence()))
    assert got == Refused(Refusal.LAYER_SHAPE, "Km.weight is (5, 3), expected (4, 3)")


def test_without_the_class_every_call_on_it_is_refused(fork_server: ForkServer) -> None:
    got = outcome(fork_server, MODEL.replace("PytorchTransformer", "MyModel"), Describe(SIZES))
    assert isinstance(got, Refused)
    assert got.reason is Refusal.NO_CLASS


def test_an_error_comes_with_the_students_own_lines_only(fork_server: ForkServer) -> None:
    source = changed("self.Vm(seq)\n", "self.Vm(seq.T)\n")
    got = outcome(fork_server, source, Forward(PLAIN, weights(PLAIN), sequence()))
    assert isinstance(got, Raised)
    assert got.type_name == "RuntimeError"
    assert [place.text for place in got.trace] == ["Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq.T)"]
    assert got.trace[0].label == "cell 1"


@pytest.mark.parametrize(("shape", "reason"), [("[1] * 9", Refusal.TOO_LARGE), ("(0, 500)", None)])
def test_odd_shapes_are_told_or_refused(fork_server: ForkServer, shape: str, reason: Refusal | None) -> None:
    got = outcome(
        fork_server,
        changed("return out", f"return torch.zeros({shape})"),
        Forward(PLAIN, weights(PLAIN), sequence()),
    )
    assert getattr(got, "reason", None) is reason


def test_an_answer_too_large_to_send_is_refused(fork_server: ForkServer) -> None:
    source = changed("return out", "return torch.zeros(3000, 3000)")
    got = outcome(fork_server, source, Forward(PLAIN, weights(PLAIN), sequence()))
    assert got == Refused(Refusal.TOO_LARGE, "output (3000, 3000)")


def test_answers_that_a_pipe_does_not_hold_arrive_whole_and_in_turn(fork_server: ForkServer) -> None:
    source = changed("return out", "return torch.arange(300_000.0).reshape(300, 1000) + seq.shape[0]")
    calls = [Forward(PLAIN, weights(PLAIN), sequence(seq_len)) for seq_len in (1, 2, 3)]
    found = fork_server.run([Cell("cell 1", source)], calls).outcomes
    for seq_len, got in zip((1, 2, 3), found, strict=True):
        assert isinstance(got, Answer)
        expected = np.arange(300_000, dtype=np.float32).reshape(300, 1000) + seq_len
        np.testing.assert_array_equal(got.arrays["output"], expected)
