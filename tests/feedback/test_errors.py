"""What is said of errors, refusals and endings, each provoked by the student code that makes it."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from autograder.feedback.errors import NO_OWN_LINE, explain_error, missing_layer
from autograder.feedback.messages import Message
from autograder.sandbox.calls import (
    Answer,
    Call,
    End,
    Ended,
    Forward,
    Gradients,
    LoadReport,
    Outcome,
    Place,
    Raised,
    RecordedOutput,
    Refusal,
    Refused,
    Sizes,
    StatementFate,
    StatementReport,
    Weights,
)
from autograder.sandbox.worker import model, values

SIZES = Sizes(3, 2, 6, 5, 9)
PLAIN = Sizes(3, 2, 6, None, 9)
LABEL = "code cell 3"


def forward_call(sizes: Sizes = SIZES, seq_len: int = 4) -> Forward:
    rng = np.random.RandomState(0)
    total, pos_dim = sizes.total_dim, sizes.pos_dim
    weights = Weights(
        rng.randn(total, sizes.qk_dim),
        rng.randn(total, sizes.qk_dim),
        rng.randn(total, sizes.v_dim),
        None if pos_dim is None else rng.randn(sizes.max_seq_len, pos_dim),
    )
    return Forward(sizes, weights, rng.randn(seq_len, sizes.input_dim))


INIT = """\
super().__init__()
self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
total = input_dim + (pos_dim or 0)
self.Km = nn.Linear(total, qk_dim, bias=False)
self.Qm = nn.Linear(total, qk_dim, bias=False)
self.Vm = nn.Linear(total, v_dim, bias=False)
self.d_k = qk_dim
"""
FORWARD = """\
seq_len = seq.shape[0]
if self.pos is not None:
    seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=-1)
Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V
return out
"""


ASSERT = "assert out.shape[0] == seq_len, f'Output seq_len {out.shape[0]} != input seq_len {seq_len}'\n"


def source(init: str = INIT, forward: str = FORWARD, signature: str = "self, seq") -> str:
    return "\n".join(
        [
            "import math, sys\nimport numpy as np\nimport torch",
            "from torch import nn\nimport torch.nn.functional as F",
            "class PytorchTransformer(nn.Module):",
            "    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):",
            *(f"        {line}" for line in init.splitlines()),
            f"    def forward({signature}):",
            *(f"        {line}" for line in forward.splitlines()),
        ]
    )


def outcome_of(code: str, call: Call, label: str = LABEL) -> Outcome:
    """As the sandbox's child has it, with the lines that the host fills in."""
    scope: dict[str, object] = {}
    try:
        exec(compile(code, label, "exec", dont_inherit=True), scope)
        return model.call_model(scope, call, {})
    except model.Refuse as refusal:
        return Refused(*refusal.args)
    except BaseException as error:
        ended = values.out_of_memory(error)
        if ended is not None:
            return ended
        raised = values.raised(error, {label: 0}, 4096)
        lines = code.splitlines()
        trace = tuple(Place(p.label, p.line, lines[p.line - 1].strip()) for p in raised.trace)
        return Raised(raised.type_name, raised.message, trace)


def explained(code: str, call: Call | None = None, label: str = LABEL) -> Message:
    call = call or forward_call()
    outcome = outcome_of(code, call, label)
    assert not isinstance(outcome, Answer), "this code was to fail"
    return explain_error(outcome, call)


def of_forward(old: str, new: str, call: Call | None = None) -> Message:
    assert old in FORWARD
    return explained(source(forward=FORWARD.replace(old, new)), call)


def of_init(old: str, new: str, call: Call | None = None) -> Message:
    assert old in INIT
    return explained(source(init=INIT.replace(old, new)), call)


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
    assert told.headline == "Your model has no layers: its state dict is empty."


def test_an_init_without_layers_but_with_positions():
    told = explained(source(init="super().__init__()\nself.pos = nn.Embedding(max_seq_len, pos_dim)\n"))
    assert "Km.weight, Qm.weight, Vm.weight not found" in told.headline
    assert "name the layers Km, Qm and Vm" in told.change


