"""Right hand-designed matrices, in as many designs and notations as students have."""

from __future__ import annotations

import textwrap

import numpy as np

from autograder.assignment import Task
from reference.transformer import NumpyTransformer
from tests.answers.answer import CODE, answers


def matrices(key: str, query: str = "np.eye(3)", value: str = "np.eye(3)", pos: str = "") -> str:
    """One line for each matrix, as most students type them."""
    lines = f"Km = {key}\nQm = {query}\nVm = {value}"
    return f"pos = {pos}\n{lines}" if pos else lines


CONTENTS = {
    "scores in Q": matrices("np.identity(3)", "np.diag([55.0, 60.0, 65.0])", "np.diag(np.ones(3))"),
    "integers": matrices(
        "np.array([[50, 0, 0], [0, 50, 0], [0, 0, 50]])", "np.eye(3, dtype=int)", "np.eye(3).astype(int)"
    ),
    "booleans": matrices("np.eye(3, dtype=bool)", "Km * 90", "np.eye(3) == 1"),
    "float32": "Km, Qm, Vm = (k * np.eye(3, dtype=np.float32) for k in (8, 8, 1))",
    "float16": matrices("np.eye(3, dtype=np.float16) * 8", "Km.copy()", "np.eye(3, dtype='f2')"),
    "lists": """
        K = [[99, 0, 0], [0, 99, 0], [0, 0, 99]]
        Km = np.array(K, dtype=float)
        Qm = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
        Vm = np.array(list(np.eye(3)))""",
    "in place": """
        Km = np.zeros((3, 3)); Qm = np.zeros_like(Km); Vm = np.zeros((3, 3))
        for i in range(3):
            Km[i, i] = 7
            Qm[i][i] += 11
        np.fill_diagonal(Vm, 1)
        Km *= 1.5""",
    "qk_dim 2": """
        angle = np.array([0, 2, 4]) * np.pi / 3
        Km = 9 * np.column_stack([np.cos(angle), np.sin(angle)])
        Qm = Km
        Vm = np.eye(3)""",
    "qk_dim 5": matrices(
        "np.hstack([12 * np.eye(3), np.ones((3, 2))])", "np.hstack([5 * np.eye(3), np.zeros((3, 2))])"
    ),
    "qk_dim 8": matrices("np.tile(np.eye(3), 3)[:, :8] * 40", "np.tile(np.eye(3), 3)[:, :8]"),
    "negative": matrices("-60 * (np.ones((3, 3)) - np.eye(3))"),
    "minus times minus": "Km, Qm, Vm = -30 * np.eye(3), -2 * np.eye(3), np.eye(3)",
    "a rotation": """
        rotation = np.linalg.qr(np.array([[1.0, 2, 3], [0, 1, 4], [5, 6, 0]]))[0]
        Km = 10 * rotation
        Qm = 10 * rotation
        Vm = np.eye(3)""",
    "permuted alike": "p = np.eye(3)[[2, 0, 1]]\n" + matrices("p * 70", "p"),
    "huge, below overflow": matrices("700 * np.sqrt(3) * np.eye(3)"),
    "just sharp enough": matrices("20.1 * np.sqrt(3) * np.eye(3)"),
    "values within the tolerance": matrices("90 * np.eye(3)", value="1.0009 * np.eye(3)"),
    "a function makes them": """
        def make(scale: float, width: int = 3) -> np.ndarray:
            return scale * np.eye(width)

        scale = 45
        Km, Qm, Vm = make(scale), make(1.0), make(1)
        print(make.__name__, Km.tolist())""",
    "a transposed view": matrices(
        "(60 * np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]).T).T", "np.eye(3, 4)", "np.eye(4)[:3, :3]"
    ),
    "tokens as rows": "Vm = np.stack([A, B, C])\nKm = Vm * 64\nQm = np.vstack(tokens)",
}
POSITIONS = {
    "a flag": """
        pos = np.array([[1.0], [0], [0], [0]])
        Km = np.array([[0.0], [0], [0], [40]])
        Qm = np.array([[1.0], [1], [1], [0]])
        Vm = np.eye(4, 3)""",
    "a ramp of integers": """
        pos = np.arange(4)[:, None]
        Km = np.zeros((4, 1), dtype=int); Km[3] = -30
        Qm = np.array([[1], [1], [1], [0]])
        Vm = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])""",
    "circle, rows to spare": """
        t = np.arange(10)
        pos = np.stack([np.cos(0.5 * t), np.sin(0.5 * t)], axis=1)
        Km = np.zeros((5, 2)); Km[3:, :] = np.eye(2)
        Qm = np.zeros((5, 2)); Qm[:3, 0] = 400
        Vm = np.vstack([np.eye(3), np.zeros((2, 3))])""",
    "sines as in the paper": """
        rate = 1 / 10000 ** (np.arange(2) / 2)
        angles = np.arange(4)[:, None] * rate
        pos = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        Km = np.concatenate([np.zeros((3, 4)), np.eye(4)])
        Qm = np.concatenate([np.ones((3, 1)) * pos[0] * 130, np.zeros((4, 4))])
        Vm = np.concatenate([np.eye(3), np.zeros((4, 3))])""",
    "pos_dim 6, qk_dim 3": """
        pos = np.eye(6)
        Km = np.zeros((9, 3)); Km[3] = 15
        Qm = np.zeros((9, 3)); Qm[3:] = 3
        Vm = np.zeros((9, 3)); Vm[0, 0] = Vm[1, 1] = Vm[2, 2] = 1""",
    "integers everywhere": """
        pos = np.eye(4, dtype=int)
        Km = np.array([0, 0, 0, 90, 0, 0, 0]).reshape(7, 1)
        Qm = np.ones((7, 1), dtype=np.int64)
        Vm = np.r_[np.eye(3, dtype=int), np.zeros((4, 3), dtype=int)]""",
    "booleans": """
        pos = np.eye(4).astype(bool)
        Km = 60 * (np.arange(7) == 3).reshape(-1, 1)
        Qm = np.ones((7, 1), dtype=bool)
        Vm = np.eye(7, 3, dtype=bool)""",
    "negative": """
        pos = np.eye(4)
        Km = np.array([[0, 0, 0, 0, -70, -70, -70]]).T
        Qm = np.array([[0, 0, 0, 1, 1, 1, 1]]).T
        Vm = np.eye(7, 3)""",
    "each asks for the first": """
        pos = np.eye(4) * 10
        Km = np.zeros((7, 4)); Km[3:] = np.eye(4)
        Qm = np.zeros((7, 4)); Qm[3:, 0] = 1
        Vm = np.zeros((7, 3)); Vm[range(3), range(3)] = 1""",
    "huge, below overflow": matrices(
        "np.eye(7, 1, k=-3) * 350", "np.ones((7, 1))", "np.eye(7, 3)", "np.eye(4)"
    ),
    "float32, edited twice": """
        pos = np.zeros((5, 3), dtype=np.float32); pos[0, 0] = 1
        Km = np.zeros((6, 2), dtype=np.float32)
        Km[3, 0] = 5
        Qm = Km.copy(); Qm[:] = 0; Qm[:3] = [9, 0]
        Vm = np.zeros((6, 3)); Vm[:3, :3] = np.eye(3)
        Km[3, 0] *= 2""",
}
UNIQUES = {
    "one-hot places": """
        pos = np.eye(5)
        Km = np.zeros((9, 9)); Qm = np.zeros((9, 9))
        Km[:3, :3] = 200 * np.eye(3); Qm[:3, :3] = np.eye(3)
        Km[4:, 3:8] = -200 * np.eye(5); Qm[4:, 3:8] = np.eye(5)
        Km[3, 8] = 100; Qm[:3, 8] = 1
        Vm = np.zeros((9, 1)); Vm[:3] = -1; Vm[3] = 1""",
    "no place for CLS": """
        pos = np.vstack([np.zeros((1, 4)), np.eye(4)])
        Km = np.zeros((8, 7)); Qm = np.zeros((8, 7))
        Km[:3, :3], Km[3, :3], Km[4:, 3:] = 80 * np.eye(3), 40, np.eye(4)
        Qm[:3, :3], Qm[4:, 3:] = np.eye(3), -80 * np.eye(4)
        Vm = np.array([[-3], [-3], [-3], [5], [0], [0], [0], [0]])""",
    "a compass": """
        pos = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
        Km = np.zeros((6, 5)); Qm = np.zeros((6, 5))
        Km[:3, :3] = 60 * np.eye(3); Km[3, :3] = 45; Km[4:, 3:] = np.eye(2)
        Qm[:3, :3] = np.eye(3); Qm[4:, 3:] = -25 * np.eye(2)
        Vm = np.array([-1, -1, -1, 1, 0, 0])[:, None]""",
}


def design(code: str) -> NumpyTransformer:
    """What the code of a row makes, where the notebook's tokens have their names."""
    A, B, C = tokens = np.eye(3)
    names = {"np": np, "A": A, "B": B, "C": C, "tokens": tokens}
    exec(textwrap.dedent(code), names)
    return NumpyTransformer(names["Km"], names["Qm"], names["Vm"], names.get("pos"))


DESIGNS = {
    task.value: {how: design(code) for how, code in codes.items()}
    for task, codes in ((Task.CONTENT, CONTENTS), (Task.POSITION, POSITIONS), (Task.UNIQUE, UNIQUES))
}
"""By the name of the task, then by how."""
RIGHT_MATRICES = (
    *answers(CONTENTS, "content: ", content=CODE),
    *answers(POSITIONS, "position: ", position=CODE),
    *answers(UNIQUES, "unique: ", unique=CODE, passes_unique=True),
)
