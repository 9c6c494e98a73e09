"""Wrong hand-designed matrices, each with its fault's name."""

from __future__ import annotations

from tests.answers.answer import PLAIN_FORWARD, Answer, wrong

CONTENT, POSITION = "attention_by_content", "attention_by_position"


def _content(fault: str, code: str, **more: object) -> Answer:
    return wrong(f"content {fault}", CONTENT, content=code, **more)


def _position(fault: str, code: str, **more: object) -> Answer:
    return wrong(f"position {fault}", POSITION, position=code, **more)


def _eye(key: str, query: str = "np.eye(3)", value: str = "np.eye(3)") -> str:
    return f"Km = {key}\nQm = {query}\nVm = {value}"


def _flag(pos: str = "np.eye(4)", key: str = "60", value: str = "np.eye(7, 3)") -> str:
    return f"pos = {pos}\nKm = np.zeros((7, 1)); Km[3] = {key}\nQm = np.ones((7, 1))\nVm = {value}"


CONTENTS = (
    _content("soft", _eye("12 * np.eye(3)"), loses=("3.2",), keeps=("3.1",)),
    _content("almost sharp", _eye("19.8 * np.sqrt(3) * np.eye(3)"), loses=("3.2",), keeps=("3.1",)),
    _content("overflow", _eye("2000 * np.eye(3)"), loses=("3.2",), keeps=("3.1",)),
    _content("underflow", _eye("-1300 * np.eye(3) - 4000 * (1 - np.eye(3))"), loses=("3.2",), keeps=("3.1",)),
    _content("doubled values", _eye("60 * np.eye(3)", value="2 * np.eye(3)"), loses=("3.2",), keeps=("3.1",)),
    _content(
        "values off by a little",
        _eye("60 * np.eye(3)", value="np.eye(3) + 1e-6"),
        loses=("3.2",),
        keeps=("3.1",),
    ),
    _content("permuted keys", _eye("60 * np.eye(3)[[1, 2, 0]]"), loses=("3.2",), keeps=("3.1",)),
    _content(
        "permuted values",
        _eye("60 * np.eye(3)", value="np.eye(3)[::-1].copy()"),
        loses=("3.2",),
        keeps=("3.1",),
    ),
    _content("uniform", _eye("np.zeros((3, 3))"), loses=("3.2",), keeps=("3.1",)),
    _content("repelled", _eye("-60 * np.eye(3)"), loses=("3.2",), keeps=("3.1",)),
    _content("two tokens only", _eye("np.diag([60.0, 60.0, 0.0])"), loses=("3.2",), keeps=("3.1",)),
    _content(
        "qk_dim 1",
        "Km = np.array([[1.0], [0], [-1]])\nQm = 90 * Km\nVm = np.eye(3)",
        loses=("3.2",),
        keeps=("3.1",),
    ),
    _content(
        "soft, as Jupyter leaves it", _eye("5 * np.eye(3)"), like_jupyter=True, loses=("3.2",), keeps=("3.1",)
    ),
    _content("blank", "pass", verdict={"submission_log": "any", CONTENT: 0}, loses=("3.1", "3.2")),
    _content(
        "values with 4 columns",
        _eye("60 * np.eye(3)", value="np.eye(3, 4)"),
        like_jupyter=True,
        loses=("3.1", "3.2"),
    ),
    _content(
        "4 rows", _eye("60 * np.eye(4)", "np.eye(4)", "np.eye(4)"), like_jupyter=True, loses=("3.1", "3.2")
    ),
    _content("flat", _eye("60 * np.ones(3)", "np.ones(3)"), like_jupyter=True, loses=("3.1", "3.2")),
    _content("strings", _eye("np.array([['a', 'b', 'c']] * 3)"), like_jupyter=True, loses=("3.1", "3.2")),
    _content(
        "lists",
        "Km = [[60, 0, 0], [0, 60, 0], [0, 0, 60]]\nQm = Vm = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]",
        like_jupyter=True,
        verdict={"submission_log": "any", CONTENT: "any"},
    ),
)

