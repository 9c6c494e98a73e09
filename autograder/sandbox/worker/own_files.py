"""The student's own files beside the program: what it imports, runs and opens. The jail has no folder."""

from __future__ import annotations

import builtins
import io
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from autograder.sandbox.calls import Cell
from autograder.sandbox.worker.stubs import Absorb

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
