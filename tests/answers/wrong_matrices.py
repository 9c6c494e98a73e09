"""Wrong hand-designed matrices, each by the name of its fault."""

from __future__ import annotations

from typing import Any

from tests.answers.answer import CODE, CONTENT, MODEL, PLAIN_FORWARD, POSITION, Answer, answers
from tests.answers.right_matrices import matrices


def _flag(pos: str = "np.eye(4)", key: str = "60", value: str = "np.eye(7, 3)", row: int = 3) -> str:
    return matrices(f"np.zeros((7, 1)); Km[{row}] = {key}", "np.ones((7, 1))", value, pos)


SOFT_CONTENTS = {
    "soft": matrices("12 * np.eye(3)"),
    "almost sharp": matrices("19.8 * np.sqrt(3) * np.eye(3)"),
    "overflow": matrices("2000 * np.eye(3)"),
    "underflow": matrices("-1300 * np.eye(3) - 4000 * (1 - np.eye(3))"),
    "doubled values": matrices("60 * np.eye(3)", value="2 * np.eye(3)"),
    "values off by a little": matrices("60 * np.eye(3)", value="np.eye(3) + 1e-6"),
    "permuted keys": matrices("60 * np.eye(3)[[1, 2, 0]]"),
    "permuted values": matrices("60 * np.eye(3)", value="np.eye(3)[::-1].copy()"),
    "uniform": matrices("np.zeros((3, 3))"),
    "repelled": matrices("-60 * np.eye(3)"),
    "two tokens only": matrices("np.diag([60.0, 60.0, 0.0])"),
    "qk_dim 1": matrices("np.array([[1.0], [0], [-1]])", "90 * Km"),
}
MISSHAPEN_CONTENTS = {
    "values with 4 columns": matrices("60 * np.eye(3)", value="np.eye(3, 4)"),
    "4 rows": matrices("60 * np.eye(4)", "np.eye(4)", "np.eye(4)"),
    "flat": matrices("60 * np.ones(3)", "np.ones(3)"),
    "strings": matrices("np.array([['a', 'b', 'c']] * 3)"),
}
LISTS = "Km = [[60, 0, 0], [0, 60, 0], [0, 0, 60]]\nQm = Vm = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]"
SOFT_POSITIONS = {
    "soft": _flag(key="8"),
    "overflow": _flag(key="900"),
    "attends last": _flag(row=6),
    "attends itself": """
        pos = np.eye(4)
        Km = np.vstack([np.zeros((3, 4)), 60 * np.eye(4)])
        Qm = np.vstack([np.zeros((3, 4)), 2 * np.eye(4)])
        Vm = np.eye(7, 3)""",
    "wrong at length 4": _flag(pos="np.eye(4)[[0, 1, 2, 0]]"),
    "values hold positions": _flag(value="np.vstack([np.eye(3), np.ones((4, 3))])"),
    "values permuted": _flag(value="np.eye(7, 3)[[1, 2, 0, 3, 4, 5, 6]]"),
    "by content": _flag(row=0),
    "uniform": _flag(key="0"),
}
MISSHAPEN_POSITIONS = {
    "transposed": matrices("np.zeros((1, 7)); Km[0, 3] = 60", "np.ones((1, 7))", "np.eye(3, 7)", "np.eye(4)"),
    "width of the tokens": matrices("60 * np.eye(3)", pos="np.eye(4)"),
    "without pos": matrices("np.zeros((7, 1))", "np.ones((7, 1))", "np.eye(7, 3)"),
}
THREE_ROWS = matrices("np.zeros((6, 1)); Km[3] = 60", "np.ones((6, 1))", "np.eye(6, 3)", "np.eye(3)")
UNIQUES = {
    "all positive": matrices("np.zeros((9, 2))", "np.zeros((9, 2))", "np.ones((9, 1))", "np.eye(5)"),
    "repelled by nothing": """
        pos = np.eye(5)
        Km = np.zeros((9, 4)); Km[:3, :3] = 90 * np.eye(3); Km[3, 3] = 45
        Qm = np.zeros((9, 4)); Qm[:3, :3] = np.eye(3); Qm[:3, 3] = 1
        Vm = np.zeros((9, 1)); Vm[:3] = -1; Vm[3] = 1""",
}
MISSHAPEN = "pos = np.eye(5)\nKm = Qm = np.zeros((7, 2))\nVm = np.ones((9, 1))"
WRONG_CONTENT: dict[str, Any] = {"loses": ("3.2",), "keeps": ("3.1",)}
NO_CONTENT = ("3.1", "3.2")
NO_POSITION = ("4.1", "4.2")

WRONG_MATRICES = (
    *answers(SOFT_CONTENTS, "content ", content=CODE, **WRONG_CONTENT),
    Answer(
        "content soft, as Jupyter leaves it",
        content=matrices("5 * np.eye(3)"),
        like_jupyter=True,
        **WRONG_CONTENT,
    ),
    Answer("content blank", content="pass", verdict={CONTENT: 0}, loses=NO_CONTENT),
    *answers(MISSHAPEN_CONTENTS, "content ", content=CODE, like_jupyter=True, loses=NO_CONTENT),
    Answer("content lists", content=LISTS, like_jupyter=True, verdict={CONTENT: "any"}),
    *answers(SOFT_POSITIONS, "position ", position=CODE, loses=("4.2",), keeps=("4.1",)),
    Answer("position 3 rows", position=THREE_ROWS, loses=NO_POSITION),
    *answers(MISSHAPEN_POSITIONS, "position ", position=CODE, like_jupyter=True, loses=NO_POSITION),
    Answer("position blank", position="pass", like_jupyter=True, loses=NO_POSITION, verdict={POSITION: 0}),
    *answers(UNIQUES, "unique ", unique=CODE, passes_unique=False),
    Answer("unique misshapen", unique=MISSHAPEN, passes_unique=False, like_jupyter=True),
    Answer(
        "no scale, content soft",
        content=matrices("np.eye(3)"),
        forward=PLAIN_FORWARD.replace(" / math.sqrt(self.d_k)", ""),
        verdict={MODEL: "less", CONTENT: "less"},
    ),
    Answer(
        "both designs soft",
        content=matrices("3 * np.eye(3)"),
        position=_flag(key="4"),
        verdict={CONTENT: "less", POSITION: "less"},
    ),
    Answer(
        "nothing done",
        layers="",
        forward="",
        content="",
        position="",
        like_jupyter=True,
        verdict={MODEL: 0, CONTENT: 0, POSITION: 0},
    ),
)