POSITIONS = (
    _position("soft", _flag(key="8"), loses=("4.2",), keeps=("4.1",)),
    _position("overflow", _flag(key="900"), loses=("4.2",), keeps=("4.1",)),
    _position("attends last", _flag().replace("Km[3]", "Km[6]"), loses=("4.2",), keeps=("4.1",)),
    _position(
        "attends itself",
        """
pos = np.eye(4)
Km = np.vstack([np.zeros((3, 4)), 60 * np.eye(4)])
Qm = np.vstack([np.zeros((3, 4)), 2 * np.eye(4)])
Vm = np.eye(7, 3)
""",
        loses=("4.2",),
        keeps=("4.1",),
    ),
    _position("wrong at length 4", _flag(pos="np.eye(4)[[0, 1, 2, 0]]"), loses=("4.2",), keeps=("4.1",)),
    _position(
        "values hold positions",
        _flag(value="np.vstack([np.eye(3), np.ones((4, 3))])"),
        loses=("4.2",),
        keeps=("4.1",),
    ),
    _position(
        "values permuted", _flag(value="np.eye(7, 3)[[1, 2, 0, 3, 4, 5, 6]]"), loses=("4.2",), keeps=("4.1",)
    ),
    _position("by content", _flag().replace("Km[3]", "Km[0]"), loses=("4.2",), keeps=("4.1",)),
    _position("uniform", _flag(key="0"), loses=("4.2",), keeps=("4.1",)),
    _position(
        "3 rows",
        "pos = np.eye(3)\nKm = np.zeros((6, 1)); Km[3] = 60\nQm = np.ones((6, 1))\nVm = np.eye(6, 3)",
        loses=("4.1", "4.2"),
    ),
    _position(
        "transposed",
        "pos = np.eye(4)\nKm = np.zeros((1, 7)); Km[0, 3] = 60\nQm = np.ones((1, 7))\nVm = np.eye(3, 7)",
        like_jupyter=True,
        loses=("4.1", "4.2"),
    ),
    _position(
        "width of the tokens",
        "pos = np.eye(4)\nKm = 60 * np.eye(3)\nQm = np.eye(3)\nVm = np.eye(3)",
        like_jupyter=True,
        loses=("4.1", "4.2"),
    ),
    _position(
        "without pos",
        "Km = np.zeros((7, 1))\nQm = np.ones((7, 1))\nVm = np.eye(7, 3)",
        like_jupyter=True,
        loses=("4.1", "4.2"),
    ),
    _position(
        "blank",
        "pass",
        like_jupyter=True,
        loses=("4.1", "4.2"),
        verdict={"submission_log": "any", POSITION: 0},
    ),
)

UNIQUES = (
    Answer(
        "unique all positive",
        unique="pos = np.eye(5)\nKm = np.zeros((9, 2))\nQm = np.zeros((9, 2))\nVm = np.ones((9, 1))",
        fault="unique all positive",
        passes_unique=False,
    ),
    Answer(
        "unique repelled by nothing",
        unique="""
pos = np.eye(5)
Km = np.zeros((9, 4)); Km[:3, :3] = 90 * np.eye(3); Km[3, 3] = 45
Qm = np.zeros((9, 4)); Qm[:3, :3] = np.eye(3); Qm[:3, 3] = 1
Vm = np.zeros((9, 1)); Vm[:3] = -1; Vm[3] = 1
""",
        fault="unique repelled by nothing",
        passes_unique=False,
    ),
    Answer(
        "unique misshapen",
        unique="pos = np.eye(5)\nKm = Qm = np.zeros((7, 2))\nVm = np.ones((9, 1))",
        fault="unique misshapen",
        passes_unique=False,
        like_jupyter=True,
    ),
)

SEVERAL = (
    wrong(
        "no scale, content soft",
        "pytorch_transformer",
        content=_eye("np.eye(3)"),
        forward=PLAIN_FORWARD.replace(" / math.sqrt(self.d_k)", ""),
        verdict={"submission_log": "any", "pytorch_transformer": "less", CONTENT: "less"},
    ),
    wrong(
        "both designs soft",
        CONTENT,
        content=_eye("3 * np.eye(3)"),
        position=_flag(key="4"),
        verdict={"submission_log": "any", CONTENT: "less", POSITION: "less"},
    ),
    wrong(
        "nothing done",
        CONTENT,
        layers="",
        forward="",
        content="",
        position="",
        like_jupyter=True,
        verdict={"submission_log": "any", "pytorch_transformer": 0, CONTENT: 0, POSITION: 0},
    ),
)

WRONG_MATRICES = CONTENTS + POSITIONS + UNIQUES + SEVERAL
