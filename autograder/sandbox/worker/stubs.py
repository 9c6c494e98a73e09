"""Plots and notebook helpers go nowhere: modules of these names give objects that absorb every use.

They are used even where the real packages are installed, so that every machine gives the same result.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import opcode
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, Final

ROOTS: Final = frozenset(
    {
        *("matplotlib", "mpl_toolkits", "seaborn", "plotly", "bokeh", "altair", "pylab"),
        *("IPython", "ipywidgets", "google", "tqdm", "torchviz", "graphviz", "wandb"),
    }
)
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
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Itself, whatever is asked."""
        return self

    def __getitem__(self, key: Any) -> Any:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        frame = sys._getframe(1)
        code, at = frame.f_code.co_code, frame.f_lasti
        count = code[at + 1] if 0 <= at < len(code) - 1 and code[at] == _UNPACK else 0
        return iter([self] * count)

    def __contains__(self, item: Any) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_Base,)

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __subclasscheck__(self, subclass: type) -> bool:
        return False

    def __int__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0

    def __repr__(self) -> str:
        return "<not available while grading>"


def _same(self: Absorb, *others: Any) -> Absorb:
    return self


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "or", "and", "matmul"):
    setattr(Absorb, f"__{_name}__", _same)
    setattr(Absorb, f"__r{_name}__", _same)
for _name in ("neg", "pos", "invert", "abs"):
    setattr(Absorb, f"__{_name}__", _same)

NOTHING: Final = Absorb()


class Progress(Absorb):
    """`tqdm(iterable)`: hands the iterable's items through, shows nothing."""

    def __init__(self, iterable: Iterable[Any] = (), *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, "_items", iterable)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @staticmethod
    def range(*bounds: int, **kwargs: Any) -> Progress:
        """`trange`."""
        return Progress(range(*bounds))


_PROGRESS: Final = {
    "tqdm": Progress,
    "tqdm_notebook": Progress,
    "trange": Progress.range,
    "tnrange": Progress.range,
}


class _StubModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        if self.__name__.split(".")[0] == "tqdm" and name in _PROGRESS:
            return _PROGRESS[name]
        return NOTHING


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in ROOTS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__all__"] = []


def install() -> None:
    """Put the stubs before every other module, and what a notebook has beside the builtins."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        del sys.modules[name]
    sys.meta_path.insert(0, _StubFinder())
    builtins.__dict__.update(get_ipython=NOTHING, display=NOTHING)
