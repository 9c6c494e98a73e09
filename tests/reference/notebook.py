"""The assignment's own notebook, for tests that compare with it: its functions, run as they stand."""

from __future__ import annotations

import ast
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ASSIGNMENT = Path(__file__).parents[2].parent / "shared" / "assignment"
NOTEBOOK = ASSIGNMENT / "q_hand_transformer.ipynb"
needs_assignment = pytest.mark.skipif(
    not NOTEBOOK.is_file(), reason="the assignment is not beside the repository"
)

_WANTED = ("NumpyTransformer", "test", "generate_test_cases_identity", "generate_test_cases_first")
_WANTED_TOO = ("generate_test_cases_unique", "set_random_seed")


@cache
def notebook() -> dict[str, Any]:
    """The notebook's functions and constants by name. No torch, and no plots: what needs them is left out."""
    namespace: dict[str, Any] = {"np": np, "random": random, "CLS": np.array([0, 0, 0, 1]), "TO_SAVE": {}}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for statement in ast.parse("".join(cell["source"])).body:
            if _is_wanted(statement):
                module = ast.Module([_FUTURE, statement], [])
                exec(compile(module, NOTEBOOK.name, "exec"), namespace)
    return namespace


_FUTURE = ast.parse("from __future__ import annotations").body[0]


def _is_wanted(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name in _WANTED + _WANTED_TOO
    # RELATIVE_TOLERANCE, TEST_INPUT_DIM and their like.
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.targets[0], ast.Name)
        and statement.targets[0].id.isupper()
    )
