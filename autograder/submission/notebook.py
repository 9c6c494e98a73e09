"""A notebook's bytes to the cells of a `Program`. Outputs, metadata and what is not code are left behind."""

from __future__ import annotations

import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.json_reader import JsonFault, read_json
from autograder.submission.log import is_notebook
from autograder.submission.magics import without_magics
from autograder.submission.modules import with_modules, written_module
from autograder.submission.newer_python import readable
from autograder.submission.syntax import encodable, shared_tree
from autograder.submission.types import Note, NoteLevel, Origin, Program
from autograder.text import NAME_LIMIT, clean

_MAX_CELLS = 2000
_VERSION = re.compile(r"([0-9])\.([0-9]{1,3})")
_AGAIN = "Save it again in Jupyter or Colab (File, Download .ipynb) and upload that file."


@dataclass(frozen=True)
class Reading:
    """What a file of code gave. program: None if it cannot be used; notices say why, or what was left out."""

    program: Program | None
    notices: tuple[Note, ...] = ()


def read_notebook(name: str, data: bytes) -> Reading:
    """Read a .ipynb of any nbformat version. Never raises, whatever data is.

    The cells are labelled "code cell N", N counting the code cells from 1.
    """
    name = clean(name, NAME_LIMIT)
    read = read_json(data)
    if isinstance(read, JsonFault):
        return refused(f"{name} {read.message}. {_AGAIN}")
    if not is_notebook(read.value):
        return refused(f"{name} is not a notebook: it has no cells. {_AGAIN}")
    sources = _code_sources(read.value)
    if sources is None:
        return refused(f"{name} is a damaged notebook: its cells cannot be read. {_AGAIN}")
    language = _language(read.value)
    if language is not None:
        return refused(f"{name} is a notebook in {language}; one in Python was expected. Upload that one.")
    labelled = [(f"code cell {n}", text) for n, text in enumerate(sources, 1)]
    reading = from_sources(Origin.NOTEBOOK, name, labelled)
    return Reading(reading.program, (*reading.notices, *_newer(reading.program, read.value)))


def refused(text: str) -> Reading:
    """Return the reading of a file that cannot be used. text: why, and what to do."""
    return Reading(None, (Note(NoteLevel.WARNING, text),))


def from_sources(origin: Origin, name: str, sources: list[tuple[str, str]]) -> Reading:
    """Make the program of a file from its labelled sources, with the notebook syntax taken out."""
    size = sum(len(text.encode("utf-8", "replace")) for _, text in sources)
    if size > MAX_CODE_BYTES or len(sources) > _MAX_CELLS:
        return refused(
            f"{name} holds more code than can be read ({size:,} bytes in {len(sources):,} cells; at most "
            f"{MAX_CODE_BYTES:,} bytes). Take out data that is pasted into the code and upload it again."
        )
    cells, dropped = [], []
    modules: dict[str, list[Cell]] = {}
    for label, text in sources:
        source = encodable(text)
        module = written_module(source)
        plain = without_magics(source.replace("%%", "# ", 1) if module else source)
        if plain is None:
            dropped.append(label)
        elif module:
            modules[module] = [Cell(label, readable(plain))]
        elif plain.strip():
            cells.append(Cell(label, readable(plain)))
    program = with_modules(cells, modules)
    run = {cell.label for cell in program}
    dropped += [cell.label for (cell,) in modules.values() if cell.label not in run]
    if not program:
        return refused(f"{name} holds no Python code. Upload the notebook that you worked in.")
    notices = []
    if dropped:
        listed = clean(", ".join(dropped), NAME_LIMIT)
        notices.append(
            Note(NoteLevel.IGNORED, f"{name}: {listed} ignored, not Python but for another program (%%)")
        )
    return Reading(Program(origin, name, program), tuple(notices))


def _code_sources(value: dict[str, Any]) -> list[str] | None:
    """Return the source of each code cell, in order; None if the notebook is damaged."""
    sources = _plain_sources(value)
    return _converted_sources(value) if sources is None else sources


def _plain_sources(value: dict[str, Any]) -> list[str] | None:
    """Read a whole notebook of format 4, where a source is a text or a list of lines; None: it is another."""
    cells = value.get("cells")
    if value.get("nbformat") != 4 or not isinstance(cells, list):
        return None
    sources = []
    for cell in cells:
        source = cell.get("source") if isinstance(cell, dict) else None
        lines = [source] if isinstance(source, str) else source
        if not (isinstance(lines, list) and all(isinstance(line, str) for line in lines)):
            return None
        kind = cell.get("cell_type")
        if kind == "code":
            sources.append("".join(lines))
        elif kind not in ("markdown", "raw"):
            return None
    return sources


def _converted_sources(value: dict[str, Any]) -> list[str] | None:
    """Have nbformat read a notebook that is of an older format, or not as it should be."""
    import nbformat  # takes 90 ms, and nearly every upload needs none of it

    value.setdefault("metadata", {})
    value.setdefault("nbformat", 4)
    if "cells" not in value and value.get("nbformat") != 2:
        value["nbformat"] = 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _drop_outputs(value)
            library: Any = nbformat  # some of its functions carry no types
            reader = library.versions[value["nbformat"]]
            notebook = reader.to_notebook_json(value, minor=value.get("nbformat_minor", 0))
            notebook = library.convert(notebook, 4)
        sources = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    except Exception:
        # nbformat trusts a notebook's structure, so what a damaged one raises depends on the damage.
        return None
    return sources if all(isinstance(text, str) for text in sources) else None


def _drop_outputs(value: dict[str, Any]) -> None:
    """Take the outputs away before the notebook is copied: they can be most of it, and are not needed."""
    for sheet in [value, *value.get("worksheets", [])]:
        for cell in sheet.get("cells", []):
            if cell.get("cell_type") == "code":
                cell["outputs"] = []


def _newer(program: Program | None, value: dict[str, Any]) -> tuple[Note, ...]:
    """Return what to say of cells that do not parse here, if the notebook was run with a newer Python."""
    theirs = _VERSION.match(_metadata(value, "language_info", "version") or "")
    if not theirs or not program or (int(theirs[1]), int(theirs[2])) <= sys.version_info[:2]:
        return ()
    unread = [cell.label for cell in program.cells if shared_tree(cell.source) is None]
    if not unread:
        return ()
    own, listed = ".".join(map(str, sys.version_info[:2])), clean(", ".join(unread), NAME_LIMIT)
    text = (
        f"Your notebook was run with Python {theirs[0]}; it is graded with Python {own}, which cannot read "
        f"{listed}. If this ran for you, write what only newer Pythons know in another way."
    )
    return (Note(NoteLevel.WARNING, text),)


def _language(value: dict[str, Any]) -> str | None:
    """Return the name of the notebook's language if it says it is another one than Python."""
    for part, key in (("kernelspec", "language"), ("language_info", "name")):
        language = _metadata(value, part, key)
        if language and "python" not in language.lower():
            return clean(language, 30)
    return None


def _metadata(value: dict[str, Any], part: str, key: str) -> str | None:
    """Return a text of the notebook's metadata, if it is there and one."""
    metadata = value.get("metadata")
    told = metadata.get(part) if isinstance(metadata, dict) else None
    text = told.get(key) if isinstance(told, dict) else None
    return text if isinstance(text, str) else None
