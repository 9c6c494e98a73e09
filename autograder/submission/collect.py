"""The upload comes in: a path to a `Submission`. Everything in it is read as data; nothing of it is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autograder.errors import UploadError
from autograder.settings import MAX_CODE_FILES
from autograder.submission.archive import unpack
from autograder.submission.choose import (
    ChosenCode,
    CodeCandidate,
    LogCandidate,
    choose_code,
    choose_log,
)
from autograder.submission.files import FoundFile, Kind, UploadBudget, read_single, shown, walk
from autograder.submission.from_log import rebuild
from autograder.submission.log import read_log
from autograder.submission.notebook import Reading, read_notebook
from autograder.submission.script import read_script
from autograder.submission.types import Log, Note, NoteLevel, Program, Submission

_LOG_KEYS: Final = (b'"attention_by_', b'"torch_transformer_')
_LOG_WORDS: Final = ("log", "submission")
"""A .json with one of these in its name is meant as the log, whatever it holds."""
_WANTED: Final = "Upload submission_log.json, and with it the notebook that wrote it."


def collect(upload: Path) -> Submission:
    """Read an upload: a folder, a .zip, or a single .ipynb, .py or .json.

    The notices say what was found, ignored and chosen. Raises UploadError if the upload is one file
    and cannot be opened; of a folder, what cannot be read is told and the rest is used.
    """
    ledger = UploadBudget()
    candidates = _Candidates()
    for file in _files(upload, ledger):
        candidates.add(file)
    log, log_notices = _log(candidates.logs)
    program, code_notices = _program(candidates.code, log)
    notices = (*log_notices, *code_notices, *candidates.notices, *ledger.all_notices())
    return Submission(log, program, notices)


def _files(upload: Path, ledger: UploadBudget) -> Iterator[FoundFile]:
    """Yield the files of the upload that are worth reading, those in archives included."""
    try:
        is_folder = upload.is_dir()
        is_there = is_folder or upload.is_symlink() or upload.exists()
    except (OSError, ValueError) as error:
        raise UploadError(f"{shown(str(upload))} cannot be opened: {error}.") from error
    if not is_there:
        raise UploadError(f"There is no file or folder {shown(str(upload))}.")
    found = walk(upload, ledger) if is_folder else iter([read_single(upload, ledger)])
    for file in found:
        if file.kind is not Kind.ARCHIVE:
            yield file
            continue
        told = len(ledger.notices)
        members = 0
        for member in unpack(file, ledger):
            members += 1
            yield member
        if not is_folder and not members and len(ledger.notices) > told:
            raise UploadError(ledger.notices[told].text)


@dataclass
class _Candidates:
    """What the files turned out to be."""

    logs: list[LogCandidate] = field(default_factory=list)
    code: list[CodeCandidate] = field(default_factory=list)
    notices: list[Note] = field(default_factory=list)
    files: int = 0

    def add(self, file: FoundFile) -> None:
        """Read a file for what its name says it is, and for what its content says where that differs."""
        self.files += 1
        if self.files > MAX_CODE_FILES:
            if self.files == MAX_CODE_FILES + 1:
                text = f"Only the first {MAX_CODE_FILES} files were read, up to {file.name}. {_WANTED}"
                self.notices.append(Note(NoteLevel.WARNING, text))
            return
        if file.kind is Kind.SCRIPT:
            self._code(file, read_script(file.name, file.data))
        elif file.kind is Kind.LOG:
            self._json(file)
        else:
            self._notebook(file)

    def _json(self, file: FoundFile) -> None:
        meant = any(word in file.name.lower() for word in _LOG_WORDS)
        if not meant and not any(key in file.data for key in _LOG_KEYS) and b'"nbformat"' not in file.data:
            text = f"Not used: {file.name}, which is not the log that the assignment's notebook writes."
            self.notices.append(Note(NoteLevel.IGNORED, text))
            return
        self.logs.append(LogCandidate(read_log(file.name, file.data), file.modified))
        if b'"nbformat"' in file.data:
            reading = read_notebook(file.name, file.data)
            if reading.program:
                self._code(file, reading)

    def _notebook(self, file: FoundFile) -> None:
        reading = read_notebook(file.name, file.data)
        if reading.program is None and any(key in file.data for key in _LOG_KEYS):
            log = read_log(file.name, file.data)
            if log.content or log.position or log.model:
                self.logs.append(LogCandidate(log, file.modified))
                return
        self._code(file, reading)

    def _code(self, file: FoundFile, reading: Reading) -> None:
        self.notices.extend(reading.notices)
        if reading.program:
            self.code.append(CodeCandidate(reading.program, file.modified))


def _log(candidates: list[LogCandidate]) -> tuple[Log | None, list[Note]]:
    chosen = choose_log(candidates)
    if chosen is None:
        return None, [Note(NoteLevel.WARNING, f"There is no submission_log.json. {_WANTED}")]
    log, reason = chosen
    notices = [Note(NoteLevel.FOUND, f"Log: {log.name}{_because(reason)}.")]
    return log, notices + _not_used([candidate.log.name for candidate in candidates], log.name)


def _program(candidates: list[CodeCandidate], log: Log | None) -> tuple[Program | None, list[Note]]:
    """Take the file that defines the class, else the class that the log records, else any file."""
    chosen = choose_code(candidates, log)
    if (chosen is None or not chosen.defines) and log is not None and log.model is not None:
        rebuilt = rebuild(log)
        if rebuilt.program is not None or chosen is None:
            without = [_no_class(chosen.program.name)] if chosen else []
            return rebuilt.program, [*without, *rebuilt.notices, *_unused_code(None, candidates)]
    if chosen is None:
        return None, [Note(NoteLevel.WARNING, f"There is no code of yours in the upload. {_WANTED}")]
    cells = len(chosen.program.cells)
    text = f"Code: {chosen.program.name} ({cells} cell{'' if cells == 1 else 's'}){_because(chosen.reason)}."
    notices = [Note(NoteLevel.FOUND, text)]
    if not chosen.defines:
        notices.append(_no_class(chosen.program.name))
    return chosen.program, notices + _unused_code(chosen, candidates)


def _no_class(name: str) -> Note:
    text = f"{name} defines no class PytorchTransformer. Keep that name for your model, and upload it again."
    return Note(NoteLevel.WARNING, text)


def _unused_code(chosen: ChosenCode | None, candidates: list[CodeCandidate]) -> list[Note]:
    used = {cell.label for cell in chosen.program.cells} | {chosen.program.name} if chosen else set()
    return _not_used([candidate.program.name for candidate in candidates], *used)


def _not_used(names: list[str], *used: str) -> list[Note]:
    rest = [name for name in names if name not in used]
    return [Note(NoteLevel.IGNORED, f"Not used: {', '.join(rest)}.")] if rest else []


def _because(reason: str) -> str:
    return f", chosen because {reason}" if reason else ""
