"""The upload comes in: a path to a `Submission`, which is its best reading, and the others that are fair.

A reading is a notebook, a script, or the class recorded in the log, with the files beside it that it imports.
Evidence ranks them, never a file's name: whether the class is there and is the one that the log records, how
much of it and of the matrices is filled in, whether the notebook was executed. Nothing is run here.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from autograder.assignment import CLASS_NAME, LAYERS
from autograder.bounds import TOO_MUCH, within
from autograder.sandbox.calls import Cell
from autograder.settings import LOG_ALONE, MAX_CODE_BYTES, MAX_CODE_FILES, PART_CPU_SECONDS
from autograder.submission.files import LOG_WORDS, FoundFile, Kind, UploadBudget, files_of
from autograder.submission.log import read_log
from autograder.submission.notebook import read_notebook, read_script
from autograder.submission.older_python import shared_tree
from autograder.submission.source import class_source, rebuild, same_code
from autograder.submission.types import CodeFile, Log, Note, NoteLevel, Origin, Program, Submission

MAX_OTHERS: Final = 2
"""Readings beside the best one that an upload may be graded by."""
_LOG_KEYS: Final = (b'"attention_by_', b'"torch_transformer_')
_WANTED: Final = "Upload submission_log.json, and with it the notebook that wrote it."
_COPY: Final = re.compile(r"\((\d{1,4})\)")
_CLASS: Final = re.compile(rf"^[ \t]*(class[ \t]+{CLASS_NAME}\b|{CLASS_NAME}[ \t]*=)", re.MULTILINE)
_IMPORTS_CLASS: Final = re.compile(
    rf"^[ \t]*(?:from|import)\b[^\n#]*(?:\*|\b{CLASS_NAME}\b|\([^)]{{0,400}}\b{CLASS_NAME}\b)", re.MULTILINE
)
_FILLED: Final = re.compile(r"^(?:\w+, *)*(?:Km|Vm)\b[\w, ]*=(?!=)[ \t]*(?!None\b|\.\.\.|=)\S", re.MULTILINE)
"""A line that gives a matrix a value, at the top level."""
_WORD: Final = re.compile(r"\w+")
_TAKEN: Final = sys.stdlib_module_names | {"numpy", "torch", "matplotlib", "scipy"}
"""What a file beside the program cannot be taken for: the program means the real one."""
_MATRICES: Final = 4
"""Km and Vm of both tasks."""
_LISTED: Final = 8
"""Names of unused files that are told."""


@dataclass(frozen=True)
class _Code:
    """A file of code. modified: seconds."""

    program: Program
    path: PurePosixPath
    modified: float

    @property
    def main(self) -> list[Cell]:
        return [cell for cell in self.program.cells if not cell.file]


def collect(upload: Path) -> Submission:
    """Read an upload: a folder, a .zip, or a single .ipynb, .py or .json.

    The notices say what was found, ignored and chosen. Raises UploadError if the upload is one file
    and cannot be opened; of a folder, what cannot be read is told and the rest is used.
    """
    budget = UploadBudget()
    found = _Candidates()
    for file in files_of(upload, budget):
        found.add(file)
    if LOG_ALONE:
        names = [code.program.name for code in found.code]
        found.notices += _not_used(names, why=": your course grades the log alone")
        found.code.clear()
    log = found.logs[0][0] if found.logs else None
    log_notes: list[Note] = []
    readings: list[tuple[Program | None, list[Note]]] = [(code.program, []) for code in found.code[:1]]
    with found.part("Your files", "compared"):
        log, log_notes = _choose_log(found.logs, found.code)
        readings = _readings(found.code, log)
    if found.unused:
        text = f"Not used: {found.unused:,} more files, in none of which {CLASS_NAME} stands."
        found.notices.append(Note(NoteLevel.IGNORED, text))
    not_logs = _not_used(found.not_logs, why=", which is not the log that the assignment's notebook writes")
    rest = (*found.notices, *not_logs, *budget.all_notices())
    if not readings:
        note = Note(NoteLevel.WARNING, f"There is no code of yours in the upload. {_WANTED}")
        readings = [(None, [note])]
    best, *others = [
        Submission(log, program, (*log_notes, *notes, *rest), faults=tuple(found.faults))
        for program, notes in readings
    ]
    return replace(best, others=tuple(others[:MAX_OTHERS]))


@dataclass
class _Candidates:
    """What the files turned out to be."""

    logs: list[tuple[Log, float]] = field(default_factory=list)
    code: list[_Code] = field(default_factory=list)
    notices: list[Note] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    not_logs: list[str] = field(default_factory=list)
    unused: int = 0

    def add(self, file: FoundFile) -> None:
        """Read a file for what its name says it is, and for what its content says where that differs.

        Whatever goes wrong costs that file alone.
        """
        with self.part(file.name, "read"):
            self._read(file)

    @contextlib.contextmanager
    def part(self, name: str, done: str) -> Iterator[None]:
        """Bound one part of the work, and let whatever is raised in it cost that part alone."""
        told = f"{name} could not be {done}"
        try:
            with within(PART_CPU_SECONDS):
                yield
        except TOO_MUCH:
            text = f"{told}: it takes too much time or memory. {_WANTED}"
            self.notices.append(Note(NoteLevel.WARNING, text))
        except Exception:
            text = f"{told}; that is not your fault, and staff are told."
            self.notices.append(Note(NoteLevel.WARNING, text))
            self.faults.append(f"{told}: {traceback.format_exc()}")

    def _read(self, file: FoundFile) -> None:
        origin = {Kind.NOTEBOOK: Origin.NOTEBOOK, Kind.SCRIPT: Origin.SCRIPT}.get(file.kind)
        names_class = any(CLASS_NAME.encode(form) in file.data for form in ("utf-8", "utf-16-le"))
        alike = sum(code.program.origin is origin for code in self.code)
        if origin and not names_class and alike >= MAX_CODE_FILES:
            self.unused += 1  # of the files that are not the homework, the first may be its modules
            return
        code = read_script(file.name, file.data) if file.kind is Kind.SCRIPT else self._json(file)
        self.notices.extend(code.notices)
        if code.program:
            self.code.append(_Code(code.program, file.path, file.modified))

    def _json(self, file: FoundFile) -> CodeFile:
        """Read a log, a notebook, or one under the name of the other."""
        named_log = file.kind is Kind.LOG
        meant = named_log and any(word in file.name.lower() for word in LOG_WORDS)
        has_keys = any(key in file.data for key in _LOG_KEYS)
        wide = file.data[:4].count(b"\0") > 0 or file.data.startswith((b"\xff\xfe", b"\xfe\xff"))
        code = CodeFile(None)
        if not named_log or b'"nbformat"' in file.data:
            code = read_notebook(file.name, file.data)
        elif not (meant or wide or has_keys):
            self.not_logs.append(file.name)
            return code
        if meant or (not code.program and (named_log or has_keys)):
            log = read_log(file.name, file.data)
            if named_log or log.content or log.position or log.model:
                self.logs.append((log, file.modified))
                return code if code.program else CodeFile(None)
        return code


# --- The log ---


_LOG_REASONS: Final = (
    "it fits the assignment best",
    "it records the code beside it",
    *("it is the newest",) * 3,
    "",
)


def _choose_log(found: list[tuple[Log, float]], code: list[_Code]) -> tuple[Log | None, list[Note]]:
    """Return the log that fits the schema best; of several, that which records the code, then the newest."""
    if not found:
        return None, [Note(NoteLevel.WARNING, f"There is no submission_log.json. {_WANTED}")]
    best_fit = max(_fit(log) for log, _ in found)

    def rank(entry: tuple[Log, float]) -> tuple[object, ...]:
        log, modified = entry
        compared = len(found) > 1 and _fit(log) == best_fit
        written = log.time if log.time is not None and abs(log.time) < float("inf") else 0.0
        return _fit(log), compared and _records(log, code), written, _copy(log.name), modified, log.name

    ranks = {rank(entry): entry[0] for entry in found}
    first, *rest = sorted(ranks, reverse=True)
    log = ranks[first]
    reason = _first_difference(_LOG_REASONS, first, rest[0]) if rest else ""
    note = Note(NoteLevel.FOUND, f"Log: {log.name}{_because(reason)}.")
    return log, [note, *_not_used([other.name for other, _ in found], log.name)]


def _fit(log: Log) -> tuple[int, int, bool]:
    """Return how many sections are whole, how few problems there are, and whether the name is the log's."""
    whole = sum(part is not None for part in (log.time, log.model, log.content, log.position))
    return whole, -len(log.problems), "submission_log" in log.name.lower()


