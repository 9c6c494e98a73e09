"""The blank notebook's own traps, layers by other names, sizes that are None: each with its code."""

from __future__ import annotations

import re

import pytest

from autograder.feedback.translate import layer_named_like
from autograder.feedback.wording import endings
from autograder.sandbox.calls import Answer, RecordedOutput, Sizes
from tests.feedback.students import (
    ASSERT,
    FORWARD,
    INIT,
    PLAIN,
    SIZES,
    explained,
    forward_call,
    of_forward,
    of_init,
    outcome_of,
    source,
)


def test_the_right_model_answers():
    assert isinstance(outcome_of(source(), forward_call()), Answer)


# --- The blank notebook's own traps. ---

BLANK = "out = None\n" + ASSERT


def test_seq_len_that_is_not_defined():
    told = explained(source(forward="out = seq\nassert out.shape[0] == seq_len\nreturn out"))
    assert told.headline == "seq_len is used before it has a value."
    assert told.where == "code cell 3, line 17: assert out.shape[0] == seq_len"
    assert "seq_len = seq.shape[0]" in told.change
    assert told.said == "NameError: name 'seq_len' is not defined"


def test_out_that_is_still_none():
    told = explained(source(forward="seq_len = seq.shape[0]\n" + BLANK))
    assert told.headline == "out is still None."
    assert "out.shape[0] == seq_len" in told.where


def test_an_init_without_layers():
    told = explained(source(init="super().__init__()\n"))
    assert told.headline == endings.NOTHING_FOUND.headline


def test_an_init_without_layers_but_with_positions():
    told = explained(source(init="super().__init__()\nself.pos = nn.Embedding(max_seq_len, pos_dim)\n"))
    assert "Km.weight, Qm.weight, Vm.weight not found" in told.headline
    assert "name the layers Km, Qm and Vm" in told.change


def test_a_layer_that_is_used_but_never_made():
    told = explained(source(init=INIT.replace("self.Km = ", "Km = ")), RecordedOutput(0, SIZES, 4))
    assert told.headline == "There is no self.Km."
    assert "self.Km = nn.Linear(total_input_dim, qk_dim, bias=False)" in told.change


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("K", "Km"),
        ("key", "Km"),
        ("W_k", "Km"),
        ("Wk", "Km"),
        ("to_q", "Qm"),
        ("query_proj", "Qm"),
        ("v", "Vm"),
    ],
)
def test_a_layer_of_another_name_is_to_be_renamed(name, layer):
    told = explained(source(init=INIT.replace(f"self.{layer}", f"self.{name}")))
    assert told.change == f"Rename self.{name} to self.{layer}: the notebook loads {layer}.weight."


def test_all_layers_of_other_names_are_each_to_be_renamed():
    told = explained(source(init=re.sub(r"self\.([KQV])m", r"self.W_\1", INIT)))
    for letter in "KQV":
        assert f"Rename self.W_{letter} to self.{letter}m" in told.change


def test_the_embedding_of_another_name_is_to_be_renamed():
    told = explained(source(init=INIT.replace("self.pos", "self.position_embedding")))
    assert told.change.startswith("Rename self.position_embedding to self.pos")


def test_names_that_are_like_nothing_get_no_suggestion():
    assert layer_named_like("Km", ["alpha.weight", "Vm.weight"]) == ""


def test_a_layer_of_another_shape():
    told = of_init("self.Vm = nn.Linear(total, v_dim", "self.Vm = nn.Linear(total, qk_dim")
    assert "Vm.weight is (2, 8), expected (6, 8)" in told.headline


def test_a_layer_made_before_super_init():
    told = of_init("super().__init__()\n", "")
    assert "super().__init__()" in told.change


# --- Sizes that are None. ---


def test_max_seq_len_that_is_none():
    told = of_init(
        "total =", "t = torch.arange(max_seq_len)\ntotal =", forward_call(Sizes(3, 2, 6, None, None))
    )
    assert told.headline.startswith("max_seq_len may be None")
    assert "max_seq_len" in told.where


def test_pos_dim_that_is_none():
    told = of_init("(pos_dim or 0)", "pos_dim", forward_call(PLAIN))
    assert told.headline == "pos_dim is None for a model without positions."


def test_positions_used_when_there_are_none():
    told = of_forward("if self.pos is not None:", "if True:", forward_call(PLAIN))
    assert told.headline.startswith("self.pos is None here")


def test_positions_called_when_there_are_none():
    told = of_forward(
        "if self.pos is not None:\n    seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=-1)",
        "seq = torch.cat([seq, self.pos(torch.arange(seq_len))], dim=-1)",
        forward_call(PLAIN),
    )
    assert told.headline.startswith("self.pos is None here")


def test_a_local_that_is_set_with_positions_only():
    changed = FORWARD.replace("    seq = ", "    x = ").replace("m(seq)", "m(x)")
    told = explained(source(forward=changed), forward_call(PLAIN))
    assert told.headline == "x has no value on the way that was taken here."
