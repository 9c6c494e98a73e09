"""The calls on the student's model, made as the notebook makes them.

Every call builds its own model under fixed seeds, so that no call depends on those before it. Where a
reason is a Refusal, `Refuse` carries it; what the student's code raises passes through.
"""

from __future__ import annotations

import inspect
import math
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch

from autograder.assignment import CLASS_NAME, LAYERS, MATRICES
from autograder.sandbox.calls import (
    Answer,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Refusal,
    Sizes,
    Train,
    Weights,
)
from autograder.sandbox.worker import operations
from autograder.sandbox.worker.values import FLOATS, Tensor, describe, float_tensor, read_tensor

_FIXED_SEED: Final = 0
_TRUNCATED: Final = "trunc_normal_"
_DRAW: Final = "_no_grad_trunc_normal_"
_seed_random = random.seed
_seed_numpy = np.random.seed
_seed_torch = torch.default_generator.manual_seed
_randn = torch.randn
_zeros = torch.zeros
_backward = torch.Tensor.backward
_to = torch.Tensor.to
_from_numpy = torch.from_numpy
_is_lazy = torch.nn.parameter.is_lazy
_mse_loss = torch.nn.functional.mse_loss
_softmax = torch.nn.functional.softmax
_no_grad = torch.no_grad

Arrays = dict[str, npt.NDArray[Any]]


class Refuse(Exception):
    """Ends a call with this refusal."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def seed_all(seed: int) -> None:
    """Seed every generator, as the notebook's set_random_seed does."""
    _seed_random(seed)
    _seed_numpy(seed)
    _seed_torch(seed)


def model_class(namespace: Mapping[str, Any]) -> Callable[..., Any]:
    """The student's class."""
    found = namespace.get(CLASS_NAME)
    if not callable(found):
        raise Refuse(Refusal.NO_CLASS, "" if found is None else f"{CLASS_NAME} is {describe(found)}")
    return cast(Callable[..., Any], found)


def build(cls: Callable[..., Any], sizes: Sizes, seed: int = _FIXED_SEED) -> Any:
    """A new model, built under this seed."""
    seed_all(seed)
    return cls(sizes.input_dim, sizes.qk_dim, sizes.v_dim, sizes.pos_dim, sizes.max_seq_len)


def load_weights(model: Any, weights: Weights) -> None:
    """As the notebook does: into the state dict by name, then load_state_dict."""
    state = model.state_dict()
    new = {"Km.weight": weights.Km.T, "Qm.weight": weights.Qm.T, "Vm.weight": weights.Vm.T}
    if weights.pos is not None:
        new["pos.weight"] = weights.pos
    missing = [name for name in new if name not in state]
    if missing:
        found = ", ".join(str(name) for name in state) or "nothing"
        raise Refuse(Refusal.MISSING_LAYER, f"{', '.join(missing)} not found; there is {found}")
    for name, matrix in new.items():
        shape = matrix.shape if _is_lazy(state[name]) else tuple(state[name].shape)
        if shape != matrix.shape:
            raise Refuse(Refusal.LAYER_SHAPE, f"{name} is {shape}, expected {matrix.shape}")
        state[name] = float_tensor(matrix)
    model.load_state_dict(state)


def checked(output: Any) -> torch.Tensor:
    """The output, if it is a tensor of floating-point numbers."""
    if not isinstance(output, Tensor):
        raise Refuse(Refusal.NOT_A_TENSOR, describe(output))
    if output.dtype not in FLOATS:
        raise Refuse(Refusal.BAD_DTYPE, str(output.dtype).removeprefix("torch."))
    return output


def describe_model(cls: Callable[..., Any], call: Describe) -> Arrays:
    """See calls.Describe."""
    model = build(cls, call.sizes)
    if any(_is_lazy(parameter) for parameter in model.parameters()):  # the first call gives them shapes
        model(_zeros(1, call.sizes.input_dim))
    parameters = dict(model.named_parameters(remove_duplicate=False))
    own = {id(parameters[name]) for matrix in MATRICES if (name := f"{matrix}.weight") in parameters}
    arrays: Arrays = {}
    for name, value in model.state_dict().items():
        kind = "buffer"
        if name.removesuffix(".weight") not in MATRICES and id(parameters.get(name)) in own:
            kind = "alias"
        elif name in parameters:
            kind = "trainable" if parameters[name].requires_grad else "frozen"
        arrays[f"{kind} {name}"] = np.array(tuple(getattr(value, "shape", ())), dtype=np.int64)
    return arrays


def forward(cls: Callable[..., Any], call: Forward, labels: Mapping[str, int]) -> Arrays:
    """See calls.Forward; labels: number of each cell."""
    model = build(cls, call.sizes)
    load_weights(model, call.weights)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    weights = [parameters.get(f"{name}.weight") for name in LAYERS]
    output, counted = operations.watch(lambda: checked(model(float_tensor(call.seq))), weights, labels)
    return {"output": read_tensor(output), **counted}