def _records(log: Log, code: list[_Code]) -> bool:
    model = log.model
    return model is not None and any(same_code(each.program, model) for each in code[:MAX_CODE_FILES])


def _copy(name: str) -> int:
    """Return the number that browsers give to a file downloaded again: 2 for "log (2).json"."""
    found = _COPY.findall(name)
    return int(found[-1]) if found else 0


# --- The code ---


@dataclass(frozen=True)
class _Ranked:
    """A reading, and why it may be the best: what it has more of, in this order."""

    program: Program
    merit: tuple[object, ...]

    @property
    def has_class(self) -> bool:
        return bool(self.merit[0])

    @property
    def sources(self) -> list[str]:
        return [cell.source for cell in self.program.cells]


_REASONS: Final = (
    f"it defines {CLASS_NAME}",
    f"its {CLASS_NAME} is the one that your log records",
    f"its {CLASS_NAME} is the most complete",
    "more of your matrices are filled in there",
    "a notebook holds your matrices too",
    "it was executed",
    *("it is the newest",) * 2,
    "",
)
"""What each part of the merit says."""
_PASSES_MORE: Final = "of what you uploaded it passes the most checks"


def _readings(code: list[_Code], log: Log | None) -> list[tuple[Program | None, list[Note]]]:
    """Return the readings, the best first, each with what is told of it."""
    names = [each.program.name for each in code]
    ranked = sorted((_ranked(each, code, log) for each in code), key=lambda each: each.merit, reverse=True)
    readings: list[tuple[Program | None, list[Note]]] = []
    for place, each in enumerate(ranked):
        filled = each.has_class and each.merit[2] and each.sources != ranked[0].sources
        if place == 0:
            reason = _first_difference(_REASONS, each.merit, ranked[1].merit) if ranked[1:] else ""
            readings.append((each.program, _code_notes(each, reason, names)))
        elif filled:
            readings.append((each.program, _code_notes(each, _PASSES_MORE, names)))
    if log is None or log.model is None:
        return readings
    rebuilt = rebuild(log, [cell for each in ranked for cell in each.program.cells])
    program, notes = rebuilt.program, list(rebuilt.notices)
    if program is None:
        return readings or [(None, notes)]
    if not ranked:
        return [(program, notes)]
    used = [cell.label for cell in program.cells]
    best = ranked[0].program
    if ranked[0].has_class:
        text = f"Code: the class that {log.name} records, chosen because {_PASSES_MORE}."
        told = [Note(NoteLevel.FOUND, text), *_not_used(names, *used)]
        return [readings[0], (program, told), *readings[1:]]
    # The file without the class may still hold the matrices, and what the class needs.
    cells = [*program.cells, *(cell for cell in best.cells if cell.label not in used)]
    notes = [_no_class(best.name), *notes, *_not_used(names, best.name, *used)]
    return [(replace(program, cells=tuple(cells)), notes), (program, notes)]


