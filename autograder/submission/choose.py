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
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from autograder.assignment import CLASS_NAME, LAYERS
from autograder.bounds import TOO_MUCH, within
from autograder.sandbox.calls import Cell
from autograder.settings import LOG_ALONE, MAX_CODE_BYTES, MAX_CODE_FILES, PART_CPU_SECONDS
from autograder.submission.files import LOG_WORDS, FoundFile, Kind, UploadBudget, files_of, listed
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
_NEWEST: Final = "it is the newest"
_Merit = tuple[tuple[object, str], ...]
"""What speaks for a file: how much there is of something, and what is told where that decides. The first in
which two differ does."""
_Reading = tuple[Program | None, list[Note]]
"""A program, or none, and what is told of it."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Code:
    """A file of code. modified: seconds."""

    program: Program
    path: PurePosixPath
    modified: float

    @property
    def main(self) -> list[Cell]:
        return [cell for cell in self.program.cells if not cell.file]

    @property
    def binds_class(self) -> bool:
        """Whether the file itself, not one beside it, defines or imports the class."""
        return any(_CLASS.search(cell.source) or _IMPORTS_CLASS.search(cell.source) for cell in self.main)

    def as_file(self, path: str) -> list[Cell]:
        """Its cells as those of a file beside another program."""
        name, is_script = self.program.name, self.program.origin is Origin.SCRIPT
        return [
            replace(cell, label=name if is_script else f"{name}, {cell.label}", file=path, executed=True)
            for cell in self.main
        ]

    def far_from(self, folder: PurePosixPath) -> tuple[int, int, PurePosixPath]:
        """How far it is from a folder: steps up to what they share, then down."""
        shared = sum(own == other for own, other in zip(self.path.parts, folder.parts, strict=False))
        return len(folder.parts) - shared, len(self.path.parts), self.path


def collect(upload: Path) -> Submission:
    """Read an upload: a folder, a .zip, or a single .ipynb, .py or .json.

    The notices say what was found, ignored and chosen. Raises UploadError if the upload is one file
    and cannot be opened; of a folder, what cannot be read is told and the rest is used.
    """
    budget = UploadBudget()
    found = _Candidates()
    for file, data in files_of(upload, budget):
        with found.part(file.name, "read"):
            found.add(file, data)
    if LOG_ALONE:
        names = [code.program.name for code in found.code]
        found.notices += listed("Not used", names, ": your course grades the log alone")
        found.code.clear()
    log = found.logs[0][0] if found.logs else None
    log_notes: list[Note] = []
    readings: list[_Reading] = [(code.program, []) for code in found.code[:1]]
    with found.part("Your files", "compared"):
        log, log_notes = _choose_log(found.logs, found.code)
        readings = _readings(found.code, log)
    if found.unused:
        text = f"Not used: {found.unused:,} more files, in none of which {CLASS_NAME} stands."
        found.notices.append(Note(NoteLevel.IGNORED, text))
    why = ", which is not the log that the assignment's notebook writes"
    rest = (*found.notices, *listed("Not used", found.not_logs, why), *budget.notices())
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

    @contextlib.contextmanager
    def part(self, name: str, done: str) -> Iterator[None]:
        """Bound one part of the work, and let whatever is raised in it cost that part alone."""
        told = f"{name} could not be {done}"
        try:
            with within(PART_CPU_SECONDS):
                yield
            return
        except TOO_MUCH:
            why = f": it takes too much time or memory. {_WANTED}"
        except Exception:
            why = "; that is not your fault, and staff are told."
            self.faults.append(f"{told}: {traceback.format_exc()}")
        self.notices.append(Note(NoteLevel.WARNING, f"{told}{why}"))

    def add(self, file: FoundFile, data: bytes) -> None:
        """Read a file for what its name says it is, and for what its content says where that differs."""
        origin = {Kind.NOTEBOOK: Origin.NOTEBOOK, Kind.SCRIPT: Origin.SCRIPT}.get(file.kind)
        names_class = any(CLASS_NAME.encode(form) in data for form in ("utf-8", "utf-16-le"))
        alike = sum(code.program.origin is origin for code in self.code)
        if origin and not names_class and alike >= MAX_CODE_FILES:
            self.unused += 1  # of the files that are not the homework, the first may be its modules
            return
        is_log = origin is None and any(word in file.name.lower() for word in LOG_WORDS)
        may_be_log = origin is not Origin.SCRIPT and any(key in data for key in _LOG_KEYS)
        is_wide = data[:4].count(b"\0") > 0 or data.startswith((b"\xff\xfe", b"\xfe\xff"))
        code = CodeFile(None)
        if origin is Origin.SCRIPT:
            code = read_script(file.name, data)
        elif origin is Origin.NOTEBOOK or b'"nbformat"' in data:
            code = read_notebook(file.name, data)
        elif not (is_log or may_be_log or is_wide):
            self.not_logs.append(file.name)
            return
        if is_log or (not code.program and (origin is None or may_be_log)):
            log = read_log(file.name, data)
            if origin is None or log.content or log.position or log.model:
                self.logs.append((log, file.modified))
                code = code if code.program else CodeFile(None)
        self.notices.extend(code.notices)
        if code.program:
            self.code.append(_Code(code.program, file.path, file.modified))


# --- The log ---


def _choose_log(found: list[tuple[Log, float]], code: list[_Code]) -> tuple[Log | None, list[Note]]:
    """Return the log that fits the schema best; of several, that which records the code, then the newest."""
    if not found:
        return None, [Note(NoteLevel.WARNING, f"There is no submission_log.json. {_WANTED}")]
    best_fit = max(_fit(log) for log, _ in found)

    def merit(log: Log, modified: float) -> _Merit:
        model = log.model if len(found) > 1 and _fit(log) == best_fit else None
        beside = [each.program for each in code[:MAX_CODE_FILES]]
        written = log.time if log.time is not None and abs(log.time) < float("inf") else 0.0
        return (
            (_fit(log), "it fits the assignment best"),
            (any(model and same_code(each, model) for each in beside), "it records the code beside it"),
            ((written, _copy(log.name), modified), _NEWEST),
            (log.name, ""),
        )

    ((_, log), *_), why = _ranked((merit(log, modified), log) for log, modified in found)
    names = [other.name for other, _ in found if other.name != log.name]
    return log, [Note(NoteLevel.FOUND, f"Log: {log.name}{why}."), *listed("Not used", names)]


def _fit(log: Log) -> tuple[int, int, bool]:
    """Return how many sections are whole, how few problems there are, and whether the name is the log's."""
    whole = sum(part is not None for part in (log.time, log.model, log.content, log.position))
    return whole, -len(log.problems), "submission_log" in log.name.lower()


