from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

import pytest
import torch

from autograder.submission.log import read_log
from autograder.submission.source import rebuild, same_code
from autograder.submission.types import CodeFile, Log, NoteLevel, Origin, Program

from .samples import FORWARD, INIT, log_bytes


def log_with(init: str = INIT, forward: str = FORWARD) -> Log:
    return read_log(
        "submission_log.json", log_bytes(torch_transformer_init=init, torch_transformer_forward=forward)
    )


def reading_of(init: str, forward: str) -> CodeFile:
    log = log_with(init, forward)
    assert log.model is not None
    return rebuild(log.name, log.model)


def rebuilt(init: str = INIT, forward: str = FORWARD) -> Program:
    reading = reading_of(init, forward)
    assert reading.program is not None, reading.notices
    return reading.program


def output(program: Program, pos_dim: int | None = 2) -> torch.Tensor:
    """What the rebuilt class gives, run as the sandbox would; these programs are the tests' own."""
    names: dict[str, Any] = {"__name__": "student"}
    for cell in program.cells:
        exec(compile(cell.source, cell.label, "exec"), names)
    torch.manual_seed(0)
    result: torch.Tensor = names["PytorchTransformer"](3, 2, 3, pos_dim)(torch.randn(4, 3))
    return result


def test_the_class_is_rebuilt_from_its_two_methods() -> None:
    program = rebuilt()
    assert program.origin is Origin.LOG
    assert output(program).shape == (4, 3)
    assert output(program, None).shape == (4, 3)
    assert INIT in program.cells[-1].source
    assert program.cells[-1].label == "submission_log.json, torch_transformer_init and _forward"


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        (textwrap.dedent(INIT), textwrap.dedent(FORWARD)),
        (INIT, textwrap.dedent(FORWARD)),
        (INIT.replace("    ", "\t"), FORWARD),
        (INIT.replace("    ", "\t"), FORWARD.replace("    ", "\t")),
        (textwrap.indent(INIT, "  "), FORWARD),
        (INIT.replace("\n", "\r\n"), FORWARD),
        (INIT, "    # a comment\n\n    @torch.enable_grad()\n" + FORWARD),
        (INIT, "# a comment without indentation\n" + FORWARD),
        (INIT.replace("super()", "super(PytorchTransformer, self)"), FORWARD),
        (INIT.replace("input_dim,", "input_dim: Unknown[int, 'x'],"), FORWARD.replace("):", ") -> Nothing:")),
        (INIT, FORWARD.replace("seq):", "seq: Float['n d']):").replace("0.5", "0.5  # √")),
        (INIT.replace("nn.Linear", "Linear"), FORWARD.replace("F.softmax", "softmax")),
    ],
)
def test_every_way_to_write_the_methods_gives_the_same_class(init: str, forward: str) -> None:
    torch.testing.assert_close(output(rebuilt(init, forward)), output(rebuilt()))


@pytest.mark.parametrize("dedent", [False, True])
def test_strings_of_several_lines_keep_their_text(dedent: bool) -> None:
    text = "first\n  second\nthird\n        fourth"
    forward = FORWARD.replace("        if self", f'        self.text = """{text}"""\n        if self', 1)
    if dedent:
        forward = (
            forward.replace("\n        ", "\n    ")
            .replace("    def", "def")
            .replace("        seq =", "      seq =")
        )
        text = text.replace("\n        ", "\n    ")
    program = rebuilt(forward=forward)
    assert f'"""{text}"""' in program.cells[-1].source


def test_a_method_defined_under_another_name_is_found() -> None:
    program = rebuilt(forward=textwrap.dedent(FORWARD).replace("def forward", "def my_forward"))
    torch.testing.assert_close(output(program), output(rebuilt()))


def test_a_lambda_is_a_method_too() -> None:
    program = rebuilt(forward="    forward = lambda self, seq: self.Vm(seq)\n")
    assert output(program, None).shape == (4, 3)


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        ("hello", FORWARD),
        (INIT, "    def forward(self, seq:\n"),
        (INIT, "x" * 1000),
        (INIT, "    pass\n"),
        (INIT, "    def forward(self):\0 pass\n"),
        ("    def __init__(self):\n" + "(" * 5000, FORWARD),
    ],
)
def test_texts_that_are_not_methods_ask_for_the_notebook(init: str, forward: str) -> None:
    reading = reading_of(init, forward)
    assert reading.program is None
    (notice,) = reading.notices
    assert notice.tone is NoteLevel.WARNING
    assert "Upload your notebook" in notice.text


def test_text_that_closes_the_class_and_goes_on_is_carried_and_not_run() -> None:
    program = rebuilt(forward=FORWARD + "raise SystemExit('run by the grader')\n")
    assert program.cells[-1].source.endswith("raise SystemExit('run by the grader')\n")


def test_the_rebuilt_class_is_the_recorded_one() -> None:
    log = log_with()
    assert log.model is not None
    assert same_code(rebuilt(), log.model) is True
    other = dataclasses.replace(log.model, forward=FORWARD.replace("dim=-1", "dim=0"))
    assert same_code(rebuilt(), other) is False
