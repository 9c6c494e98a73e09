from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autograder.grade import read_upload
from autograder.regrade.scores import canonical_source, groups, mistakes, signals
from autograder.regrade.types import Entry, Record, Row, Score, Status
from autograder.sandbox.calls import Cell
from autograder.submission.types import Origin, Program
from tests.answers.answer import Answer
from tests.answers.upload import log_alone, log_and_notebook, write
from tests.regrade.exports import EINSUM, RIGHT

PLAIN = """
class PytorchTransformer(nn.Module):
    def __init__(self, input_dim: int, qk_dim: int):
        super().__init__()
        self.Km = nn.Linear(input_dim, qk_dim, bias=False)

    def forward(self, seq):
        scores = self.Km(seq) @ self.Km(seq).T
        return scores.softmax(-1)
"""
RENAMED = '''
class PytorchTransformer(nn.Module):
    """My own work."""
    def __init__(me, n, q) -> None:
        "docs"
        super().__init__()
        me.keys = nn.Linear(n, q, bias=False)  # keys
    def forward(me, x: "torch.Tensor"):
        a: "float" = (me.keys(x)
                      @ me.keys(x).T)
        return a.softmax(-1)
'''


def of(answer: Answer, folder: Path, form=log_and_notebook) -> dict[str, str]:  # type: ignore[no-untyped-def]  # a form
    return signals(read_upload(write(form(answer), folder)))


def code(source: str) -> str:
    return canonical_source(Program(Origin.SCRIPT, "own.py", (Cell("own.py", source),)))


def mark(matrices: str, code: str, time: str) -> dict[str, str]:
    found = {"matrices": matrices, "code": code, "time": time}
    return {name: value for name, value in found.items() if value}


def row(name: str, mark: dict[str, str], *diagnoses: str) -> Row:
    return Row(Entry(name, None), Status.GRADED, (), Score(), Record(diagnoses=diagnoses, signals=mark))


def test_code_is_the_same_up_to_names_comments_and_layout() -> None:
    assert code(PLAIN) == code(RENAMED) != ""


def test_code_that_computes_something_else_differs() -> None:
    assert code(PLAIN) != code(PLAIN.replace("softmax(-1)", "softmax(0)"))
    assert code(PLAIN) != code(PLAIN.replace("bias=False", "bias=True"))


def test_helpers_and_layers_may_have_other_names() -> None:
    helped = PLAIN.replace("scores.softmax(-1)", "self.weigh(scores)") + (
        "    def weigh(self, scores):\n        return scores.softmax(-1)\n"
    )
    assert code(helped) == code(helped.replace("weigh", "attend").replace("Km", "keys"))
    assert code(helped) != code(PLAIN)


def test_source_that_cannot_be_read_has_no_fingerprint() -> None:
    for source in ("class", "x = 1", "(" * 10_000, "\0"):
        assert code(source) == ""


def test_matrices_agree_up_to_rounding(tmp_path: Path) -> None:
    rounded = replace(RIGHT, content="Km = 10.0000001 * np.eye(3)\nQm = 6 * np.eye(3)\nVm = np.eye(3)\n")
    other = replace(RIGHT, content="Km = 11 * np.eye(3)\nQm = 6 * np.eye(3)\nVm = np.eye(3)\n")
    marks = [of(answer, tmp_path / str(i)) for i, answer in enumerate((RIGHT, rounded, other))]
    assert marks[0]["matrices"] == marks[1]["matrices"] != marks[2]["matrices"]


def test_the_log_alone_gives_all_three_signals(tmp_path: Path) -> None:
    alone = of(RIGHT, tmp_path / "a", log_alone)
    assert list(alone) == ["matrices", "code", "time"]
    assert alone["code"] == of(RIGHT, tmp_path / "b")["code"] != of(EINSUM, tmp_path / "c")["code"]


def test_an_empty_upload_has_no_signal(tmp_path: Path) -> None:
    assert signals(read_upload(tmp_path)) == {}


def test_groups_name_the_signals_in_which_they_agree_the_rarest_first() -> None:
    rows = [
        row("1", mark("m", "c", "t")),
        row("2", mark("m", "c", "t")),
        row("3", mark("m", "d", "u")),
        row("4", mark("", "", "")),
        row("5", mark("", "", "")),
    ]
    assert groups(rows) == [
        (("code", "time"), ("1", "2")),
        (("matrices",), ("1", "2", "3")),
    ]


def test_mistakes_are_counted_once_per_submission_the_commonest_first() -> None:
    rows = [
        row("1", {}, "b", "b"),
        row("2", {}, "a"),
        row("3", {}, "a", "b"),
    ]
    assert mistakes(rows) == [("a", ["2", "3"]), ("b", ["1", "3"])]
