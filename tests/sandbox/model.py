"""A model that answers, with a place where a test puts what it wants to happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from autograder.sandbox.calls import Cell, Forward, Sizes, Weights
from autograder.sandbox.host import DEFAULT_LIMITS

SHORT: Final = replace(DEFAULT_LIMITS, load_cpu=0.5, call_cpu=1.0, wall_factor=20.0)
"""Limits that a test can wait for, if what it runs computes."""
IMPATIENT: Final = replace(SHORT, load_cpu=1.0, wall_factor=2.0)
"""Limits that a test can wait for, if what it runs sleeps."""

SIZES: Final = Sizes(2, 2, 2, None, 6)
_WEIGHTS: Final = Weights(np.eye(2), np.eye(2), np.eye(2))

_SOURCE: Final = """
import ctypes, os, sys, threading, time
import torch
import torch.nn as nn

class PytorchTransformer(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.Km = nn.Linear(input_dim, qk_dim, bias=False)
        self.Qm = nn.Linear(input_dim, qk_dim, bias=False)
        self.Vm = nn.Linear(input_dim, v_dim, bias=False)

    def forward(self, seq):
        if len(seq) == 3:
            {action}
        return self.Vm(seq)
"""

HONEST: Final = Forward(SIZES, _WEIGHTS, np.ones((2, 2)))
"""A call that the model answers."""
TRIGGER: Final = Forward(SIZES, _WEIGHTS, np.ones((3, 2)))
"""A call in which `action` happens."""


def program(action: str = "pass", beside: str = "") -> list[Cell]:
    """The model, with this statement in the call that triggers it, and code in a cell of its own."""
    return [Cell("cell 1", _SOURCE.format(action=action)), Cell("cell 2", beside)]
