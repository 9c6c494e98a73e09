"""A notebook's or a script's bytes to a `Program`. Outputs, metadata and what is not code are left behind."""

from __future__ import annotations

import codecs
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.log import is_notebook, read_json
from autograder.submission.magics import without_magics, written_file
from autograder.submission.older_python import encodable, readable, shared_tree
from autograder.submission.types import CodeFile, Note, NoteLevel, Origin, Program, refused
from autograder.text import NAME_LIMIT, clean

_MAX_CELLS: Final = 2000
_MAX_COUNT: Final = 1_000_000
_VERSION: Final = re.compile(r"([0-9])\.([0-9]{1,3})")
_AGAIN: Final = "Save it again in Jupyter or Colab (File, Download .ipynb) and upload that file."
_TEXT_CELLS: Final = ("markdown", "raw", "heading", "html")
_LET_GO: Final = frozenset({"outputs", "attachments"})
"""Parts of a cell that can be most of a notebook; all that is kept is whether they are empty."""
_BEGINNING: Final = re.compile(r"\w(?:[^\n:;.]|[:;.](?!\s))*")
"""A cell's first words: of its first line, up to the end of a sentence."""
_SHOWN: Final = 40
_LONG_TEXT: Final = re.compile(r"""(["'])[^"'\\\n]{4096,}\1""")
_ENCODINGS: Final = frozenset(
    {
        *("utf-8", "ascii", "iso8859-1", "iso8859-2", "iso8859-9", "iso8859-15", "utf-16"),
        *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp437", "cp850", "mac-roman", "koi8-r"),
        *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949"),
    }
)
"""What a script may declare. Python knows more, of which some take minutes for a file made to be slow."""


def read_notebook(name: str, data: bytes) -> CodeFile:
    """Read a .ipynb of any nbformat version. Never raises, whatever data is.

    A cell is called what the student sees: "cell [7]", by its execution count, or else "code cell 3 (import
    torch)", 3 counting the code cells from 1, by its first words.
    """
    name = clean(name, NAME_LIMIT)
    read = read_json(data, drop=_LET_GO)
    if isinstance(read, str):
        return refused(f"{name} {read}. {_AGAIN}")
    if not is_notebook(read.value):
        return refused(f"{name} is not a notebook: it has no cells. {_AGAIN}")
    language = _language(read.value)
    if language is not None:
        return refused(f"{name} is a notebook in {language}; one in Python was expected. Upload that one.")
    cells, unread = _code_cells(read.value)
    if unread and not cells:
        return refused(f"{name} is a damaged notebook: its cells cannot be read. {_AGAIN}")
    executed = any(cell.executed for cell in cells)
    if not executed:  # then nothing is known of any cell
        cells = [replace(cell, executed=True) for cell in cells]
    found = _from_cells(Origin.NOTEBOOK, name, cells, executed=executed)
    notices = [*found.notices, *_newer(found.program, read.value)]
    if unread:
        listed = clean(", ".join(unread), NAME_LIMIT)
        notices.append(
            Note(NoteLevel.WARNING, f"{name}: {listed} could not be read, being damaged. {_AGAIN}")
        )
    return CodeFile(found.program, tuple(notices))


