"""The calls on the student's model, made as the notebook makes them.

Every call builds its own model under fixed seeds, so that no call depends on those before it. Where a
reason is a Refusal, `Refuse` carries it; what the student's code raises passes through.
"""

from __future__ import annotations

import inspect
import math
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch

from autograder.assignment import CLASS_NAME, LAYERS, MATRICES
from autograder.sandbox import calls
from autograder.sandbox.calls import Answer, Refusal, Sizes
from autograder.sandbox.worker import operations
from autograder.sandbox.worker.values import FLOATS, Tensor, describe_value, float_tensor, read_tensor

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
_is_lazy = torch.nn.parameter.is_lazy
_mse_loss = torch.nn.functional.mse_loss
_no_grad = torch.no_grad

Arrays = dict[str, npt.NDArray[Any]]


class Refuse(Exception):
    """Ends a call with a refusal: its reason and detail."""


def call_model(namespace: Mapping[str, Any], call: Any, labels: Mapping[str, int]) -> Answer:
    """Make one call; labels: number of each cell. Raises Refuse, and whatever the student's code raises."""
    is_reference = isinstance(call, calls.Train) and call.reference
    cls: Any = ReferenceModel if is_reference else namespace.get(CLASS_NAME)
    if not callable(cls):
        raise Refuse(Refusal.NO_CLASS, "" if cls is None else f"{CLASS_NAME} is {describe_value(cls)}")
    if isinstance(call, calls.RecordedOutput):
        return Answer(recorded_output(cls, call))
    if isinstance(call, calls.Train):
        return Answer(train(build(cls, call.sizes, call.seed), call))
    if isinstance(call, calls.Describe):
        return Answer(describe_model(build(cls, call.sizes), call.sizes))
    model = build(cls, call.sizes)
    load_weights(model, call.weights)
    return Answer(forward(model, call, labels) if isinstance(call, calls.Forward) else gradients(model, call))


def seed_all(seed: int) -> None:
    """Seed every generator, as the notebook's set_random_seed does."""
    _seed_random(seed)
    _seed_numpy(seed)
    _seed_torch(seed)


def build(cls: Callable[..., Any], sizes: Sizes, seed: int = _FIXED_SEED) -> Any:
    """A new model, built under this seed."""
    seed_all(seed)
    return cls(sizes.input_dim, sizes.qk_dim, sizes.v_dim, sizes.pos_dim, sizes.max_seq_len)


def load_weights(model: Any, weights: calls.Weights) -> None:
    """As the notebook does: into the state dict by name, then load_state_dict."""
    state = model.state_dict()
    new = {"Km.weight": weights.Km.T, "Qm.weight": weights.Qm.T, "Vm.weight": weights.Vm.T}
    if weights.pos is not None:
        new["pos.weight"] = weights.pos
    _refuse_missing(new, state)
    for name, matrix in new.items():
        shape = matrix.shape if _is_lazy(state[name]) else tuple(state[name].shape)
        if shape != matrix.shape:
            raise Refuse(Refusal.LAYER_SHAPE, f"{name} is {shape}, expected {matrix.shape}")
        state[name] = float_tensor(matrix)
    model.load_state_dict(state)


def _refuse_missing(wanted: Iterable[str], there: Mapping[str, Any]) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        found = ", ".join(map(str, there)) or "nothing"
        raise Refuse(Refusal.MISSING_LAYER, f"{', '.join(missing)} not found; there is {found}")


def checked(output: Any) -> torch.Tensor:
    """The output, if it is a tensor of floating-point numbers."""
    if not isinstance(output, Tensor):
        raise Refuse(Refusal.NOT_A_TENSOR, describe_value(output))
    if output.dtype not in FLOATS:
        raise Refuse(Refusal.BAD_DTYPE, str(output.dtype).removeprefix("torch."))
    return output


