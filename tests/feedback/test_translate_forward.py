"""Errors inside forward, each with the code that provokes it."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from autograder.feedback.wording import endings
from autograder.sandbox.calls import Gradients, Sizes
from tests.feedback.students import ASSERT, FORWARD, SIZES, explained, forward_call, of_forward, source

# What is changed in forward, by what, and what the message has to hold.

SOFTMAX = "torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1)"
POSITIONS = "self.pos.weight[:seq_len]"
IN_FORWARD = {
    "numpy in the middle": ("out = torch", "Q = Q.numpy()\nout = torch", "turned into a NumPy array"),
    "numpy's exp": ("out = torch", "A = np.exp(Q @ K.T)\nout = torch", "turned into a NumPy array"),
    "an array into a layer": ("self.Km(seq)", "self.Km(seq.detach().numpy())", "A NumPy array stands"),
    "an array into cat": (POSITIONS, "np.zeros((seq_len, 5))", "A NumPy array stands"),
    "double": ("self.Km(seq)", "self.Km(seq.double())", "different dtypes"),
    "double keys": ("K.T", "K.T.double()", "different dtypes"),
    "the whole of pos": (POSITIONS, "self.pos.weight", "You append 9 rows of positions to 4 tokens"),
    "positions below": ("dim=-1)\nQ", "dim=0)\nQ", "appended below the input"),
    "one row of pos": (POSITIONS, "self.pos.weight[0]", "2 dimensions is joined with one of 1"),
    "pos as a matrix": (POSITIONS, "self.pos[:seq_len]", "self.pos is a layer"),
    "pos itself": (POSITIONS, "self.pos", "self.pos is a layer"),
    "none into cat": (POSITIONS, "None", "torch.cat is given a NoneType"),
    "pos of the input": (POSITIONS, "self.pos(seq)", "it looks up rows by number"),
    "pos of a number": (POSITIONS, "self.pos(seq_len)", "it takes a tensor of row numbers"),
    "rows that pos lacks": (
        POSITIONS,
        "self.pos(torch.arange(6, 6 + seq_len))",
        "a row that it does not have",
    ),
    "positions not appended": ("seq = torch.cat", "x = torch.cat", "the input without positions"),
    "keys not transposed": ("K.T", "K", "transpose the keys: Q @ K.T"),
    "a weight not transposed": ("self.Km(seq)", "seq @ self.Km.weight", "as nn.Linear keeps it"),
    "values in the scores": ("K.T", "V.T", "the scores are Q @ K.T"),
    "values transposed": (" @ V", " @ V.T", "without a transpose"),
    "queries and keys transposed": ("Q @ K.T", "Q.T @ K.T", "transpose the keys alone"),
    "something else": ("K.T", "torch.zeros(7, 7)", "something of another shape"),
    "a dimension too many": ("dim=-1) @", "dim=2) @", "two dimensions, (seq_len, input_dim)"),
    "a batch unpacked": ("seq_len = seq.shape[0]", "batch, seq_len, d = seq.shape", "two dimensions"),
    "a third index": ("K.T", "K[:, :, 0]", "two dimensions"),
    "bmm": (SOFTMAX + " @ V", f"torch.bmm({SOFTMAX}, V)", "torch.bmm needs a batch dimension"),
    "the input added": (" @ V", " @ V + seq", "combined number by number"),
    "a wrong reshape": (" @ V", " @ V.reshape(7, 7)", "A view or reshape does not fit"),
    "a view of a transpose": (" @ V", " @ V.T.view(4, 6)", "A view or reshape does not fit"),
    "einsum": ("Q @ K.T", "torch.einsum('ij,jk->ik', Q, K)", "The letters of einsum"),
    "a softmax without dim": (", dim=-1) @", ") @", "does not know its dimension"),
    "torch.sqrt of a number": ("math.sqrt(self.d_k)", "torch.sqrt(self.d_k)", "gets a plain number"),
    "a layer as a matrix": ("self.Km(seq)", "seq @ self.Km", "as if it were a matrix"),
    "two layers multiplied": ("Q @ K.T", "self.Qm @ self.Km", "as if it were a matrix"),
    "nn.Softmax of scores": (SOFTMAX, "nn.Softmax(Q @ K.T)", "has to be made before it is called"),
    "T called": ("K.T", "K.T()", "called like a function"),
    "t not called": ("K.T", "K.t", "without being called"),
    "a name of NumPy": ("self.Km(seq)", "self.Km(seq.astype('f'))", "asks for something that is not there"),
    "a method of a tensor": ("Km(seq)", "Km(seq.detach().numpy().unsqueeze(0))", "A NumPy array stands"),
    "cuda": ("self.Km(seq)", "self.Km(seq.cuda())", "There is no GPU here"),
    "an attribute never set": ("self.d_k", "self.qk_dim", "There is no self.qk_dim"),
    "an unknown name": ("self.d_k", "d_k", "d_k has no value here"),
    "F": ("torch.softmax", "F2.softmax", "F2 has no value here"),
    "an assert": ("out =", "assert seq_len == 5\nout =", "An assert in your code"),
    "sys.exit": ("out =", "sys.exit()\nout =", "ends the program"),
    "a file": ("out =", "open('/no/such/file')\nout =", "uses a file"),
    "forward in forward": ("out =", "self.forward(seq[:, :3])\nout =", "calls itself without end"),
    "a missing package": ("out =", "import not_installed_here\nout =", "The package not_installed_here"),
    "a missing part of a package": ("out =", "from torch import no_such_thing\nout =", "This import"),
    "returns nothing": ("return out", "return", "forward returns None."),
    "returns a tuple": ("return out", "return out, Q", "forward returns a tuple of 2"),
    "returns an array": ("return out", "return out.detach().numpy()", "forward returns a NumPy array"),
    "returns a number": ("return out", "return 3", "forward returns an int"),
    "returns integers": ("return out", "return out.long()", "a tensor of int64"),
    "something new": ("out =", "raise KeyError('surprise')\nout =", "Your code raised an error"),
}


@pytest.mark.parametrize("case", IN_FORWARD)
def test_an_error_in_forward_is_explained_with_its_line(case):
    old, new, words = IN_FORWARD[case]
    told = of_forward(old, new)
    assert words in told.headline + told.change
    assert told.change
    if told.said:
        assert re.match(r"code cell 3, line \d+: \S", told.where)


ASSERTED = FORWARD.replace("return out", ASSERT + "return out")


def test_a_transposed_output_meets_the_notebook_s_assert():
    told = explained(source(forward=ASSERTED.replace(" @ V\n", " @ V\nout = out.T\n")))
    assert told.headline == "The output has 6 rows for a sequence of length 4."


def test_the_notebook_s_f_alone():
    code = source(forward=FORWARD.replace("torch.softmax", "F.softmax")).replace(" as F", " as G")
    assert explained(code).headline == "F is not imported."


def test_arguments_that_the_class_does_not_take():
    told = explained(source().replace(", pos_dim=None, max_seq_len=10", ", pos_dim=None"))
    assert told.headline.startswith("PytorchTransformer does not take")
    assert told.where == endings.NO_OWN_LINE


def test_arguments_that_forward_does_not_take():
    assert explained(source(signature="self, seq, mask")).headline.startswith("forward does not take")


def test_a_class_without_forward():
    code = source().replace("def forward", "def run")
    assert explained(code).headline == "The class has no forward."


def test_input_is_at_its_end_where_nobody_types(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert of_forward("out =", "input()\nout =").headline == "Your code waits for input."


# --- Gradients. ---


def gradients_call(sizes: Sizes = SIZES) -> Gradients:
    call = forward_call(sizes)
    return Gradients(call.sizes, call.weights, call.seq, np.ones((len(call.seq), sizes.v_dim)))


def test_a_detached_output():
    told = of_forward("return out", "return out.detach()", gradients_call())
    assert told.headline.startswith("The output is not connected to the weights")
    assert ".detach()" in told.change


def test_an_output_of_the_wrong_shape_has_no_gradients_to_compare():
    told = of_forward("return out", "return out[0]", gradients_call())
    assert told.headline == "The output has the shape (6,); expected (4, 6), (seq_len, v_dim)."


def test_a_change_in_place_that_the_gradients_meet():
    told = of_forward("return out", "K += 1\nQ += 1\nreturn out", gradients_call())
    assert "changed in place" in told.headline
