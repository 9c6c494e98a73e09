"""The calls on the student's model, made as the notebook makes them.

Every call builds its own model under fixed seeds, so that no call depends on those before it. Where a
reason is a Refusal, `Refuse` carries it; what the student's code raises passes through.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.assignment import CLASS_NAME, MATRICES
from autograder.sandbox.calls import (
    Answer,
    CountOperations,
    Describe,
    Forward,
    Gradients,
    RecordedOutput,
    Refusal,
    Sizes,
    Weights,
)
from autograder.sandbox.worker.tensors import FLOATS, Tensor, describe, float_tensor, read_tensor

_FIXED_SEED: Final = 0
_seed_random = random.seed
_seed_numpy = np.random.seed
_seed_torch = torch.default_generator.manual_seed
_randn = torch.randn
_zeros = torch.zeros
_generator = torch.Generator
_backward = torch.Tensor.backward
_to = torch.Tensor.to
_from_numpy = torch.from_numpy
_is_lazy = torch.nn.parameter.is_lazy

Arrays = dict[str, npt.NDArray[Any]]


class Refuse(Exception):
    """Ends a call with this refusal."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves its hook untyped
    """Counts the tensor operations that reach the dispatcher."""

    count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True imports torch._dynamo, 0.7 s, to keep it from compiling this class

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


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
    arrays: Arrays = {}
    for name, value in model.state_dict().items():
        kind = "buffer"
        if name in parameters:
            kind = "trainable" if parameters[name].requires_grad else "frozen"
        arrays[f"{kind} {name}"] = np.array(tuple(getattr(value, "shape", ())), dtype=np.int64)
    return arrays


def forward(cls: Callable[..., Any], call: Forward) -> Arrays:
    """See calls.Forward."""
    model = build(cls, call.sizes)
    load_weights(model, call.weights)
    return {"output": read_tensor(checked(model(float_tensor(call.seq))))}


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
            array = read_tensor(gradient)
            arrays[name] = array if name == "pos" else np.ascontiguousarray(array.T)
    return arrays


def count_operations(cls: Callable[..., Any], call: CountOperations) -> Arrays:
    """See calls.CountOperations."""
    model = build(cls, call.sizes)
    counts = []
    for seq_len in call.seq_lens:
        inputs = _randn(seq_len, call.sizes.input_dim, generator=_generator().manual_seed(_FIXED_SEED))
        counter = _Counter()  # type: ignore[no-untyped-call] # untyped in torch
        with counter:
            model(inputs)
        counts.append(counter.count)
    return {"counts": np.array(counts, dtype=np.int64)}


def recorded_output(cls: Callable[..., Any], call: RecordedOutput) -> Arrays:
    """See calls.RecordedOutput."""
    model = build(cls, call.sizes, call.seed)
    output = read_tensor(checked(model(_randn(call.seq_len, call.sizes.input_dim))))
    flat = output.astype(np.float64).reshape(-1)
    return {"shape": np.array(output.shape, dtype=np.int64), "output": flat}


_MAKERS: Final[dict[type, Callable[[Callable[..., Any], Any], Arrays]]] = {
    Describe: describe_model,
    Forward: forward,
    Gradients: gradients,
    CountOperations: count_operations,
    RecordedOutput: recorded_output,
}


def answer(namespace: Mapping[str, Any], call: Any) -> Answer:
    """Make one call. Raises Refuse, and whatever the student's code raises."""
    return Answer(_MAKERS[type(call)](model_class(namespace), call))