def connected(output: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """The output, if it has gradients and this shape too: a loss of another one would broadcast."""
    if not checked(output).requires_grad:
        raise Refuse(Refusal.NO_GRADIENT, "")
    if tuple(output.shape) != shape:
        raise ValueError(f"the output has the shape {tuple(output.shape)}, expected {shape}")
    return cast(torch.Tensor, output)


def describe_model(model: Any, sizes: Sizes) -> Arrays:
    """See calls.Describe."""
    if any(_is_lazy(parameter) for parameter in model.parameters()):  # the first call gives them shapes
        model(_zeros(1, sizes.input_dim))
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


def forward(model: Any, call: calls.Forward, labels: Mapping[str, int]) -> Arrays:
    """See calls.Forward; labels: number of each cell."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    weights = [parameters.get(f"{name}.weight") for name in LAYERS]
    output, counted = operations.watch(lambda: checked(model(float_tensor(call.seq))), weights, labels)
    return {"output": read_tensor(output), **counted}


def gradients(model: Any, call: calls.Gradients) -> Arrays:
    """See calls.Gradients."""
    output = connected(model(float_tensor(call.seq)), call.upstream.shape)
    upstream = _to(float_tensor(call.upstream), output.dtype)
    # A scalar, since backward with a gradient argument imports sympy, 0.4 s, to compare the shapes.
    _backward((output * upstream).sum())  # type: ignore[no-untyped-call] # untyped in torch
    return _as_given({name: weight.grad for name, weight in model.named_parameters()})


def _as_given(weights: Mapping[str, Any]) -> Arrays:
    """The matrices among the weights, in NumPy's orientation."""
    found = {name: weights.get(f"{name}.weight") for name in MATRICES}
    arrays = {name: read_tensor(weight) for name, weight in found.items() if isinstance(weight, Tensor)}
    return {name: array if name == "pos" else np.ascontiguousarray(array.T) for name, array in arrays.items()}


def recorded_output(cls: Callable[..., Any], call: calls.RecordedOutput) -> Arrays:
    """See calls.RecordedOutput."""

    def record() -> npt.NDArray[np.float64]:
        model = build(cls, call.sizes, call.seed)
        output = checked(model(_randn(call.seq_len, call.sizes.input_dim)))
        return read_tensor(output).astype(np.float64)

    output = record()
    arrays = {"shape": np.array(output.shape, dtype=np.int64), "output": output.reshape(-1)}
    codes = (getattr(value, "__code__", None) for value in vars(cls).values())
    if any(_TRUNCATED in code.co_names for code in codes if isinstance(code, CodeType)):
        newer = getattr(torch.nn.init, _DRAW)
        setattr(torch.nn.init, _DRAW, _draw_truncated)
        try:
            arrays["older"] = record().reshape(-1)
        finally:
            setattr(torch.nn.init, _DRAW, newer)
    return arrays


def _draw_truncated(
    tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: Any = None
) -> torch.Tensor:
    """As torch drew up to 2.12, other numbers for the same seed: the inverse of the normal distribution's
    cumulative one, at uniform numbers."""
    low, high = (math.erf((bound - mean) / std / math.sqrt(2.0)) for bound in (a, b))
    with _no_grad():
        tensor.uniform_(low, high, generator=generator).erfinv_()
        return tensor.mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)


def train(model: Any, call: calls.Train) -> Arrays:
    """See calls.Train."""
    losses = np.zeros(len(call.sequences))
    for step, (inputs, targets) in enumerate(call.sequences):
        output = connected(model(float_tensor(inputs)), (len(inputs), *targets.shape[1:]))
        loss = _mse_loss(output[-len(targets) :], float_tensor(targets))
        _backward(loss)  # type: ignore[no-untyped-call] # untyped in torch
        for weight in model.parameters():
            if weight.grad is not None:  # as torch.optim.SGD, whose import takes seconds
                weight.data.add_(weight.grad, alpha=-call.learning_rate)
                weight.grad = None
        losses[step] = read_tensor(loss)
    weights = dict(model.named_parameters(remove_duplicate=False))
    wanted = LAYERS if call.sizes.pos_dim is None else MATRICES
    _refuse_missing([f"{name}.weight" for name in wanted], weights)
    return {"losses": losses, **_as_given(weights)}


class ReferenceModel(torch.nn.Module):
    """The assignment's model, for a student whose own cannot be trained."""

    def __init__(
        self, input_dim: int, qk_dim: int, v_dim: int, pos_dim: int | None, max_seq_len: int
    ) -> None:
        super().__init__()
        self.pos = None if pos_dim is None else torch.nn.Embedding(max_seq_len, pos_dim)
        total_dim = input_dim + (pos_dim or 0)
        widths = (qk_dim, qk_dim, v_dim)
        self.Km, self.Qm, self.Vm = (torch.nn.Linear(total_dim, width, bias=False) for width in widths)

    def forward(self, seq: torch.Tensor) -> torch.Tensor:
        """(seq_len, input_dim) to (seq_len, v_dim)."""
        if self.pos is not None:
            seq = torch.cat([seq, self.pos.weight[: len(seq)]], dim=-1)
        queries: torch.Tensor = self.Qm(seq)  # (seq_len, qk_dim)
        scores = queries @ self.Km(seq).T / math.sqrt(queries.shape[-1])  # (seq_len, seq_len)
        values: torch.Tensor = self.Vm(seq)  # (seq_len, v_dim)
        return torch.softmax(scores, dim=-1) @ values


def prewarm() -> None:
    """Do once what torch does on first use only: each child would pay for it again."""
    torch.set_num_threads(1)
    tempfile.tempdir = "/tmp"  # noqa: S108 named, never used: torch's optimizers ask where it is
    sizes = Sizes(2, 2, 2, 1, 3)
    weights = calls.Weights(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1)))
    names = {CLASS_NAME: ReferenceModel}
    call_model(names, calls.Gradients(sizes, weights, np.ones((3, 2)), np.ones((3, 2))), {})
    call_model(names, calls.Forward(sizes, weights, np.ones((2, 2))), {})
    inspect.getsource(ReferenceModel.forward)
