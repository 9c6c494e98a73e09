"""What stands in for packages and names that are not here.

Plots and notebook helpers go nowhere: modules of these names give objects that absorb every use, even where
the real packages are installed, so that every machine gives the same result. A package that is not here gets
a stand-in (`Lacking`): annotations, decorators and base classes work with it, and what is computed with it
says so. Names that other versions of Python and NumPy have are added.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import math
import opcode
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np
import torch
import typing_extensions  # torch imports it in any case

ROOTS: Final = frozenset(
    {
        *("matplotlib", "mpl_toolkits", "seaborn", "plotly", "bokeh", "altair", "pylab"),
        *("IPython", "ipywidgets", "google", "tqdm", "torchviz", "graphviz", "wandb", "tensorboard"),
        *("import_ipynb", "nbimporter", "importnb", "jdc"),  # what these do, the grader does itself
    }
)
_WRITERS: Final = "torch.utils.tensorboard"
_MAX_AXES: Final = 10_000
_UNPACK: Final = opcode.opmap["UNPACK_SEQUENCE"]


class _Base:
    """What a class becomes that derives from something absorbed."""


class Absorb:
    """Takes any call, attribute, item, operator and `with`, and gives itself back.

    Iterating gives nothing, but for unpacking: `fig, (left, right) = plt.subplots(1, 2)` gets as many
    as it asks for, which is read from the bytecode that asks.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # protocols are told that they are not there
            raise AttributeError(name)
        return _axes if name == "subplots" else self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Itself, whatever is asked."""
        return self

    def __iter__(self) -> Iterator[Any]:
        frame = sys._getframe(1)
        code, at = frame.f_code.co_code, frame.f_lasti
        count = code[at + 1] if 0 <= at < len(code) - 1 and code[at] == _UNPACK else 0
        return iter([self] * count)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_Base,)


def _giving(answer: Any) -> Callable[..., Any]:
    return lambda self, *args: answer


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "or", "and", "matmul"):
    setattr(Absorb, f"__{_name}__", Absorb.__call__)
    setattr(Absorb, f"__r{_name}__", Absorb.__call__)
for _name in ("neg", "pos", "invert", "abs", "enter", "getitem"):
    setattr(Absorb, f"__{_name}__", Absorb.__call__)
for _name in ("setattr", "setitem", "delitem", "exit"):
    setattr(Absorb, f"__{_name}__", _giving(None))
for _name in ("contains", "instancecheck", "subclasscheck"):
    setattr(Absorb, f"__{_name}__", _giving(False))
for _name, _number in {"len": 0, "int": 0, "index": 0, "float": 0.0, "bool": True}.items():
    setattr(Absorb, f"__{_name}__", _giving(_number))
setattr(Absorb, "__repr__", _giving("<not available while grading>"))  # noqa: B010 as the others

NOTHING: Final = Absorb()


class Progress(Absorb):
    """`tqdm(iterable)`: hands the iterable's items through, shows nothing."""

    def __init__(self, iterable: Iterable[Any] = (), *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, "_items", iterable)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def _trange(*bounds: int, **kwargs: Any) -> Progress:
    return Progress(range(*bounds))


def _axes(nrows: int = 1, ncols: int = 1, *args: Any, squeeze: bool = True, **kwargs: Any) -> Any:
    """`Figure.subplots`: as many axes as were asked for, so that a loop over them runs its body."""
    axes = np.empty((nrows, ncols) if 0 < nrows * ncols <= _MAX_AXES else (1, 1), dtype=object)
    for place in np.ndindex(axes.shape):
        axes[place] = NOTHING
    return axes if not squeeze else axes[0, 0] if axes.size == 1 else axes.squeeze()


def _subplots(*args: Any, **kwargs: Any) -> Any:
    return NOTHING, _axes(*args, **kwargs)


class _LightningModule(torch.nn.Module):
    """A base class of a package that is not here: nn.Module, and what such classes are asked in __init__."""

    def _ignored(self, *args: Any, **kwargs: Any) -> None:
        pass

    save_hyperparameters = log = log_dict = _ignored