def _ranked(code: _Code, others: list[_Code], log: Log | None) -> _Ranked:
    program = _with_files(code, others)
    if not _binds_class(code):
        for other in others:
            if other is not code and other.program.origin is Origin.SCRIPT and _binds_class(other):
                rest = [cell for cell in program.cells if cell.label != other.program.name]
                program = replace(program, cells=(*other.program.cells, *rest))
                break
    model = log.model if log is not None else None
    methods = class_source(program)
    layers = {
        (node.attr, isinstance(node.ctx, ast.Store))
        for method in (methods or {}).values()
        for node in ast.walk(method.node)
        if isinstance(node, ast.Attribute) and node.attr in LAYERS
    }
    unread = any(_CLASS.search(cell.source) for cell in program.cells if shared_tree(cell.source) is None)
    merit = (
        methods is not None or unread,
        model is not None and same_code(program, model) is True,
        len(layers),
        min(sum(len(_FILLED.findall(cell.source)) for cell in code.main), _MATRICES),
        program.origin is Origin.NOTEBOOK,
        program.executed,
        code.modified,
        _copy(program.name),
        program.name,
    )
    return _Ranked(program, merit)


def _binds_class(code: _Code) -> bool:
    """Tell whether the file itself, not one beside it, defines or imports the class."""
    return any(_CLASS.search(cell.source) or _IMPORTS_CLASS.search(cell.source) for cell in code.main)