def test_a_layer_that_is_used_but_never_made():
    told = explained(source(init=INIT.replace("self.Km = ", "Km = ")), RecordedOutput(0, SIZES, 4))
    assert told.headline == "There is no self.Km."
    assert "nn.Linear(total_input_dim, qk_dim, bias=False)" in told.change


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
    told, meant = missing_layer(layer, ["other.weight", f"{name}.weight"])
    assert told.endswith(f"Rename self.{name} to self.{layer}: the notebook loads {layer}.weight.")
    assert meant == f"{name}.weight"


def test_the_embedding_of_another_name_is_to_be_renamed():
    told, _ = missing_layer("pos", ["Km.weight", "position_embedding.weight"])
    assert "Rename self.position_embedding to self.pos" in told


def test_names_that_are_like_nothing_get_no_suggestion():
    told, meant = missing_layer("Km", ["alpha.weight", "Vm.weight"])
    assert told.endswith("The weights found: alpha.weight, Vm.weight.")
    assert meant == ""


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
    "pos of the input": (POSITIONS, "self.pos(seq)", "looks up rows by number"),
    "pos of a number": (POSITIONS, "self.pos(seq_len)", "a tensor of row numbers"),
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
    "an unknown name": ("self.d_k", "d_k", "d_k is known in __init__ alone"),
    "F": ("torch.softmax", "F2.softmax", "F2 has no value here"),
    "an assert": ("out =", "assert seq_len == 5\nout =", "An assert in your code"),
    "sys.exit": ("out =", "sys.exit()\nout =", "ends the program"),
    "a file": ("out =", "open('/no/such/file')\nout =", "needs a file"),
    "forward in forward": ("out =", "self.forward(seq[:, :3])\nout =", "calls itself without end"),
    "a layer without self.": ("self.Qm(seq)", "Qm(seq)", "Write self.Qm here"),
    "pos without self.": (POSITIONS, "pos.weight[:seq_len]", "Write self.pos here"),
    "an assert of torch's own": (
        "out =",
        "nn.MultiheadAttention(3, 2)\nout =",
        "PyTorch refuses the arguments",
    ),
    "a missing package": (
        "out =",
        "import not_installed_here\nout =",
        "The package not_installed_here is not installed where",
    ),
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
    assert told.where == NO_OWN_LINE


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


# --- Names that only the notebook has; a class that is not there. ---


def test_a_name_that_only_the_notebook_has():
    code = source(forward=FORWARD.replace("torch.softmax", "my_softmax"))
    told = explained(code, label="submission_log.json, torch_transformer_init and _forward")
    assert (
        told.headline == "Your code uses my_softmax, which the log does not hold: only your notebook has it."
    )
    assert "Upload your notebook" in told.change


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        ("return self.attend(seq)", "self.attend"),
        ("return PytorchTransformer.attend(seq)", "self.attend"),
        ("return super().attend(seq)", "a base class of its own"),
    ],
)
def test_a_method_attribute_or_base_class_that_the_log_does_not_record(line, lacks):
    code = source(forward=line)
    told = explained(code, label="submission_log.json, torch_transformer_init and _forward")
    assert told.headline == f"Your code uses {lacks}, which the log does not hold: only your notebook has it."
    assert told.change.startswith("Upload your notebook")


def test_what_numpy_1_had_is_told_with_both_versions():
    told = explained(source(forward="import numpy as np\nreturn np.cast['float32'](seq)"))
    assert f"in NumPy 1, which you used; NumPy {np.__version__}, which grades" in told.headline


def test_seq_len_in_a_log_is_the_student_s_own_to_set():
    told = explained(
        source(forward="return seq_len"), label="submission_log.json, torch_transformer_init and _forward"
    )
    assert told.headline.startswith("seq_len is used before")


def report(source_line: str, error: Raised, *classes: str) -> LoadReport:
    failed = StatementReport(Place(LABEL, 2, source_line), StatementFate.FAILED, error)
    return LoadReport((failed,), classes, False)


def test_a_name_whose_import_failed_says_so():
    load = report("import einops", Raised("ModuleNotFoundError", "No module named 'einops'"))
    outcome = outcome_of(source(forward="return einops.rearrange(seq)"), forward_call())
    told = explain_error(outcome, forward_call(), load)
    assert "The line that sets it failed: code cell 3, line 2: import einops" in told.headline


