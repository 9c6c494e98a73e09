"""What torch does only on first use, done once in the fork server: each child would pay for it again."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import json
import linecache
import random
import tempfile
import typing

import numpy as np
import numpy.typing
import torch

from autograder.sandbox.calls import CountOperations, Gradients, Sizes, Weights
from autograder.sandbox.worker import model

PRELOADED: typing.Final = (dataclasses, datetime, inspect, json, linecache, random, numpy.typing)
"""The assignment's own imports."""


class _Attention(torch.nn.Module):
    """The smallest model that takes the ways a student's model takes."""

    def __init__(self, input_dim: int, qk_dim: int, v_dim: int, pos_dim: int, max_seq_len: int) -> None:
        super().__init__()
        self.pos = torch.nn.Embedding(max_seq_len, pos_dim)
        self.Km = torch.nn.Linear(input_dim + pos_dim, qk_dim, bias=False)
        self.Qm = torch.nn.Linear(input_dim + pos_dim, qk_dim, bias=False)
        self.Vm = torch.nn.Linear(input_dim + pos_dim, v_dim, bias=False)

    def forward(self, seq: torch.Tensor) -> torch.Tensor:
        """As the assignment asks for, twice over."""
        seq = torch.cat([seq, self.pos(torch.arange(len(seq)))], dim=-1)
        scores: torch.Tensor = self.Qm(seq) @ self.Km(seq).T
        values: torch.Tensor = self.Vm(seq)
        return torch.nn.functional.softmax(scores, dim=-1) @ values


def up() -> None:
    """Set one thread, and run each kind of call once."""
    torch.set_num_threads(1)
    tempfile.tempdir = "/tmp"  # noqa: S108 named, never used: torch's optimizers ask where it is
    sizes = Sizes(2, 2, 2, 1, 3)
    weights = Weights(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1)))
    model.gradients(_Attention, Gradients(sizes, weights, np.ones((3, 2)), np.ones((3, 2))))
    model.count_operations(_Attention, CountOperations(sizes, (1,)))
    inspect.getsource(_Attention.forward)