def _with_files(code: _Code, others: Sequence[_Code]) -> Program:
    """The program, and in front of it the files that it may import, run or open: those whose name is a word
    of its own, and what these name in turn. Nearest first: the worker takes the first that fits."""
    folder = code.path.parent
    written = {cell.file for cell in code.program.cells if cell.file}
    waiting = sorted(
        (other for other in others if other is not code), key=lambda other: _distance(other.path, folder)
    )
    near = {other.path.stem for other in waiting if other.path.is_relative_to(folder)}
    words = {word for cell in code.program.cells for word in _WORD.findall(cell.source)}
    taken: list[Cell] = []
    size = 0
    found = True
    while found:
        found = False
        for other in tuple(waiting):
            stem = other.path.parent.name if other.path.stem == "__init__" else other.path.stem
            inside = other.path.is_relative_to(folder)
            path = str(other.path.relative_to(folder) if inside else other.path)
            size_now = sum(len(cell.source) for cell in other.main)
            if stem not in words or path in written or path.removesuffix(".py") in _TAKEN:
                continue
            if (stem in near and not inside) or size + size_now > MAX_CODE_BYTES:
                continue
            waiting.remove(other)
            found, size = True, size + size_now
            words |= {word for cell in other.main for word in _WORD.findall(cell.source)}
            taken += [_beside(cell, other.program, path) for cell in other.main]
    return replace(code.program, cells=(*taken, *code.program.cells))


def _beside(cell: Cell, program: Program, path: str) -> Cell:
    label = program.name if program.origin is Origin.SCRIPT else f"{program.name}, {cell.label}"
    return replace(cell, label=label, file=path, executed=True)


def _distance(path: PurePosixPath, folder: PurePosixPath) -> tuple[int, int, PurePosixPath]:
    """How far a file is from a folder: steps up to what they share, then down."""
    shared = sum(1 for own, other in zip(path.parts, folder.parts, strict=False) if own == other)
    return len(folder.parts) - shared, len(path.parts), path


# --- What is told ---


def _first_difference(reasons: Sequence[str], best: Sequence[object], next_best: Sequence[object]) -> str:
    """Why one stands above the other: what it has more of first."""
    return next((why for why, mine, its in zip(reasons, best, next_best, strict=True) if mine != its), "")


def _code_notes(ranked: _Ranked, reason: str, names: list[str]) -> list[Note]:
    program = ranked.program
    cells = sum(not cell.file for cell in program.cells)
    text = f"Code: {program.name} ({cells} cell{'' if cells == 1 else 's'}){_because(reason)}."
    notes = [Note(NoteLevel.FOUND, text)]
    if not ranked.has_class:
        notes.append(_no_class(program.name))
    used = [
        name for name in names if any(f"{cell.label}, ".startswith(f"{name}, ") for cell in program.cells)
    ]
    return notes + _not_used(names, program.name, *used)


def _no_class(name: str) -> Note:
    text = f"{name} defines no class {CLASS_NAME}. Keep that name for your model, and upload it again."
    return Note(NoteLevel.WARNING, text)


def _not_used(names: Iterable[str], *used: str, why: str = "") -> list[Note]:
    rest = [name for name in names if name not in used]
    more = f" and {len(rest) - _LISTED:,} more" if len(rest) > _LISTED else ""
    return [Note(NoteLevel.IGNORED, f"Not used: {', '.join(rest[:_LISTED])}{more}{why}.")] if rest else []


def _because(reason: str) -> str:
    return f", chosen because {reason}" if reason else ""