def gradients(cls: Callable[..., Any], call: Gradients) -> Arrays:
    """See calls.Gradients."""
    model = build(cls, call.sizes)
    load_weights(model, call.weights)
    output = checked(model(float_tensor(call.seq)))
    if not output.requires_grad:
        raise Refuse(Refusal.NO_GRADIENT, "")
    if tuple(output.shape) != call.upstream.shape:  # the product below would broadcast
        raise ValueError(f"the output has the shape {tuple(output.shape)}, expected {call.upstream.shape}")
    upstream = _to(float_tensor(call.upstream), output.dtype)
    # A scalar, since backward with a gradient argument imports sympy, 0.4 s, to compare the shapes.
    _backward((output * upstream).sum())  # type: ignore[no-untyped-call] # untyped in torch
    parameters = dict(model.named_parameters())
    arrays: Arrays = {}
    for name in MATRICES:
        gradient = getattr(parameters.get(f"{name}.weight"), "grad", None)
        if isinstance(gradient, Tensor):
            arrays[name] = _as_given(name, read_tensor(gradient))
    return arrays


def _as_given(name: str, weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A weight in NumPy's orientation."""
    return weight if name == "pos" else np.ascontiguousarray(weight.T)


def recorded_output(cls: Callable[..., Any], call: RecordedOutput) -> Arrays:
    """See calls.RecordedOutput."""
    output, older = _record(cls, call), None
    if _draws_truncated(cls):
        with _older_torch():
            older = _record(cls, call)
    arrays = {"shape": np.array(output.shape, dtype=np.int64), "output": output.reshape(-1)}
    return arrays if older is None else arrays | {"older": older.reshape(-1)}


def _record(cls: Callable[..., Any], call: RecordedOutput) -> npt.NDArray[np.float64]:
    model = build(cls, call.sizes, call.seed)
    output = read_tensor(checked(model(_randn(call.seq_len, call.sizes.input_dim))))
    return output.astype(np.float64)


def _draws_truncated(cls: Callable[..., Any]) -> bool:
    """Whether a method of the class names trunc_normal_."""
    codes = (getattr(value, "__code__", None) for value in vars(cls).values())
    return any(_TRUNCATED in code.co_names for code in codes if isinstance(code, CodeType))


@contextmanager
def _older_torch() -> Iterator[None]:
    """Inside, trunc_normal_ draws as it did up to torch 2.12: other numbers, for the same seed."""
    newer = getattr(torch.nn.init, _DRAW)
    setattr(torch.nn.init, _DRAW, _draw_truncated)
    try:
        yield
    finally:
        setattr(torch.nn.init, _DRAW, newer)


def _draw_truncated(
    tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: Any = None
) -> torch.Tensor:
    """The inverse of the normal distribution's cumulative one, at uniform numbers."""
    low, high = (math.erf((bound - mean) / std / math.sqrt(2.0)) for bound in (a, b))
    with _no_grad():
        tensor.uniform_(low, high, generator=generator).erfinv_()
        return tensor.mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)


def answer(namespace: Mapping[str, Any], call: Any, labels: Mapping[str, int]) -> Answer:
    """Make one call; labels: number of each cell. Raises Refuse, and whatever the student's code raises."""
    if isinstance(call, Train):
        return train(namespace, call)
    cls = model_class(namespace)
    if isinstance(call, Forward):
        return Answer(forward(cls, call, labels))
    makers: dict[type, Any] = {
        Describe: describe_model,
        Gradients: gradients,
        RecordedOutput: recorded_output,
    }
    return Answer(makers[type(call)](cls, call))


# --- Training: plain SGD on the mean squared error, one sequence a step, as the assignment's loop does. ---


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
        return _softmax(scores, dim=-1) @ values


def train(namespace: Mapping[str, Any], call: Train) -> Answer:
    """See calls.Train. Raises Refuse, and whatever the student's code raises."""
    model = build(ReferenceModel if call.reference else model_class(namespace), call.sizes, call.seed)
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
    named = dict(model.named_parameters())
    arrays: Arrays = {"losses": losses}
    for name in LAYERS if call.sizes.pos_dim is None else MATRICES:
        weight = named.get(f"{name}.weight")
        if not isinstance(weight, Tensor):
            raise Refuse(Refusal.MISSING_LAYER, f"{name}.weight not found")
        arrays[name] = _as_given(name, read_tensor(weight).astype(np.float64))
    return Answer(arrays)


# --- The fork server. ---


def prewarm() -> None:
    """Do once what torch does on first use only: each child would pay for it again."""
    torch.set_num_threads(1)
    tempfile.tempdir = "/tmp"  # noqa: S108 named, never used: torch's optimizers ask where it is
    sizes = Sizes(2, 2, 2, 1, 3)
    weights = Weights(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1)))
    gradients(ReferenceModel, Gradients(sizes, weights, np.ones((3, 2)), np.ones((3, 2))))
    forward(ReferenceModel, Forward(sizes, weights, np.ones((2, 2))), {})
    inspect.getsource(ReferenceModel.forward)
