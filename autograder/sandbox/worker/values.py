"""What the student's code raised and gave, as plain data: neither an exception nor a value is trusted.

What is used of torch and NumPy is taken before any student code could patch it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from autograder.sandbox.calls import End, Ended, Place, Raised
from autograder.sandbox.worker.stubs import StandIn

_MAX_PLACES: Final = 8
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{4,}")
_OUT_OF_MEMORY: Final = ("DefaultCPUAllocator", "not enough memory", "std::bad_alloc")
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_name_of = NameError.__dict__["name"].__get__
_type_name = type.__dict__["__name__"].__get__

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


def describe_value(value: Any) -> str:
    """What a value is, in a few words that its own class has no say in."""
    if value is None:
        return "None"
    kind = type(value)
    if kind is StandIn and value.path:
        return f"something made with {value.path.partition('.')[0]}, which the grader does not have"
    if kind is tuple or kind is list:
        return f"a {_type_name(kind)} of {len(value)}"
    if kind is np.ndarray:
        return f"a NumPy array of shape {value.shape}"
    name: str = _type_name(kind)[:80]
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def raised(error: BaseException, labels: Mapping[str, int], max_text: int) -> Raised:
    """The error as data: only the student's own lines, outermost first; addresses blotted out, since
    the same upload has to get the same words on every run."""
    try:
        message = text_of(error, max_text)
        places = own_places(_traceback_of(error), labels)
        if issubclass(type(error), SyntaxError):  # its place is in itself, not in a traceback
            label, line, text = (getattr(error, name) for name in ("filename", "lineno", "msg"))
            if type(label) is str and label in labels:
                message = text if type(text) is str else message
                if type(line) is int and line > 0:
                    places = [*places, Place(label, line, "")]
    except BaseException:  # an exception class of the student's that raises when looked at
        message, places = "", []
    if len(places) > _MAX_PLACES:
        places = places[: _MAX_PLACES // 2] + places[-_MAX_PLACES // 2 :]
    return Raised(_type_name(type(error)), _ADDRESS.sub("0x…", message)[:max_text], tuple(places))


def missing_name(error: BaseException) -> str:
    """The name that a NameError did not find."""
    name = _name_of(error) if issubclass(type(error), NameError) else None
    return name if type(name) is str else ""


def text_of(error: BaseException, max_text: int) -> str:
    """str(error), whatever its __str__ does; only its start, if it is long."""
    try:
        text = str(error)
        return str.__getitem__(text, slice(0, max_text))
    except BaseException:
        return ""


def out_of_memory(error: BaseException) -> Ended | None:
    """The outcome, if the error says that memory ran out, in Python, NumPy or torch."""
    if issubclass(type(error), MemoryError):
        return Ended(End.MEMORY, "MemoryError")
    in_torch = issubclass(type(error), RuntimeError)
    if in_torch and any(sign in text_of(error, 1000) for sign in _OUT_OF_MEMORY):
        return Ended(End.MEMORY, "torch could not allocate memory")
    return None


def own_places(traceback: TracebackType | None, labels: Mapping[str, int]) -> list[Place]:
    """The student's own lines of a traceback, outermost first. The text is filled in by the host."""
    steps = ((frame.f_code.co_filename, line) for frame, line in walk_tb(traceback))
    return [Place(label, line or 0, "") for label, line in steps if label in labels]
