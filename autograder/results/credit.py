"""What a check is worth and what it earned, as its gradescope-utils decorators hold it.

gradescope-utils keeps a set score as an attribute of the test function. It outlives the test, and the
next submission graded in the same process would inherit it: `forget` takes it away. Two tests must not
run at the same time in one process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any, Final
from unittest import TestCase

from gradescope_utils.autograder_utils.decorators import partial_credit

from autograder.errors import GraderFault

_SLACK: Final = 1e-9
"""A score this far outside its range, relative to the points, is rounding and is pulled inside."""


def _probe() -> None:
    """Serve as the function of which a partial-credit wrapper is made."""


# partial_credit leaves no mark on a function, but all its wrappers share one code object
_PARTIAL_CODE: Final = partial_credit(0)(_probe).__code__


def _layers(test: TestCase) -> Iterator[Callable[..., Any]]:
    """Yield the test's function and what it wraps, from the outside in."""
    method = getattr(test, test._testMethodName)
    layer = getattr(method, "__func__", method)
    while layer is not None:
        yield layer
        layer = getattr(layer, "__wrapped__", None)


def forget(test: TestCase) -> None:
    """Take away the score and the leaderboard value that an earlier run left on the function."""
    for layer in _layers(test):
        for name in ("__score__", "__leaderboard_value__"):
            vars(layer).pop(name, None)


def weight(test: TestCase) -> float | None:
    """Return the test's points, or None if it has none. Raises GraderFault if they are not points."""
    for layer in _layers(test):
        if hasattr(layer, "__weight__"):
            return _number(layer.__weight__, "its points", math.inf)
    return None


def set_score(test: TestCase, points: float) -> float | None:
    """Return the score the test set in this run, or None. Raises GraderFault if it is out of range."""
    for layer in _layers(test):
        if "__score__" in vars(layer):
            return _number(layer.__score__, "the score it set", points)  # type: ignore[attr-defined]  # set by the library
    return None


def is_partial(test: TestCase) -> bool:
    """Say whether the test is decorated with `partial_credit`."""
    return any(getattr(layer, "__code__", None) is _PARTIAL_CODE for layer in _layers(test))


def leaderboard(test: TestCase) -> tuple[str, Any, str] | None:
    """Return column, value and order if the test set a leaderboard value in this run, else None."""
    for layer in _layers(test):
        if "__leaderboard_value__" in vars(layer):
            value = layer.__leaderboard_value__  # type: ignore[attr-defined]  # set by the library
            if not isinstance(value, str):
                value = _number(value, "its leaderboard value", None)
            return layer.__leaderboard_column__, value, layer.__leaderboard_sort_order__  # type: ignore[attr-defined]  # set by the library
    return None


def _number(value: object, what: str, top: float | None) -> float:
    """Return value as a finite float, within 0..top unless top is None."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise GraderFault(f"expected a number as {what}, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise GraderFault(f"expected a finite number as {what}, got {number}")
    if top is None:
        return number
    slack = _SLACK * top if math.isfinite(top) else 0.0
    if not -slack <= number <= top + slack:
        raise GraderFault(f"expected a number from 0 to {top:g} as {what}, got {number}")
    return min(max(number, 0.0), top)
