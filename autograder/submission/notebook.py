"""A notebook's or a script's bytes to a `Program`: its code, with magics (%, %%), shell commands (!) and help
(?) taken out. Outputs, metadata and what is not code are left behind.

Line n of a cell stays line n. What a student writes as get_ipython() stays, and so do `%run` and
`x = !command`: the worker has a shell for them.
"""

from __future__ import annotations

import codecs
import io
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final

from autograder.sandbox.calls import Cell
from autograder.settings import MAX_CODE_BYTES
from autograder.submission.log import is_notebook, read_json
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
_ENCODINGS: Final = (
    *("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-2", "iso8859-9", "iso8859-15", "utf-16"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp437", "cp850", "mac-roman", "koi8-r"),
    *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949"),
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
    value, _ = read
    if not is_notebook(value):
        return refused(f"{name} is not a notebook: it has no cells. {_AGAIN}")
    for language in (_metadata(value, "kernelspec", "language"), _metadata(value, "language_info", "name")):
        if language and "python" not in language.lower():
            told = f"{name} is a notebook in {clean(language, 30)}; one in Python was expected."
            return refused(f"{told} Upload that one.")
    cells, unread = _code_cells(value)
    if unread and not cells:
        return refused(f"{name} is a damaged notebook: its cells cannot be read. {_AGAIN}")
    executed = any(cell.executed for cell in cells)
    if not executed:  # then nothing is known of any cell
        cells = [replace(cell, executed=True) for cell in cells]
    found = _from_cells(Origin.NOTEBOOK, name, cells, executed=executed)
    warnings = [_newer(found.program, _metadata(value, "language_info", "version"))]
    if unread:
        warnings.append(f"{name}: {_listed(unread)} could not be read, being damaged. {_AGAIN}")
    notes = (Note(NoteLevel.WARNING, text) for text in warnings if text)
    return CodeFile(found.program, (*found.notices, *notes))


def read_script(name: str, data: bytes) -> CodeFile:
    """Read a .py in the encoding it declares (PEP 263). Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    notices: tuple[Note, ...] = ()
    text = _decoded(data)
    if text is None and b"\0" not in data:
        # The code may still be right: only its comments and texts are hurt by a wrong guess.
        text = data.decode("cp1252", "replace")
        told = "is not in UTF-8 and was read as Windows-1252. Save it as UTF-8 if characters look wrong."
        notices = (Note(NoteLevel.WARNING, f"{name} {told}"),)
    if text is None:
        return refused(f"{name} is not a text in UTF-8. Save it as UTF-8 and upload it again.")
    if text.startswith("version https://git-lfs"):
        return refused(f"{name} is a Git LFS pointer, which stands for the file. Upload the file itself.")
    if not text.strip():
        return refused(f"{name} is empty. Upload the script or notebook that you worked in.")
    found = _from_cells(Origin.SCRIPT, name, [Cell(name, text)])
    return CodeFile(found.program, (*notices, *found.notices))


def _decoded(data: bytes) -> str | None:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")  # as some editors and shells on Windows save it
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding) if codecs.lookup(encoding).name in _ENCODINGS else None
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
        path, appends = written_file(source)
        plain = without_magics(source.replace("%%", "# ", 1) if path else source)
        if plain is None:
            ignored.append(cell.label)
        elif path:
            part = replace(cell, source=readable(plain), file=path)
            written[path] = [*(written.get(path, []) if appends else []), part]
        elif plain.strip():
            program.append(replace(cell, source=readable(plain)))
    if not program and not written:
        return refused(f"{name} holds no Python code. Upload the notebook that you worked in.")
    notices = []
    if ignored:
        text = f"{name}: {_listed(ignored)} ignored, not Python but for another program (%%)"
        notices.append(Note(NoteLevel.IGNORED, text))
    if shortened:
        text = f"left out in part, since the file holds more than {MAX_CODE_BYTES:,} bytes of code"
        text = f"{name}: {_listed(shortened)} {text}. Take out data that is pasted into the code."
        notices.append(Note(NoteLevel.WARNING, text))
    cells = [*(cell for parts in written.values() for cell in parts), *program]
    return CodeFile(Program(origin, name, tuple(cells), executed), tuple(notices))


def _listed(labels: list[str]) -> str:
    return clean(", ".join(labels), NAME_LIMIT)


def _fitting(cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells, if there is too much of them without their long texts, and then without the longest cells;
    and the labels of those that changed."""

    def size(cell: Cell) -> int:
        return len(cell.source.encode("utf-8", "replace"))

    if sum(map(size, cells)) <= MAX_CODE_BYTES:
        return cells, []
    short = [replace(cell, source=_LONG_TEXT.sub(r"\1\1", cell.source)) for cell in cells]
    rising = sorted(short, key=size)
    fits = zip(rising, accumulate(map(size, rising)), strict=True)
    kept = {cell.label for cell, total in fits if total <= MAX_CODE_BYTES}
    changed = [
        cell.label
        for cell, now in zip(cells, short, strict=True)
        if cell.source != now.source or cell.label not in kept
    ]
    return [cell for cell in short if cell.label in kept], changed


def _newer(program: Program | None, version: str) -> str:
    """What to say of cells that do not parse here, if the notebook was run with a newer Python; else ""."""
    theirs = _VERSION.match(version)
    if not theirs or not program or (int(theirs[1]), int(theirs[2])) <= sys.version_info[:2]:
        return ""
    unread = [cell.label for cell in program.cells if shared_tree(cell.source) is None]
    own = ".".join(map(str, sys.version_info[:2]))
    told = f"Your notebook was run with Python {theirs[0]}; it is graded with Python {own}, which cannot read"
    advice = "If this ran for you, write what only newer Pythons know in another way."
    return f"{told} {_listed(unread)}. {advice}" if unread else ""


def _metadata(value: Any, *keys: str) -> str:
    """Return a text of the notebook's metadata, "" if it is not there or none."""
    for key in ("metadata", *keys):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


# --- Notebook syntax out of Python. ---

_PYTHON_BODIES: Final = (
    *("time", "timeit", "capture", "prun", "memit", "lprun", "mprun", "debug"),
    *("snakeviz", "scalene", "heat", "wandb", "black", "blackcellmagic"),
)
"""Cell magics whose cell is Python that runs in the notebook itself; any other cell is dropped."""
_AUTOMAGIC: Final = frozenset({"pip", "conda", "mamba", "ls", "cd", "pwd", "cat", "mkdir", "matplotlib"})
"""Commands that a notebook takes without their % when they stand alone in a cell."""
_CELL_MAGIC: Final = re.compile(r"%%(\w*)[ \t]*([\w.]*)")
_WRITTEN: Final = re.compile(
    r"\s*%%(?:writefile|file)[ \t]+(?P<append>(?:-a|--append)[ \t]+)?"
    r"[\"']?(?P<path>[^\s\"']{1,200}\.py)[\"']?[ \t]*\n"
)
_DEFINED: Final = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_MAGIC: Final = re.compile(
    r"""(?P<target> [ \t]* (?:[^\s=\n'"\#(!%?][^=\n'"\#(!%?]{0,200}=[ \t]*(?=!|%[A-Za-z]))?)
        (?:%(?P<magic>\w*) | !(?P<command>) | \?) (?P<rest>(?:[^\n]*\\\n)*[^\n]*)
    | (?P<indent>[ \t]*) [^\s'"\#?][^\n'"\#?]{0,300}\?{1,2}[ \t]*$""",
    re.VERBOSE | re.MULTILINE,
)
"""What a logical line begins with: `%magic`, `!command` (their value may be assigned), `?name` or `name?`."""
_LEXEME: Final = re.compile(
    r"""\#[^\n]* | (?P<long>\'\'\'|\"\"\") (?:\\?.)*? (?:(?P=long)|\Z)
    | (?P<short>['"]) (?:\\.|(?!(?P=short))[^\\\n])* (?P=short)? | \\. | \w+ | .""",
    re.VERBOSE | re.DOTALL,
)


def written_file(source: str) -> tuple[str, bool]:
    """Return the file that a cell saves which begins `%%writefile model.py`, by its path without what leads
    out of the upload, and whether it appends to it; "" for any other cell."""
    if not (found := _WRITTEN.match(source)):
        return "", False
    parts = found["path"].replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..", "content")), bool(found["append"])


def without_magics(source: str) -> str | None:
    """Return source as plain Python, as far as it can be; None if the whole cell is for another program.

    A magic becomes `pass`, or `None` where its value was assigned; `%time statement` keeps the statement, and
    `%%add_to Class` makes methods of the cell's functions. What is not Python even so comes back as it is:
    whoever runs it reports the error.
    """
    lines = source.split("\n")
    added_to = ""
    for number, line in enumerate(lines):
        magic = _CELL_MAGIC.match(line)
        if not magic and line.strip():
            break
        if magic and magic[1] == "add_to" and magic[2].isidentifier():
            added_to = magic[2]
        elif magic and magic[1] not in _PYTHON_BODIES:
            return None
        lines[number] = "" if magic else line
    text = "\n".join(lines)
    if shared_tree(text) is None:
        text = _without_line_magics(text)
    methods = dict.fromkeys(_DEFINED.findall(text)) if added_to else ()
    return "\n".join([text, *(f"{added_to}.{name} = {name}" for name in methods)])


def _without_line_magics(text: str) -> str:
    if text.lstrip("\n").startswith((" ", "\t")):
        text = textwrap.dedent(text)  # a notebook takes a cell that is all indented
    only = text.strip()
    if "\n" not in only and only.partition(" ")[0] in _AUTOMAGIC:
        return text.replace(only, "pass")
    parts: list[str] = []
    at = brackets = 0
    begins = True
    while found := (begins and _MAGIC.match(text, at)) or _LEXEME.match(text, at):
        part, at = found.group(), found.end()
        brackets = max(0, brackets + (part in "([{") - (part in ")]}"))
        begins = part == "\n" and not brackets
        parts.append(_plain(found) + "\n" * part.count("\n") if found.re is _MAGIC else part)
    return "".join(parts)


def _plain(found: re.Match[str]) -> str:
    """The Python that stands for a magic: the worker has a shell for `%run` and `x = !command`."""
    target, magic, command = found["target"] or found["indent"] or "", found["magic"], found["command"]
    rest = (found["rest"] or "").replace("\\\n", " ").strip()
    if magic == "run":
        return f"{target}get_ipython().run_line_magic('run', {rest!r})"
    if not target.strip():
        return target + (rest if magic == "time" and rest else "pass")
    return target + ("None" if command is None else f"get_ipython().getoutput({rest!r})")
