"""Trains a model as the assignment's loop does: plain SGD on the mean squared error, one sequence a step.

A training is cut into calls, so that the host hears how far it is; the model stays here between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch

from autograder.sandbox.calls import Answer, Refusal, Sizes, Train
from autograder.sandbox.worker.model import Arrays, Refuse, build, checked, model_class
from autograder.sandbox.worker.tensors import Tensor, float_tensor, read_tensor

_backward = torch.Tensor.backward
_mse_loss = torch.nn.functional.mse_loss
_no_grad = torch.no_grad
_SOFTMAX: Final = torch.nn.functional.softmax
_in_training: dict[str, Any] = {}


class ReferenceModel(torch.nn.Module):
    """The assignment's model, for a student whose own cannot be trained."""

    def __init__(
        self, input_dim: int, qk_dim: int, v_dim: int, pos_dim: int | None, max_seq_len: int
    ) -> None:
        super().__init__()
        self.pos = None if pos_dim is None else torch.nn.Embedding(max_seq_len, pos_dim)
        total_dim = input_dim + (pos_dim or 0)
        self.Km = torch.nn.Linear(total_dim, qk_dim, bias=False)
        self.Qm = torch.nn.Linear(total_dim, qk_dim, bias=False)
        self.Vm = torch.nn.Linear(total_dim, v_dim, bias=False)

    def forward(self, seq: torch.Tensor) -> torch.Tensor:
        """(seq_len, input_dim) to (seq_len, v_dim)."""
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[: len(seq)]], dim=-1)
        queries: torch.Tensor = self.Qm(seq)  # (seq_len, qk_dim)
        scores = queries @ self.Km(seq).T / math.sqrt(queries.shape[-1])  # (seq_len, seq_len)
        values: torch.Tensor = self.Vm(seq)  # (seq_len, v_dim)
        return _SOFTMAX(scores, dim=-1) @ values


def answer(namespace: Mapping[str, Any], call: Train) -> Answer:
    """See calls.Train. Raises Refuse, and whatever the student's code raises."""
    model = _in_training.pop("model", None)
    if not call.resume:
        model = build(_class(namespace, call.reference), call.sizes, call.seed)
    elif model is None:
        raise ValueError("there is no training to go on with")
    losses = _steps(model, call)
    arrays = _weights(model, call.sizes)
    _in_training["model"] = model
    return Answer({"losses": losses, **arrays})


def _class(namespace: Mapping[str, Any], reference: bool) -> Callable[..., Any]:
    return ReferenceModel if reference else model_class(namespace)


def _steps(model: Any, call: Train) -> Any:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    losses = np.zeros(len(call.lengths))
    for step, length in enumerate(call.lengths):
        output = checked(model(float_tensor(call.inputs[step, :length])))[call.ignored :]
        target = float_tensor(call.targets[step, : length - call.ignored])
        if output.shape != target.shape:  # the loss would broadcast
            expected = tuple(target.shape)
            raise ValueError(f"the output has the shape {tuple(output.shape)}, expected {expected}")
        if not output.requires_grad:
            raise Refuse(Refusal.NO_GRADIENT, "")
        loss = _mse_loss(output, target)
        for parameter in parameters:
            parameter.grad = None
        _backward(loss)  # type: ignore[no-untyped-call] # untyped in torch
        # What torch.optim.SGD does without momentum; making one imports sympy.
        with _no_grad():
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-call.learning_rate)
        losses[step] = read_tensor(loss)
    return losses


def _weights(model: Any, sizes: Sizes) -> Arrays:
    parameters = dict(model.named_parameters())
    arrays: Arrays = {}
    for name in ("Km", "Qm", "Vm", *(() if sizes.pos_dim is None else ("pos",))):
        weight = parameters.get(f"{name}.weight")
        if not isinstance(weight, Tensor):
            raise Refuse(Refusal.MISSING_LAYER, f"{name}.weight not found")
        array = read_tensor(weight).astype(np.float64)
        arrays[name] = array if name == "pos" else np.ascontiguousarray(array.T)
    return arrays
