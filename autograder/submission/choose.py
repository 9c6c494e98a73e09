"""Chooses among several logs and several programs, and says which was chosen and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from autograder.assignment import CLASS_NAME
from autograder.submission.class_source import class_source, same_code
from autograder.submission.modules import with_modules
from autograder.submission.syntax import shared_tree
from autograder.submission.types import Log, Origin, Program

_COPY: Final = re.compile(r"\((\d{1,4})\)")
_CLASS: Final = re.compile(rf"^\s*(class\s+{CLASS_NAME}\b|{CLASS_NAME}\s*=)", re.MULTILINE)
_LAYER: Final = re.compile(r"\bself\.([KQV]m)\s*[=:]")


@dataclass(frozen=True)
class LogCandidate:
    """A file that may be the log. modified: seconds."""

    log: Log
    modified: float


@dataclass(frozen=True)
class CodeCandidate:
    """A file of code. modified: seconds."""

    program: Program
    modified: float


@dataclass(frozen=True)
class ChosenCode:
    """program: the chosen one, with the scripts it imports in front. defines: it has the class.

    reason: why it and no other, a clause; empty if there was no choice.
    """

    program: Program
    defines: bool
    reason: str


def choose_log(candidates: list[LogCandidate]) -> tuple[Log, str] | None:
    """Return the log and why it was chosen: the one that fits the schema best, then the newest."""
    if not candidates:
        return None
    best = max(candidates, key=_log_rank)
    others = [candidate for candidate in candidates if candidate is not best]
    if not others:
        return best.log, ""
    fits_best = all(_fit(best.log) > _fit(other.log) for other in others)
    return best.log, "it fits the assignment best" if fits_best else "it is the newest"


def _log_rank(candidate: LogCandidate) -> tuple[tuple[int, int], bool, float, int, float, str]:
    log = candidate.log
    named = "submission_log" in log.name.lower()
    written = log.time if log.time is not None and abs(log.time) < float("inf") else 0.0
    return _fit(log), named, written, _copy(log.name), candidate.modified, log.name


def _fit(log: Log) -> tuple[int, int]:
    """Return how many sections are whole, and how few problems there are."""
    whole = sum(part is not None for part in (log.time, log.model, log.content, log.position))
    return whole, -len(log.problems)


def choose_code(candidates: list[CodeCandidate], log: Log | None) -> ChosenCode | None:
    """Choose what to run: it defines PytorchTransformer, as the log records it, all its layers there.

    A notebook goes before a script, and of two that are alike the newest is taken.
    """
    if not candidates:
        return None
    if len(candidates) == 1:
        program = candidates[0].program
        return ChosenCode(program, defines_class(program), "")
    scripts = {
        PurePosixPath(candidate.program.name).stem: candidate.program
        for candidate in candidates
        if candidate.program.origin is Origin.SCRIPT
    }
    ranked = []
    for candidate in candidates:
        others = {name: script.cells for name, script in scripts.items() if script is not candidate.program}
        program = replace(candidate.program, cells=with_modules(candidate.program.cells, others))
        matches = log is not None and log.model is not None and same_code(program, log.model) is True
        merit = (defines_class(program), matches, _layers(program), program.origin is Origin.NOTEBOOK)
        age = (_copy(program.name), candidate.modified, program.name)
        ranked.append((merit, age, program))
    ranked.sort(key=lambda entry: entry[:2])
    merit, _, program = ranked[-1]
    return ChosenCode(program, merit[0], _reason([entry[0] for entry in ranked]))


def defines_class(program: Program) -> bool:
    """Tell whether the program has a class PytorchTransformer, be it in a cell that does not parse."""
    if class_source(program) is not None:
        return True
    return any(shared_tree(cell.source) is None and _CLASS.search(cell.source) for cell in program.cells)


def _reason(merits: list[tuple[bool, bool, int, bool]]) -> str:
    best, next_best = merits[-1], merits[-2]
    reasons = (
        f"it defines {CLASS_NAME}",
        f"its {CLASS_NAME} is the one that your log records",
        f"its {CLASS_NAME} is the most complete",
        "a notebook holds your matrices too",
    )
    return next(
        (reason for reason, mine, other in zip(reasons, best, next_best, strict=True) if mine != other),
        "it is the newest",
    )


def _layers(program: Program) -> int:
    return len({name for cell in program.cells for name in _LAYER.findall(cell.source)})


def _copy(name: str) -> int:
    """Return the number that browsers give to a file downloaded again: 2 for "log (2).json"."""
    found = _COPY.findall(name)
    return int(found[-1]) if found else 0