def _copy(name: str) -> int:
    """Return the number that browsers give to a file downloaded again: 2 for "log (2).json"."""
    found = _COPY.findall(name)
    return int(found[-1]) if found else 0


def _ranked(entries: Iterable[tuple[_Merit, _T]]) -> tuple[list[tuple[_Merit, _T]], str]:
    """The best first, and why it stands above the second."""
    ranked = sorted(entries, key=itemgetter(0), reverse=True)
    pairs = zip(ranked[0][0], ranked[1][0], strict=True) if ranked[1:] else ()
    reason = next((mine[1] for mine, its in pairs if mine != its), "")
    return ranked, f", chosen because {reason}" if reason else ""


# --- The code ---


def _readings(code: list[_Code], log: Log | None) -> list[_Reading]:
    """Return the readings, the best first, each with what is told of it."""
    names = [each.program.name for each in code]
    whole = [(each, _whole(each, code)) for each in code]
    ranked, why = _ranked((_merit(each, program, log), program) for each, program in whole)
    has_class = bool(ranked) and bool(ranked[0][0][0][0])
    readings: list[_Reading] = []
    sources: list[list[str]] = []
    for (defined, _, layers, *_), program in ranked:
        sources.append([cell.source for cell in program.cells])
        if not readings:
            warning = [] if has_class else [_no_class(program.name)]
            readings.append((program, _code_notes(program, why, names, warning)))
        elif defined[0] and layers[0] and sources[-1] != sources[0]:
            readings.append((program, _code_notes(program, _PASSES_MORE, names)))
    if log is None or log.model is None:
        return readings
    rebuilt = rebuild(log.name, log.model, [cell for _, program in ranked for cell in program.cells])
    recorded, notes = rebuilt.program, list(rebuilt.notices)
    if recorded is None or not ranked:
        return readings or [(recorded, notes)]
    used = [cell.label for cell in recorded.cells]
    if has_class:
        note = Note(NoteLevel.FOUND, f"Code: the class that {log.name} records{_PASSES_MORE}.")
        return [readings[0], (recorded, [note, *_not_used(names, used)]), *readings[1:]]
    # The file without the class may still hold the matrices, and what the class needs.
    best = ranked[0][1]
    cells = (*recorded.cells, *(cell for cell in best.cells if cell.label not in used))
    notes = [_no_class(best.name), *notes, *_not_used(names, [best.name, *used])]
    return [(replace(recorded, cells=cells), notes), (recorded, notes)]


