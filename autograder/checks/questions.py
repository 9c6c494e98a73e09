"""What every upload's code is asked, by name; the checks judge the answers by the same names.

The questions are the same for every upload and hold no expected value.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import MappingProxyType
from typing import Final

from autograder import settings
from autograder.assignment import MODEL_RECORD_SEED, MODEL_RECORD_SEQ_LEN, MODEL_RECORD_SIZES, TEST_SEED, Task
from autograder.sandbox.calls import (
    Call,
    CountOperations,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Sizes,
    TaskMatrices,
    Weights,
)
from reference.cases import (
    COINCIDING_SIZES,
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    FOR_GRADIENTS,
    OTHER_SIZES,
    Case,
    equivalence_cases,
    random_cases,
)

WITHOUT: Final = "without positions"
WITH: Final = "with positions"
OTHER: Final = "other sizes"
GRADIENT: Final = "gradients"

DESCRIBE: Final = {WITHOUT: Sizes(5, 3, 4, None, 10), WITH: Sizes(5, 3, 4, 2, 9)}
"""Sizes at which the layers are looked at: no two dimensions are the same."""
OPERATIONS: Final = {WITHOUT: Sizes(5, 3, 4, None, 12), WITH: Sizes(5, 3, 4, 2, 12)}
SEQ_LENS: Final = (4, 9)
"""Two lengths at which tensor operations are counted, both below max_seq_len."""
RECORDED: Final = "recorded output"


@cache
def cases(group: str) -> dict[str, Case]:
    """The cases of a group (WITHOUT, WITH, OTHER, GRADIENT), by the name of their question."""
    if group == OTHER:
        return _named(OTHER, random_cases((*OTHER_SIZES, *COINCIDING_SIZES), settings.OTHER_SIZES_SEED))
    if group == GRADIENT:
        return _named(GRADIENT, random_cases(FOR_GRADIENTS, settings.GRADIENT_SEED))
    notebook = [
        case for case in equivalence_cases(TEST_SEED) if (case.sizes.pos_dim is None) == (group == WITHOUT)
    ]
    sizes = EXTRA_WITHOUT_POSITIONS if group == WITHOUT else EXTRA_WITH_POSITIONS
    extra = random_cases(sizes, settings.EXTRA_CASES_SEED)
    return _named(f"{group}, notebook", notebook) | _named(f"{group}, extra", extra)


@cache
def questions() -> MappingProxyType[str, Call]:
    """Every question, in the order in which they are asked: what is cheap and safe comes first."""
    asked: dict[str, Call] = {matrices(task): TaskMatrices(task) for task in Task}
    asked |= {describe(group): Describe(sizes) for group, sizes in DESCRIBE.items()}
    for group in (WITHOUT, WITH, OTHER):
        asked |= {
            name: Forward(_sizes(case), _weights(case), case.seq) for name, case in cases(group).items()
        }
        if group == WITHOUT:  # not before: how a model dies is explained where it is held to the reference
            asked[RECORDED] = RecordedOutput(
                MODEL_RECORD_SEED, Sizes(*MODEL_RECORD_SIZES), MODEL_RECORD_SEQ_LEN
            )
    asked |= {
        name: Gradients(_sizes(case), _weights(case), case.seq, case.upstream)
        for name, case in cases(GRADIENT).items()
    }
    asked |= {operations(group): CountOperations(sizes, SEQ_LENS) for group, sizes in OPERATIONS.items()}
    return MappingProxyType(asked)


def matrices(task: Task) -> str:
    """Name of the question for a task's matrices."""
    return f"matrices, {task.value}"


def describe(group: str) -> str:
    """Name of the question for the model's layers."""
    return f"layers, {group}"


def operations(group: str) -> str:
    """Name of the question for the number of tensor operations."""
    return f"operations, {group}"


def _named(prefix: str, found: Iterable[Case]) -> dict[str, Case]:
    return {f"{prefix} {i}": case for i, case in enumerate(found, start=1)}


def _sizes(case: Case) -> Sizes:
    s = case.sizes
    return Sizes(s.input_dim, s.qk_dim, s.v_dim, s.pos_dim, s.max_seq_len)


def _weights(case: Case) -> Weights:
    t = case.transformer
    return Weights(t.Km, t.Qm, t.Vm, t.pos)
