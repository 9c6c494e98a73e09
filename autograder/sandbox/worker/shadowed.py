"""Names that the notebook's later cells take over: the model is run with what it was tested with.

The notebook's hints bind `softmax`, `keys`, `q` and more after its test of the model. A student whose model
uses a helper of such a name sees the test pass, and the model called once all cells have run would not.
"""

from __future__ import annotations

import ast
from typing import Any, Final

from autograder.assignment import CLASS_NAME
from autograder.sandbox.worker.statements import Uses

_TEST: Final = "test"
LATER_NAMES: Final = frozenset(
    {
        *(
            "softmax",
            "keys",
            "q",
            "all_token_seq",
            "get_K",
            "get_Q",
            "get_V",
            "tokens",
            "seq",
            "out",
            "i",
            "f",
        ),
        *("A", "B", "C", "CLS", "Km", "Qm", "Vm", "pos", "pos_dim", "total_dim", "expected_out", "loss"),
        *("np_transformer", "transformer_py", "out_np", "out_py", "out_npy", "out_pyt"),
    }
)
"""What the notebook binds at its top level, below the model's cell."""


class Shadowed:
    """Remembers what these names were when the model was last defined or tested."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def look(self, node: ast.stmt, used: Uses, namespace: dict[str, Any]) -> None:
        """After a statement of the program, whether it failed or not."""
        if _TEST in used.called or _defines_model(node):
            self._kept = {name: namespace[name] for name in LATER_NAMES if name in namespace}

    def restore(self, namespace: dict[str, Any]) -> None:
        """Once the program has run: the names that were taken over are what they were."""
        namespace.update(self._kept)


def _defines_model(node: ast.stmt) -> bool:
    if isinstance(node, ast.ClassDef):
        return node.name == CLASS_NAME
    if not isinstance(node, ast.Assign):
        return False
    owners = [target.value if isinstance(target, ast.Attribute) else target for target in node.targets]
    return any(isinstance(owner, ast.Name) and owner.id == CLASS_NAME for owner in owners)
