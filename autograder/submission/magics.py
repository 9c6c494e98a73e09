"""Notebook syntax out of Python: magics (%, %%), shell commands (!), help (?).

Line n of what comes out is line n of what went in. Cells that are Python already never load IPython. What
a student writes as get_ipython() stays, as do `%run` and `x = !command`: the worker has a shell for them.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tokenize
from dataclasses import dataclass
from typing import Any, Final

from autograder.settings import MAX_CODE_BYTES
from autograder.submission.older_python import parse, shared_tree

_PYTHON_BODIES: Final = frozenset(
    {
        *("time", "timeit", "capture", "prun", "memit", "lprun", "mprun", "debug"),
        *("snakeviz", "scalene", "heat", "wandb", "black", "blackcellmagic"),
    }
)
"""Cell magics whose cell is Python that runs in the notebook itself; any other cell is dropped."""
_AUTOMAGIC: Final = frozenset({"pip", "conda", "mamba", "ls", "cd", "pwd", "cat", "mkdir", "matplotlib"})
"""Commands that a notebook takes without their % when they stand alone in a cell."""
_PASSES: Final = 8
"""A command such as `!echo don't (` can hide those below it, until it is replaced."""
_GIVES_UP: Final = (SyntaxError, RecursionError, ValueError, IndexError, SystemError, tokenize.TokenError)
"""What the tokenizer raises on text that is not Python in any way; SystemError from 3.12 on, as for a NUL."""
_PLAIN_MAGIC: Final = re.compile(r"\s*[%!][A-Za-z]")
_CELL_MAGIC: Final = re.compile(r"%%(\w*)[ \t]*([\w.]*)")
_WRITTEN: Final = re.compile(
    r"\s*%%(?:writefile|file)[ \t]+(?P<append>(?:-a|--append)[ \t]+)?"
    r"[\"']?(?P<path>[^\s\"']{1,200}\.py)[\"']?[ \t]*\n"
)
_DEFINED: Final = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_MAX_HELP: Final = 300
"""Characters of a line that asks for help; IPython's pattern for them takes the square of their number."""
_KEPT_CALLS: Final = ("getoutput(", "run_line_magic('run'")
"""What the worker's shell does for the program; any other command goes nowhere."""
_GENERATED: Final = re.compile(r"^(?P<before>.*?)get_ipython\(\)\.(?P<call>\w+\(.*\))\s*$")


@dataclass(frozen=True)
class WrittenFile:
    """The file that a cell saves. path: as the cell gives it, without what leads out of the upload."""

    path: str
    append: bool


def written_file(source: str) -> WrittenFile | None:
    """Return what a cell saves that begins `%%writefile model.py`; None for any other cell."""
    found = _WRITTEN.match(source)
    if not found:
        return None
    parts = [
        part for part in found["path"].replace("\\", "/").split("/") if part not in ("", ".", "..", "content")
    ]
    return WrittenFile("/".join(parts), bool(found["append"]))


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
        if magic and magic[1] == "add_to" and magic[2].isidentifier():
            added_to = magic[2]
        elif magic and magic[1] not in _PYTHON_BODIES:
            return None
        if magic:
            lines[number] = ""
        elif line.strip():
            break
    if shared_tree("\n".join(lines)) is None and len(source) <= MAX_CODE_BYTES:
        lines = _translated(lines)
    text = "\n".join(lines)
    methods = dict.fromkeys(_DEFINED.findall(text)) if added_to else ()
    return "\n".join([text, *(f"{added_to}.{name} = {name}" for name in methods)])


def _translated(lines: list[str]) -> list[str]:
    if next((line for line in lines if line.strip()), "").startswith((" ", "\t")):
        lines = textwrap.dedent("\n".join(lines)).split("\n")  # a notebook takes a cell that is all indented
    words = " ".join(lines).split()
    if words and words[0] in _AUTOMAGIC and sum(bool(line.strip()) for line in lines) == 1:
        return ["pass" if line.strip() else line for line in lines]
    # IPython's own transformer decides what is a magic: only here does an upload pay for importing it.
    from IPython.core import inputtransformer2

    ipython: Any = inputtransformer2  # most of its functions carry no types
    manager = ipython.TransformerManager()
    ended = [f"{line}\n" for line in lines]
    for _ in range(_PASSES):
        changed = False
        for first, last in _statements(ipython, ended):
            part = ended[first:last]
            if any(mark in line for line in part for mark in "%!?"):
                ended[first:last] = _one_translated(manager, part)
                changed = changed or ended[first:last] != part
        if not changed:
            break
    return [line.rstrip("\n") for line in ended]


def _statements(ipython: Any, ended: list[str]) -> list[tuple[int, int]]:
    """Return the physical lines, first and past the last, of each logical line.

    Where the tokenizer cannot tell, those of the magics that stand in lines of their own.
    """
    try:
        tokens_by_line: list[list[tokenize.TokenInfo]] = ipython.make_tokens_by_line(ended)
    except _GIVES_UP:
        return [(row, row + 1) for row, line in enumerate(ended) if _PLAIN_MAGIC.match(line)]
    spans = []
    for tokens in tokens_by_line:
        rows = [token.start[0] for token in tokens if token.string.strip()]
        if rows:
            spans.append((rows[0] - 1, tokens[-1].end[0]))
    return spans


def _one_translated(manager: Any, part: list[str]) -> list[str]:
    """Replace the magic of one logical line, if it has one; with blank lines for those that are joined."""
    if part[-1].rstrip().endswith("?") and len(part[-1]) > _MAX_HELP:
        return part
    try:
        changed, after = manager.do_one_token_transform(part)
    except _GIVES_UP:
        return part
    if not changed or not after:
        return part
    place = next((number for number, line in enumerate(after) if line != part[number]), 0)
    plain = [*after[:place], f"{_plain(after[place])}\n", *after[place + 1 :]]
    return [*plain, *["\n"] * (len(part) - len(after))]


def _plain(line: str) -> str:
    found = _GENERATED.match(line)
    if not found:
        return line.rstrip("\n")
    before, call = found.group("before", "call")
    if call.startswith(_KEPT_CALLS):
        return line.rstrip("\n")
    if not before.strip():
        return before + (_timed(call) or "pass")
    return f"{before}None"


def _timed(call: str) -> str | None:
    """Return the statement behind `%time`, which runs in the notebook itself."""
    tree = parse(call)
    statement = tree.body[0] if tree and len(tree.body) == 1 else None
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    arguments = [part.value for part in statement.value.args if isinstance(part, ast.Constant)]
    if len(arguments) == 2 and arguments[0] == "time" and str(arguments[1]).strip():
        return str(arguments[1]).strip()
    return None
