"""What is used of torch and NumPy on the student's values, taken before any student code could patch it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

Tensor: Final = torch.Tensor
_detach = torch.Tensor.detach
_to = torch.Tensor.to
_contiguous = torch.Tensor.contiguous
_resolve_conj = torch.Tensor.resolve_conj
_resolve_neg = torch.Tensor.resolve_neg
_numpy = torch.Tensor.numpy
_from_numpy = torch.from_numpy
_array = np.array
_plain = torch._C.DisableTorchFunctionSubclass
_type_name = type.__dict__["__name__"].__get__

FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_tensor(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The numbers of a tensor, of a subclass too; bfloat16, which NumPy lacks, as float32."""
    with _plain():
        plain = _resolve_neg(_resolve_conj(_detach(tensor)))
        if plain.dtype is torch.bfloat16:
            plain = _to(plain, torch.float32)
        return _array(_numpy(_contiguous(_to(plain, "cpu"))), order="C")


def float_tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """A new float32 tensor of these numbers, as torch.FloatTensor(array) rounds them."""
    return _from_numpy(_array(array, dtype=np.float32, order="C"))


def describe(value: Any) -> str:
    """What a value is, in a few words that its own class has no say in."""
    if value is None:
        return "None"
    kind = type(value)
    if kind is tuple or kind is list:
        return f"a {_type_name(kind)} of {len(value)}"
    if kind is np.ndarray:
        return f"a NumPy array of shape {value.shape}"
    name: str = _type_name(kind)[:80]
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