class Lacking(Absorb):
    """What an absent package gives. path: "pytorch_lightning.LightningModule".

    A decorator returns its function, a class that ends in Module is nn.Module as a base. All that is computed
    with one is one again, up to where a number is needed: there it raises ModuleNotFoundError.
    """

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "path", path)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Lacking(f"{self.path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What it decorates, or itself."""
        decorates = len(args) == 1 and not kwargs and isinstance(args[0], (FunctionType, type))
        return args[0] if decorates else self

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_LightningModule if self.path.endswith("Module") else _Base,)

    __instancecheck__ = _giving(True)  # `isinstance(x, Float[Tensor, "n d"])` is asserted, hardly ever asked

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [*args, *(kwargs or {}).values()]
        given += [inner for value in given if isinstance(value, (list, tuple)) for inner in value]
        return next(value for value in given if isinstance(value, Lacking))

    __array_ufunc__ = __array_function__ = Absorb.__call__

    def _raise(self, *args: Any, **kwargs: Any) -> Any:
        root = self.path.partition(".")[0]
        raise ModuleNotFoundError(f"No module named {root!r}", name=root)

    __int__ = __index__ = __float__ = __array__ = _raise

    def __repr__(self) -> str:
        return f"<{self.path}, not available while grading>"


def _patch(function: Any) -> Any:
    """fastcore's: make the function a method of the class that its first argument is annotated with."""
    owner = function.__annotations__[function.__code__.co_varnames[0]]
    if isinstance(owner, str):
        owner = eval(owner, function.__globals__)  # noqa: S307 the student's own annotation
    return _patch_to(*(owner if isinstance(owner, tuple) else typing.get_args(owner) or (owner,)))(function)


def _patch_to(*owners: type, **kwargs: Any) -> Callable[[Any], Any]:
    def patch(function: Any) -> Any:
        for cls in owners:
            setattr(cls, function.__name__, function)
        return function.__globals__.get(function.__name__)

    return patch


_KNOWN: Final[dict[str, dict[str, Any]]] = {
    "tqdm": {"tqdm": Progress, "tqdm_notebook": Progress, "trange": _trange, "tnrange": _trange},
    "matplotlib": {"subplots": _subplots},
    "pylab": {"subplots": _subplots},
    "fastcore": {"patch": _patch, "patch_to": _patch_to},
}
"""What is more than absorbed, by the package's name."""


class _StubModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        root = self.__name__.partition(".")[0]
        other = NOTHING if root in ROOTS or root == "torch" else Lacking(f"{self.__name__}.{name}")
        return _KNOWN.get(root, {}).get(name, other)


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self) -> None:
        self.absent: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.partition(".")[0]
        if root not in ROOTS and root not in self.absent and fullname != _WRITERS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__all__"] = list(_KNOWN.get(module.__name__.partition(".")[0], ()))


_FINDER: Final = _StubFinder()
_missing_of = ImportError.__dict__["name"].__get__


def stand_in(error: BaseException) -> bool:
    """Give the package that could not be imported a stand-in; False if the error says nothing such.

    Only where the program did not catch the error: what it does without a package is its own affair.
    """
    name = _missing_of(error) if issubclass(type(error), ModuleNotFoundError) else None
    if type(name) is not str or not name.isidentifier() or name in sys.modules or name in _FINDER.absent:
        return False
    _FINDER.absent.append(name)
    return True


def absent() -> tuple[str, ...]:
    """The packages that got a stand-in, in order."""
    return tuple(_FINDER.absent)


_OF_TYPING: Final = ("LiteralString", "Never", "Self", "assert_never", "assert_type", "override")
"""Of Python 3.11 and 3.12. Not all that typing_extensions has: torch looks for some, to tell the version."""
_OF_NUMPY_1: Final[dict[str, Any]] = {
    **dict.fromkeys(("Inf", "Infinity", "PINF", "infty"), np.inf),
    **{"NINF": -np.inf, "NaN": np.nan, "NAN": np.nan, "PZERO": 0.0, "NZERO": -0.0},
    **{"float": float, "int": int, "bool": bool, "complex": complex, "object": object, "str": str},
    **{"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_, "string_": np.bytes_},
    **{"alltrue": np.all, "sometrue": np.any, "product": np.prod, "cumproduct": np.cumprod},
    **{"mat": np.asmatrix, "round_": np.round, "row_stack": np.vstack, "math": math},
    **{"asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype=dtype), "asscalar": lambda a: a.item()},
    **{"in1d": np.isin, "msort": lambda a: np.sort(a, axis=0), "trapz": getattr(np, "trapezoid", None)},
}
"""What NumPy took away since 1.16, and a model or a matrix may be written with."""


def install() -> None:
    """Put the stubs before every other module; add what a notebook has beside builtins, and older names."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _FINDER)
    builtins.__dict__.update(get_ipython=NOTHING, display=NOTHING)
    for name in _OF_TYPING:
        if not hasattr(typing, name):
            setattr(typing, name, getattr(typing_extensions, name))
    for name, value in _OF_NUMPY_1.items():
        if name not in vars(np):
            setattr(np, name, value)
