"""A class that is not there, refusals, endings; student text is shown, never obeyed."""

from __future__ import annotations

import pytest

from autograder.feedback.translate import Explanation, explain
from autograder.feedback.wording import endings
from autograder.sandbox.calls import (
    Answer,
    Cell,
    End,
    Ended,
    LoadReport,
    Place,
    Raised,
    Refusal,
    Refused,
    StatementFate,
    StatementReport,
)
from tests.feedback.students import FORWARD, LABEL, explained, forward_call, of_forward, outcome_of, source

# --- Names that only the notebook has; a class that is not there. ---


def test_a_name_that_only_the_notebook_has():
    code = source(forward=FORWARD.replace("torch.softmax", "my_softmax"))
    told = explained(code, label="submission_log.json, torch_transformer_init and _forward")
    assert (
        told.headline == "Your code uses my_softmax, which the log does not hold: only your notebook has it."
    )
    assert "Upload your notebook" in told.change


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
    told = explain(outcome, forward_call(), load)
    assert "The line that sets it failed: code cell 3, line 2: import einops" in told.headline


def no_class(load) -> Explanation:
    return explain(outcome_of("", forward_call()), forward_call(), load)


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
    told = explain(outcome_of("PytorchTransformer = 3", forward_call()), forward_call())
    assert "PytorchTransformer is an int" in told.headline


def test_a_program_that_never_loaded():
    assert "used up its time" in no_class(Ended(End.CPU_TIME, "40 s")).headline


# --- Refusals and endings. ---


@pytest.mark.parametrize("reason", Refusal)
def test_every_refusal_says_what_to_do(reason):
    told = explain(Refused(reason, "Km is a list of 3"))
    assert told.headline
    assert told.change


@pytest.mark.parametrize("reason", End)
def test_every_ending_says_what_to_do(reason):
    told = explain(Ended(reason, "10 s"))
    assert told.headline
    assert told.change


def test_memory_that_runs_out():
    told = of_forward("out =", "raise MemoryError\nout =")
    assert told.headline == "Your code needed more memory than there is."


def test_an_answer_needs_no_explanation():
    with pytest.raises(ValueError, match="an Answer"):
        explain(Answer({}))


# --- What the student wrote is shown, never obeyed. ---


def test_control_characters_and_length_are_bounded():
    told = explain(Raised("Evil\x1b[31m", "x" * 5000 + "\u202e", (Place("cell\n1", 1, "a\x00b" * 500),)))
    assert len(told.text) < 1000
    assert not set(told.text) & {"\x1b", "\x00", "\u202e"}
    assert told.text.count("\n") == 3


def test_braces_of_the_student_stay_as_they_are():
    told = explain(Refused(Refusal.NOT_NUMERIC, "Km is {0} {detail} {}"))
    assert "Km is {0} {detail} {}" in told.headline
    renamed = explain(Refused(Refusal.MISSING_LAYER, "Km.weight not found; there is key{x}.weight"))
    assert "self.key{x}" in renamed.change


def test_braces_in_a_failed_line_stay_as_they_are():
    load = report("helper = {1: {}}", Raised("TypeError", "{bad}"))
    outcome = Raised("NameError", "name 'helper' is not defined", (Place(LABEL, 9, "helper[1]"),))
    assert "helper = {1: {}} (TypeError: {bad})" in explain(outcome, None, load).headline


def test_an_unknown_error_says_type_message_and_place():
    told = explain(Raised("MyError", "of my own", (Place(LABEL, 7, "raise MyError"),)))
    assert told.text.splitlines() == [
        "Your code raised an error.",
        "Where: code cell 3, line 7: raise MyError",
        "Python says: MyError: of my own",
        f"What to do: {endings.UNKNOWN.change}",
    ]


def test_a_cell_is_what_the_host_takes_its_lines_from():
    """The labels above are those of cells."""
    assert Cell(LABEL, source()).label == LABEL
