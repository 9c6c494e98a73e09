"""What the assignment says: names, sizes, seeds, the log's keys, and one table of its tasks.

The assignment's notebook is the source; change these only with it. Nothing here is an expected value, so
that the worker, which runs student code, may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

CLASS_NAME: Final = "PytorchTransformer"
GIVEN_CLASS_NAME: Final = "NumpyTransformer"
"""The class that the notebook gives and the student's has to equal."""
LOG_NAME: Final = "submission_log.json"

LAYERS: Final = ("Km", "Qm", "Vm")
MATRICES: Final = (*LAYERS, "pos")

TEST_SEED: Final = 42
"""Seed of the notebook's equivalence test between the NumPy and the PyTorch transformer."""
MODEL_RECORD_SEED: Final = 1998
"""Seed under which the notebook records `torch_transformer_shape` and `_value`."""
MODEL_RECORD_SIZES: Final = (7, 4, 3, 2, 9)
"""The recorded model's input_dim, qk_dim, v_dim, pos_dim and max_seq_len."""
MODEL_RECORD_SEQ_LEN: Final = 8
MODEL_RECORD_ITEMS: Final = slice(2, 7)
"""The part of the flattened output that the notebook records."""


class Task(Enum):
    """The hand-designed tasks; the value is the tag of the section and the prefix of its log keys."""

    CONTENT = "attention_by_content"
    POSITION = "attention_by_position"
    UNIQUE = "unique_tokens"


@dataclass(frozen=True)
class TaskFacts:
    """What tells a task from the others.

    generator: the notebook's function that draws its test cases. token_dim: width of a token. v_dim: columns
    of Vm; None: any. longest: rows of the longest sequence, CLS included; pos, if has_pos, needs as many.
    optional: it may be left undone, and solved without positions. record_seed: seed under which the notebook
    draws the sequence whose output it records; None: it does not.
    """

    generator: str
    token_dim: int
    v_dim: int | None
    longest: int
    has_pos: bool
    optional: bool = False
    record_seed: int | None = None


TASK_FACTS: Final[Mapping[Task, TaskFacts]] = MappingProxyType(
    {
        Task.CONTENT: TaskFacts("generate_test_cases_identity", 3, 3, 6, has_pos=False, record_seed=1997),
        Task.POSITION: TaskFacts("generate_test_cases_first", 3, 3, 4, has_pos=True, record_seed=2017),
        Task.UNIQUE: TaskFacts("generate_test_cases_unique", 4, None, 5, has_pos=True, optional=True),
    }
)


class Section(Enum):
    """A part of the log; the value is the prefix of its keys, or its one key."""

    TIME = "time"
    MODEL = "torch_transformer"
    CONTENT = Task.CONTENT.value
    POSITION = Task.POSITION.value


LOG_KEYS: Final[Mapping[Section, tuple[str, ...]]] = MappingProxyType(
    {
        Section.TIME: ("time",),
        Section.MODEL: tuple(f"torch_transformer_{part}" for part in ("shape", "value", "init", "forward")),
        Section.CONTENT: tuple(f"attention_by_content{part}" for part in ("", "_Q", "_K", "_V")),
        Section.POSITION: tuple(f"attention_by_position{part}" for part in ("", "_pos", "_Q", "_K", "_V")),
    }
)
"""Every key that the notebook writes."""