def no_class(load) -> Message:
    return explain_error(outcome_of("", forward_call()), forward_call(), load)


def test_no_class_at_all():
    assert "no class PytorchTransformer" in no_class(LoadReport((), (), False)).headline


def test_a_class_of_another_name():
    told = no_class(LoadReport((), ("Helper", "NumpyTransformer", "PyTorchTransformer"), False))
    assert told.change.startswith("Rename PyTorchTransformer to PytorchTransformer")


def test_a_class_whose_cell_cannot_be_read():
    error = Raised("SyntaxError", "'(' was never closed", (Place(LABEL, 14, "out = (Q @ K.T"),))
    told = no_class(report("class PytorchTransformer(nn.Module):", error))
    assert "Python cannot read this line" in told.headline
    assert told.where == "code cell 3, line 14: out = (Q @ K.T"
    assert "was never closed" in told.said


def test_a_name_that_is_no_class_any_more():
    told = explain_error(outcome_of("PytorchTransformer = 3", forward_call()), forward_call())
    assert "PytorchTransformer is an int" in told.headline


def test_a_program_that_never_loaded():
    assert "used up its time" in no_class(Ended(End.CPU_TIME, "40 s")).headline


# --- Refusals and endings. ---


OF_MATRICES = (Refusal.NO_MATRICES, Refusal.NOT_KNOWN, Refusal.NOT_NUMERIC)
"""Their words are those of the check that asks for matrices."""


@pytest.mark.parametrize("reason", [reason for reason in Refusal if reason not in OF_MATRICES])
def test_every_refusal_of_a_model_has_words_of_its_own(reason):
    assert "raised an error" not in explain_error(Refused(reason, "Km is a list of 3")).headline


@pytest.mark.parametrize("reason", End)
def test_every_ending_has_words_of_its_own(reason):
    assert "raised an error" not in explain_error(Ended(reason, "10 s")).headline


def test_memory_that_runs_out():
    told = of_forward("out =", "raise MemoryError\nout =")
    assert told.headline == "Your code needed more memory than there is."


def test_an_answer_needs_no_explanation():
    with pytest.raises(ValueError, match="an Answer"):
        explain_error(Answer({}))


# --- What the student wrote is shown, never obeyed. ---


def test_control_characters_and_length_are_bounded():
    told = explain_error(
        Raised("Evil\x1b[31m", "x" * 5000 + "\u202e", (Place("cell\n1", 1, "a\x00b" * 500),))
    )
    assert len(told.text) < 1000
    assert not set(told.text) & {"\x1b", "\x00", "\u202e"}
    assert told.text.count("\n") == 3


def test_braces_of_the_student_stay_as_they_are():
    told = explain_error(Refused(Refusal.NOT_A_TENSOR, "a {0} {detail} {}"))
    assert "a {0} {detail} {}" in told.headline
    assert "self.key{x}" in missing_layer("Km", ["key{x}.weight"])[0]


def test_braces_in_a_failed_line_stay_as_they_are():
    load = report("helper = {1: {}}", Raised("TypeError", "{bad}"))
    outcome = Raised("NameError", "name 'helper' is not defined", (Place(LABEL, 9, "helper[1]"),))
    assert "helper = {1: {}} (TypeError: {bad})" in explain_error(outcome, None, load).headline


def test_an_unknown_error_says_type_message_and_place():
    told = explain_error(Raised("MyError", "of my own", (Place(LABEL, 7, "raise MyError"),)))
    assert told.text.splitlines() == [
        "Your code raised an error.",
        f"What to do: {told.change}",
        "Where: code cell 3, line 7: raise MyError",
        "Python says: MyError: of my own",
    ]


def test_what_the_grader_says_of_an_output_s_shape_is_not_shown_as_python_s():
    told = explain_error(Raised("ValueError", "the output has the shape (4,), expected (4, 6)", ()))
    assert told.headline == "The output has the shape (4,); expected (4, 6), (seq_len, v_dim)."
    assert (told.said, told.where) == ("", "")
