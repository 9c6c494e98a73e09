"""Modules of the student's own: what a program imports from its upload stands in front of it.

The sandbox has no files to import. So the module's cells become the program's, and the import looks for their
names in the program itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Final

from autograder.sandbox.calls import Cell

_TAKEN: Final = sys.stdlib_module_names | {"numpy", "torch", "matplotlib", "einops"}
"""What a file of the upload cannot be taken for: the program means the real one."""
_WRITTEN: Final = re.compile(r"\s*%%(?:writefile|file)[ \t]+(?:\S*/)?(\w+)\.py[ \t]*\n")
_FROM: Final = re.compile(r"^([ \t]*from[ \t]+)\.?(\w+)(?=[ \t]+import\b)", re.MULTILINE)
_IMPORT: Final = re.compile(r"^([ \t]*import[ \t]+)(\w+)([ \t]+as\b|(?=[ \t]*(?:$|[#;])))", re.MULTILINE)
_MAIN: Final = re.compile(r"""^(if[ \t]+__name__[ \t]*==[ \t]*)(["'])__main__\2""", re.MULTILINE)

Modules = Mapping[str, Sequence[Cell]]


def written_module(source: str) -> str | None:
    """Return the name of the module that a cell saves, `%%writefile model.py`; None for any other cell."""
    found = _WRITTEN.match(source)
    return found[1] if found else None


def with_modules(cells: Sequence[Cell], modules: Modules) -> tuple[Cell, ...]:
    """Return the cells, in front of them those of the modules that they import, and these import."""
    modules = {name: part for name, part in modules.items() if name not in _TAKEN}
    imports = {"": _imported(cells, modules)}
    waiting = [*imports[""]]
    while waiting:
        name = waiting.pop()
        if name not in imports:
            imports[name] = _imported(modules[name], modules)
            waiting.extend(imports[name])
    if not imports[""]:
        return tuple(cells)
    try:
        order = [*TopologicalSorter(imports).static_order()]
    except CycleError:  # then some name is missing in the notebook, too
        order = [*imports][::-1]
    parts = {"": cells} | {name: _as_module(name, modules[name]) for name in imports if name}
    return tuple(_redirected(cell, modules) for name in order for cell in parts[name])


def _imported(cells: Sequence[Cell], modules: Modules) -> list[str]:
    """The modules that cells import, in order, each once."""
    names = [found[2] for cell in cells for form in (_FROM, _IMPORT) for found in form.finditer(cell.source)]
    return [name for name in dict.fromkeys(names) if name in modules]


def _as_module(name: str, cells: Sequence[Cell]) -> list[Cell]:
    """The cells, without what a module does only when it is run by itself."""
    return [replace(cell, source=_MAIN.sub(rf"\1\2{name}\2", cell.source)) for cell in cells]


def _redirected(cell: Cell, modules: Modules) -> Cell:
    """The cell, importing from the program itself what it imports from the modules."""

    def from_itself(found: re.Match[str]) -> str:
        return f"{found[1]}__main__" if found[2] in modules else found[0]

    def itself(found: re.Match[str]) -> str:
        name = "" if found[3] else f" as {found[2]}"
        return f"{found[1]}__main__{name}{found[3]}" if found[2] in modules else found[0]

    return replace(cell, source=_IMPORT.sub(itself, _FROM.sub(from_itself, cell.source)))
