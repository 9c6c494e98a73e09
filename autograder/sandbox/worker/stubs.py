"""What a program imports, opens and runs that is not installed: stand-ins, and the student's own files.

Plots and notebook helpers go nowhere: modules of these names give objects that absorb every use, even where
the real packages are installed, so that every machine gives the same result. A package that is not here gets
a stand-in (`Lacking`): annotations, decorators and base classes work with it, and what is computed with it
says so. Names that other versions of Python and NumPy have are added.
"""

from __future__ import annotations

import builtins
import io
import math
import opcode
import os
import pathlib
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np
import torch
import typing_extensions  # torch imports it in any case

from autograder.sandbox.calls import Cell

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


class _StubFinder(MetaPathFinder, Loader):
    def __init__(self) -> None:
        self.absent: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = fullname.partition(".")[0]
        if root not in ROOTS and root not in self.absent and fullname != _WRITERS:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
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


# --- The student's own files beside the program: what it imports, runs and opens. The jail has no folder. ---

_MAIN: Final = "__main__"
_PACKAGE: Final = "__init__"


class OwnFiles(MetaPathFinder, Loader):
    """Imports a file that came with the program, before all that is installed, as Python does from a folder.

    run: runs cells with the names of a module. A name is looked for in the folder of the program, then in
    every other: that is what lines with sys.path are for.
    """

    def __init__(self, cells: Sequence[Cell], run: Callable[[Sequence[Cell], dict[str, Any]], None]) -> None:
        self._files: dict[tuple[str, ...], list[Cell]] = {}
        for cell in cells:
            self._files.setdefault(pathlib.PurePosixPath(cell.file).parts, []).append(cell)
        self._run = run
        self.loaded: dict[str, dict[str, Any]] = {}
        """The names of each module that was imported, by the name it was imported under."""

    def install(self, program: ModuleType) -> None:
        """From now on, `import` and `open` find them, if there are any."""
        if not self._files:
            return
        program.__package__, program.__path__ = _MAIN, []  # `from .helpers import x`
        sys.meta_path.insert(0, self)
        builtins.open = io.open = _opener(io.open, self.at)
        accessor = getattr(pathlib, "_NormalAccessor", None)  # of Python 3.10
        if accessor is not None:
            accessor.open = staticmethod(io.open)

    def at(self, path: str) -> list[Cell]:
        """The cells of the file of this path, "helpers.py" or "/content/src/helpers.ipynb"; none: []."""
        parts = pathlib.PurePosixPath(path.replace("\\", "/")).parts
        return next((cells for start in range(len(parts)) if (cells := self._ending(parts[start:]))), [])

    def _ending(self, parts: tuple[str, ...]) -> list[Cell]:
        nearest = self._files.get(parts)
        return nearest or next((self._files[f] for f in self._files if f[-len(parts) :] == parts), [])

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a file, or of a folder that holds one."""
        parts = tuple(fullname.removeprefix(f"{_MAIN}.").split("."))
        *folder, last = parts
        module = self._ending((*folder, f"{last}.py")) or self._ending((*folder, f"{last}.ipynb"))
        package = self._ending((*parts, f"{_PACKAGE}.py"))
        spec = ModuleSpec(fullname, self, is_package=bool(package) or not module)
        spec.loader_state = package or module
        if not spec.loader_state and not any(_holds(file, parts) for file in self._files):
            return None
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Nothing of its own: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run its cells; a folder without __init__.py has none."""
        cells: list[Cell] = module.__spec__.loader_state if module.__spec__ is not None else []
        if cells:
            module.__file__ = cells[0].label
            self.loaded[module.__name__] = module.__dict__
            self._run(cells, module.__dict__)


def _holds(file: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    """Whether the file lies in a folder of this path."""
    return any(file[start : start + len(folder)] == folder for start in range(len(file) - len(folder)))


def _opener(really: Callable[..., Any], find: Callable[[str], list[Cell]]) -> Callable[..., Any]:
    """`open`, for which the files are there; none of them can be written."""

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
        cells = find(path) if mode in ("r", "rt", "rb") and isinstance(path, str) else []
        if not cells:
            return really(file, mode, *args, **kwargs)
        text = "\n".join(cell.source for cell in cells)
        return io.BytesIO(text.encode()) if mode == "rb" else io.StringIO(text)

    return opened


class Shell(Absorb):
    """`get_ipython()`: runs what `%run` names; every other magic goes nowhere. False: this is no notebook."""

    def __init__(self, run: Callable[[str], None]) -> None:
        object.__setattr__(self, "_run", run)

    def __bool__(self) -> bool:
        return False

    def getoutput(self, *args: Any) -> list[str]:
        """`x = !command`."""
        return []

    def run_line_magic(self, name: str, line: str = "", *args: Any) -> Any:
        """`%name line`."""
        if name == "run":
            self._run(line)
        return self