def read_script(name: str, data: bytes) -> CodeFile:
    """Read a .py in the encoding it declares (PEP 263). Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    notices: tuple[Note, ...] = ()
    text = _decoded(data)
    if text is None and b"\0" not in data:
        # The code may still be right: only its comments and texts are hurt by a wrong guess.
        text = data.decode("cp1252", "replace")
        told = (
            f"{name} is not in UTF-8 and was read as Windows-1252. Save it as UTF-8 if characters look wrong."
        )
        notices = (Note(NoteLevel.WARNING, told),)
    if text is None:
        return refused(f"{name} is not a text in UTF-8. Save it as UTF-8 and upload it again.")
    if text.startswith("version https://git-lfs"):
        return refused(
            f"{name} is a Git LFS pointer, which only stands for the file. Upload the file itself."
        )
    if not text.strip():
        return refused(f"{name} is empty. Upload the script or notebook that you worked in.")
    found = _from_cells(Origin.SCRIPT, name, [Cell(name, text)])
    return CodeFile(found.program, (*notices, *found.notices))


def _decoded(data: bytes) -> str | None:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")  # as some editors and shells on Windows save it
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding) if codecs.lookup(encoding).name in {*_ENCODINGS, "utf-8-sig"} else None
    except (SyntaxError, UnicodeError, LookupError, ValueError):
        return None


def _code_cells(value: dict[str, Any]) -> tuple[list[Cell], list[str]]:
    """Return the code cells as they stand, and names of the cells that cannot be read; of any format."""
    cells: list[Cell] = []
    unread: list[str] = []
    labels: set[str] = set()
    number = 0
    for position, cell in enumerate(_all_cells(value), 1):
        fields = cell if isinstance(cell, dict) else {}
        kind = fields.get("cell_type", "code" if "outputs" in fields else None)
        source = fields.get("source", fields.get("input"))
        lines = [source] if isinstance(source, str) else source
        number += kind == "code"
        if kind == "code" and isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            text, count = "".join(lines), fields.get("execution_count", fields.get("prompt_number"))
            label = f"cell [{count}]"
            if not (isinstance(count, int) and 0 < count < _MAX_COUNT) or label in labels:
                begins = _BEGINNING.search(text)
                label = f"code cell {number}" + (f" ({clean(begins[0], _SHOWN)})" if begins else "")
            labels.add(label)
            cells.append(Cell(label, text, executed=bool(count or fields.get("outputs"))))
        elif kind not in _TEXT_CELLS:
            unread.append(f"cell {position}")
    return cells, unread


def _all_cells(value: dict[str, Any]) -> Iterator[Any]:
    sheets = value.get("worksheets")
    for sheet in [value, *(sheets if isinstance(sheets, list) else [])]:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        yield from cells if isinstance(cells, list) else [] if cells is None else [cells]


def _from_cells(origin: Origin, name: str, cells: list[Cell], *, executed: bool = False) -> CodeFile:
    """Make the program of a file from its cells, with the notebook syntax taken out."""
    cells, shortened = _fitting(cells)
    if len(cells) > _MAX_CELLS or (not cells and shortened):
        return refused(
            f"{name} holds more code than can be read (at most {MAX_CODE_BYTES:,} bytes in {_MAX_CELLS:,} "
            "cells). Take out data that is pasted into the code and upload it again."
        )
    program: list[Cell] = []
    written: dict[str, list[Cell]] = {}
    ignored = []
    for cell in cells:
        source = encodable(cell.source)
        target = written_file(source)
        plain = without_magics(source.replace("%%", "# ", 1) if target else source)
        if plain is None:
            ignored.append(cell.label)
        elif target:
            part = replace(cell, source=readable(plain), file=target.path)
            written[target.path] = [*(written.get(target.path, []) if target.append else []), part]
        elif plain.strip():
            program.append(replace(cell, source=readable(plain)))
    if not program and not written:
        return refused(f"{name} holds no Python code. Upload the notebook that you worked in.")
    notices = []
    if ignored:
        listed = clean(", ".join(ignored), NAME_LIMIT)
        text = f"{name}: {listed} ignored, not Python but for another program (%%)"
        notices.append(Note(NoteLevel.IGNORED, text))
    if shortened:
        listed = clean(", ".join(shortened), NAME_LIMIT)
        text = (
            f"{name}: {listed} left out in part, since the file holds more than {MAX_CODE_BYTES:,} bytes of "
            "code. Take out data that is pasted into the code."
        )
        notices.append(Note(NoteLevel.WARNING, text))
    cells = [*(cell for parts in written.values() for cell in parts), *program]
    return CodeFile(Program(origin, name, tuple(cells), executed), tuple(notices))


def _fitting(cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells, if there is too much of them without their long texts, and then without the longest cells;
    and the labels of those that changed."""
    sizes = {cell.label: len(cell.source.encode("utf-8", "replace")) for cell in cells}
    if sum(sizes.values()) <= MAX_CODE_BYTES:
        return cells, []
    kept = [replace(cell, source=_LONG_TEXT.sub(r"\1\1", cell.source)) for cell in cells]
    changed = [cell.label for cell, short in zip(cells, kept, strict=True) if cell.source != short.source]
    sizes = {cell.label: len(cell.source.encode("utf-8", "replace")) for cell in kept}
    for label in sorted(sizes, key=lambda label: -sizes[label]):
        if sum(sizes.values()) <= MAX_CODE_BYTES:
            break
        del sizes[label]
        changed.append(label)
    return [cell for cell in kept if cell.label in sizes], list(dict.fromkeys(changed))


def _newer(program: Program | None, value: dict[str, Any]) -> Iterator[Note]:
    """Yield what to say of cells that do not parse here, if the notebook was run with a newer Python."""
    theirs = _VERSION.match(_metadata(value, "language_info", "version") or "")
    if not theirs or not program or (int(theirs[1]), int(theirs[2])) <= sys.version_info[:2]:
        return
    unread = [cell.label for cell in program.cells if shared_tree(cell.source) is None]
    if unread:
        own, listed = ".".join(map(str, sys.version_info[:2])), clean(", ".join(unread), NAME_LIMIT)
        text = (
            f"Your notebook was run with Python {theirs[0]}; it is graded with Python {own}, which cannot "
            f"read {listed}. If this ran for you, write what only newer Pythons know in another way."
        )
        yield Note(NoteLevel.WARNING, text)


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
