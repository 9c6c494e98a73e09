"""What a program imports, opens and runs that is not installed: stand-ins, and the student's own files.

Plots and notebook helpers go nowhere: modules of these names give stand-ins that absorb every use, even where
the real packages are installed, so that every machine gives the same result. A package that is not here gets
stand-ins, too: annotations, decorators and base classes work with them, and what is computed with them says
so. Names that other versions of Python and NumPy have are added.
"""

from __future__ import annotations

import builtins
import io
import math
import opcode
import os
import pathlib
import shlex
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


# --- Stand-ins. ---


class _LightningModule(torch.nn.Module):
    """What a stand-in named Module is as a base class: nn.Module, and what such classes ask in __init__."""

    save_hyperparameters = log = log_dict = lambda self, *args, **kwargs: None


class StandIn:
    """Takes any call, attribute, item, operator and `with`, and gives itself back.

    path: "pytorch_lightning.LightningModule", of an absent package; "": of plots and notebook helpers. Called
    with a function or a class alone, it is a decorator and gives that. Iterating gives nothing, but for
    unpacking: `fig, (left, right) = plt.subplots(1, 2)` gets as many as it asks for, which is read from the
    bytecode that asks. As a number it is 0, but an absent package's raises ModuleNotFoundError.
    """

    path: str

    def __init__(self, path: str = "") -> None:
        self.__dict__["path"] = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):  # protocols are told that they are not there
            raise AttributeError(name)
        if self.path:
            return StandIn(f"{self.path}.{name}")
        return _axes if name == "subplots" else self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What it decorates, or itself."""
        decorates = len(args) == 1 and not kwargs and isinstance(args[0], (FunctionType, type))
        return args[0] if decorates else self

    def __iter__(self) -> Iterator[Any]:
        frame = sys._getframe(1)
        code, at = frame.f_code.co_code, frame.f_lasti
        count = code[at + 1] if 0 <= at < len(code) - 1 and code[at] == _UNPACK else 0
        return iter([self] * count)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_LightningModule,) if self.path.endswith("Module") else ()

    def __instancecheck__(self, value: object) -> bool:
        return bool(self.path)  # `isinstance(x, Float[Tensor, "n d"])` is asserted, hardly ever asked

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [*args, *(kwargs or {}).values()]
        given += [inner for value in given if isinstance(value, (list, tuple)) for inner in value]
        return next(value for value in given if isinstance(value, StandIn))

    def __int__(self) -> int:
        if self.path:
            root = self.path.partition(".")[0]
            raise ModuleNotFoundError(f"No module named {root!r}", name=root)
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.zeros(int(self))

    def __repr__(self) -> str:
        return f"<{self.path} not available while grading>"


_OPERATORS: Final = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "or", "and", "matmul")
_UNARY: Final = ("neg", "pos", "invert", "abs", "enter", "getitem", "array_ufunc", "array_function")
for _name in (*_OPERATORS, *(f"r{_name}" for _name in _OPERATORS), *_UNARY):
    setattr(StandIn, f"__{_name}__", lambda self, *args, **kwargs: self)
_ANSWERS: Final = dict.fromkeys(("setattr", "setitem", "delitem", "exit"))
for _name, _answer in {**_ANSWERS, "contains": False, "subclasscheck": False, "len": 0, "bool": True}.items():
    setattr(StandIn, f"__{_name}__", lambda self, *args, answer=_answer: answer)

NOTHING: Final = StandIn()


class _Progress(StandIn):
    """`tqdm(iterable)`: hands the iterable's items through, shows nothing."""

    def __init__(self, iterable: Iterable[Any] = (), *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.__dict__["_items"] = iterable

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class _Shell(StandIn):
    """`get_ipython()`: runs what `%run` names; every other magic goes nowhere. False: this is no notebook."""

    def __bool__(self) -> bool:
        return False

    def getoutput(self, *args: Any) -> list[str]:
        """`x = !command`."""
        return []

    def run_line_magic(self, name: str, line: str = "", *args: Any) -> Any:
        """`%name line`."""
        return IMPORTS.run_file(line) if name == "run" else self


def _axes(nrows: int = 1, ncols: int = 1, *args: Any, squeeze: bool = True, **kwargs: Any) -> Any:
    """`Figure.subplots`: as many axes as were asked for, so that a loop over them runs its body."""
    axes = np.empty((nrows, ncols) if 0 < nrows * ncols <= _MAX_AXES else (1, 1), dtype=object)
    for place in np.ndindex(axes.shape):
        axes[place] = NOTHING
    return axes if not squeeze else axes[0, 0] if axes.size == 1 else axes.squeeze()


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


_SUBPLOTS: Final = {"subplots": lambda *args, **kwargs: (NOTHING, _axes(*args, **kwargs))}
_KNOWN: Final[dict[str, dict[str, Any]]] = {
    "tqdm": {
        **dict.fromkeys(("tqdm", "tqdm_notebook"), _Progress),
        **dict.fromkeys(("trange", "tnrange"), lambda *bounds, **kwargs: _Progress(range(*bounds))),
    },
    "matplotlib": _SUBPLOTS,
    "pylab": _SUBPLOTS,
    "fastcore": {"patch": _patch, "patch_to": _patch_to},
}
"""What is more than absorbed, by the package's name."""


# --- Imports, and what the student's own files beside the program are for: the jail has no folder. ---

_MAIN: Final = "__main__"
_open = io.open
_missing_of = ImportError.__dict__["name"].__get__


class Imports(MetaPathFinder, Loader):
    """Imports the files that came with the program, as Python does from a folder, and stand-ins.

    A name is looked for in the folder of the program, then in every other: that is what lines with sys.path
    are for. loaded: the names of each such module that was imported. absent: the packages that got a
    stand-in, in order.
    """

    def __init__(self) -> None:
        self.absent: list[str] = []
        self.loaded: dict[str, dict[str, Any]] = {}
        self._files: dict[str, list[Cell]] = {}

    def bring(
        self,
        cells: Sequence[Cell],
        run: Callable[[Sequence[Cell], dict[str, Any]], None],
        program: ModuleType,
    ) -> None:
        """From now on, `import`, `open` and `%run` find the files among the cells. run: runs cells with the
        names of a module."""
        self._files, self._run, self._program, self.loaded = {}, run, program.__dict__, {}
        for cell in cells:
            if cell.file:
                self._files.setdefault(cell.file, []).append(cell)
        if self._files:
            program.__package__, program.__path__ = _MAIN, []  # `from .helpers import x`
            builtins.open = io.open = self.open
            accessor = getattr(pathlib, "_NormalAccessor", None)  # of Python 3.10
            if accessor is not None:
                accessor.open = staticmethod(io.open)

    def stand_in(self, error: BaseException) -> bool:
        """Give the package that could not be imported a stand-in; False if the error says nothing such.

        Only where the program did not catch the error: what it does without a package is its own affair.
        """
        name = _missing_of(error) if issubclass(type(error), ModuleNotFoundError) else None
        if type(name) is not str or not name.isidentifier() or name in sys.modules or name in self.absent:
            return False
        self.absent.append(name)
        return True

    def at(self, path: str) -> list[Cell]:
        """The cells of the file of this path, "helpers.py" or "/content/src/helpers.ipynb"; none: []."""
        parts = pathlib.PurePosixPath(path.replace("\\", "/")).parts
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((cells for tail in tails if (cells := self._ending(tail))), [])

    def _ending(self, path: str) -> list[Cell]:
        others = (cells for file, cells in self._files.items() if file.endswith(f"/{path}"))
        return self._files.get(path) or next(others, [])

    def run_file(self, line: str) -> None:
        """`%run helpers.py`: as if it were typed in the program."""
        path = next((word for word in shlex.split(line) if not word.startswith("-")), "")
        cells = self.at(path) or self.at(f"{path}.py") or self.at(f"{path}.ipynb")
        if not cells:
            raise FileNotFoundError(2, "No such file", path)
        self._run(cells, self._program)

    def open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """`open`, for which the files are there; none of them can be written."""
        path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
        cells = self.at(path) if mode in ("r", "rt", "rb") and isinstance(path, str) else []
        if not cells:
            return _open(file, mode, *args, **kwargs)
        text = "\n".join(cell.source for cell in cells)
        return io.BytesIO(text.encode()) if mode == "rb" else io.StringIO(text)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a file, of a folder that holds one, or of a stand-in."""
        inner = fullname.removeprefix(f"{_MAIN}.").replace(".", "/")
        package = self._ending(f"{inner}/__init__.py")
        cells = package or self._ending(f"{inner}.py") or self._ending(f"{inner}.ipynb")
        if cells or any(f"/{inner}/" in f"/{file}" for file in self._files):
            spec = ModuleSpec(fullname, self, is_package=bool(package) or not cells)
            spec.loader_state = cells
            return spec
        root = fullname.partition(".")[0]
        if root in ROOTS or root in self.absent or fullname == _WRITERS:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run its cells, none for a folder without __init__.py; or fill it with stand-ins."""
        cells: list[Cell] | None = module.__spec__.loader_state if module.__spec__ is not None else None
        if cells is None:
            root = module.__name__.partition(".")[0]
            known = _KNOWN.get(root, {})
            others = StandIn("" if root in ROOTS or root == "torch" else module.__name__)
            module.__dict__.update(known, __all__=list(known), __getattr__=others.__getattr__)
        elif cells:
            module.__file__ = cells[0].label
            self.loaded[module.__name__] = module.__dict__
            self._run(cells, module.__dict__)


IMPORTS: Final = Imports()

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


def install_stand_ins() -> None:
    """Put the stand-ins before all modules; add what a notebook has beside builtins, and older names."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        del sys.modules[name]
    sys.meta_path.insert(0, IMPORTS)
    builtins.__dict__.update(get_ipython=_Shell, display=NOTHING)
    for name in _OF_TYPING:
        if not hasattr(typing, name):
            setattr(typing, name, getattr(typing_extensions, name))
    for name, value in _OF_NUMPY_1.items():
        if name not in vars(np):
            setattr(np, name, value)