def _merit(code: _Code, program: Program, log: Log | None) -> _Merit:
    """What speaks for a file of code; program: with the files that it needs."""
    model = log.model if log is not None else None
    methods = class_source(program)
    layers = {
        (node.attr, isinstance(node.ctx, ast.Store))
        for method in (methods or {}).values()
        for node in ast.walk(method.node)
        if isinstance(node, ast.Attribute) and node.attr in LAYERS
    }
    unread = any(_CLASS.search(cell.source) for cell in program.cells if shared_tree(cell.source) is None)
    filled = sum(len(_FILLED.findall(cell.source)) for cell in code.main)
    return (
        (methods is not None or unread, f"it defines {CLASS_NAME}"),
        (
            model is not None and same_code(program, model) is True,
            f"its {CLASS_NAME} is the one that your log records",
        ),
        (len(layers), f"its {CLASS_NAME} is the most complete"),
        (min(filled, _MATRICES), "more of your matrices are filled in there"),
        (program.origin is Origin.NOTEBOOK, "a notebook holds your matrices too"),
        (program.executed, "it was executed"),
        ((code.modified, _copy(program.name)), _NEWEST),
        (program.name, ""),
    )


def _whole(code: _Code, others: list[_Code]) -> Program:
    """The program with the files that it needs in front; where it neither defines nor imports the class, a
    script that does is run before it."""
    program = _with_files(code, others)
    for other in () if code.binds_class else others:
        if other is not code and other.program.origin is Origin.SCRIPT and other.binds_class:
            rest = (cell for cell in program.cells if cell.label != other.program.name)
            return replace(program, cells=(*other.program.cells, *rest))
    return program


def _with_files(code: _Code, others: Sequence[_Code]) -> Program:
    """The program, and in front of it the files that it may import, run or open: those whose name is a word
    of its own, and what these name in turn. Nearest first: the worker takes the first that fits."""
    folder = code.path.parent
    written = {cell.file for cell in code.program.cells if cell.file}
    waiting = sorted((each for each in others if each is not code), key=lambda each: each.far_from(folder))
    near = {other.path.stem for other in waiting if other.path.is_relative_to(folder)}
    words = {word for cell in code.program.cells for word in _WORD.findall(cell.source)}
    taken: list[Cell] = []
    left = MAX_CODE_BYTES
    found = True
    while found:
        found = False
        for other in tuple(waiting):
            stem = other.path.parent.name if other.path.stem == "__init__" else other.path.stem
            inside = other.path.is_relative_to(folder)
            path = str(other.path.relative_to(folder) if inside else other.path)
            size = sum(len(cell.source) for cell in other.main)
            is_other = path in written or path.removesuffix(".py") in _TAKEN or (stem in near and not inside)
            if stem in words and not is_other and size <= left:
                waiting.remove(other)
                found, left = True, left - size
                words |= {word for cell in other.main for word in _WORD.findall(cell.source)}
                taken += other.as_file(path)
    return replace(code.program, cells=(*taken, *code.program.cells))


# --- What is told ---


_PASSES_MORE: Final = ", chosen because of what you uploaded it passes the most checks"


def _code_notes(program: Program, why: str, names: list[str], warning: Sequence[Note] = ()) -> list[Note]:
    cells = sum(not cell.file for cell in program.cells)
    text = f"Code: {program.name} ({cells} cell{'' if cells == 1 else 's'}){why}."
    labels = [f"{cell.label}, " for cell in program.cells]
    used = [name for name in names if any(label.startswith(f"{name}, ") for label in labels)]
    return [Note(NoteLevel.FOUND, text), *warning, *_not_used(names, [program.name, *used])]


def _no_class(name: str) -> Note:
    text = f"{name} defines no class {CLASS_NAME}. Keep that name for your model, and upload it again."
    return Note(NoteLevel.WARNING, text)


def _not_used(names: list[str], used: list[str]) -> list[Note]:
    return listed("Not used", [name for name in names if name not in used])
