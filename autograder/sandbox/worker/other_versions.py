"""Names that other versions of Python and NumPy have, and that programs which ran for their students use."""

from __future__ import annotations

import typing
from typing import Any, Final

import numpy as np
import typing_extensions  # torch imports it in any case

_OF_TYPING: Final = ("LiteralString", "Never", "Self", "assert_never", "assert_type", "override")
"""Of Python 3.11 and 3.12. Not all that typing_extensions has: torch looks for some, to tell the version."""
_OF_NUMPY_1: Final[dict[str, Any]] = {
    **dict.fromkeys(("Inf", "Infinity", "PINF", "infty"), np.inf),
    "NINF": -np.inf,
    "NaN": np.nan,
    "float_": np.float64,
    "mat": np.asmatrix,
    "product": np.prod,
    "round_": np.round,
    "row_stack": np.vstack,
}
"""What NumPy 2 and later releases took away, and a matrix may be written with."""


def install() -> None:
    """Add each name that is missing; none that is there is changed."""
    for name in _OF_TYPING:
        if not hasattr(typing, name):
            setattr(typing, name, getattr(typing_extensions, name))
    for name, value in _OF_NUMPY_1.items():
        if name not in vars(np):
            setattr(np, name, value)
