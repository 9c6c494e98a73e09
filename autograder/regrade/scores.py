"""Turns a results.json, Gradescope's or ours, into the few plain values that tables show, and finds which
uploads may be the same answer.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from autograder.regrade.output_folder import Out
from autograder.regrade.types import Entry, Row, Score, Status, TestScore
from autograder.submission.source import bare_method, class_source
from autograder.submission.types import Log, Program, Submission
from autograder.text import by_number, clean, text_of_html

MESSAGE_CHARS: Final = 2000
"""Of one test's message in the report; OUT/results has the whole of it."""
_MAX_TESTS: Final = 500
_DATA_URI: Final = re.compile(r"data:[\w/+.;=-]*,[\w+/=%-]{80,}")
_MARKUP: Final = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6]|/pre|/figcaption)\b[^<>]*>", re.IGNORECASE)
_MAX_READ: Final = 256 * 1024
"""Characters of one output that are looked at, before anything is made of them."""
_NUMBER_IN_NAME: Final = re.compile(r"([\d.]+)\s*[):.-]?\s+")
"""At a name's beginning: "1.1) the log is there"."""
DIGITS: Final = 4
"""Significant digits in which matrices have to agree."""


def score_of_results(results: Mapping[str, Any]) -> Score:
    """The total (the results' own, else the sum over the tests) and the tests; anything odd is left out."""
    tests = results.get("tests")
    scores = tuple(
        TestScore(
            number=_interned(test.get("number"), 20),
            name=_interned(test.get("name"), 200),
            score=number(test.get("score")) or 0.0,
            max_score=number(test.get("max_score")) or 0.0,
            message=_message(test),
            status=_interned(test.get("status"), 20),
        )
        for test in (tests if isinstance(tests, list) else [])[:_MAX_TESTS]
        if isinstance(test, Mapping)
    )
    total = number(results.get("score"))
    if total is None and scores:
        total = round(sum(test.score for test in scores), 6)
    return Score(total, scores, _message(results))


def _message(result: Mapping[str, Any]) -> str:
    """An output as text that may be shown anywhere once escaped: no markup, no figures, bounded."""
    text = _DATA_URI.sub("", _str(result.get("output"))[:_MAX_READ])
    if result.get("output_format") in ("html", "simple_format") or _MARKUP.search(text):
        text = text_of_html(text)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.strip().splitlines()))
    return sys.intern(clean(text, MESSAGE_CHARS, lines=True, joiners=True))


def _interned(value: Any, size: int) -> str:
    """A short text, kept once however many submissions have it."""
    return sys.intern(clean(_str(value), size, joiners=True))


def _str(value: Any) -> str:
    # Only what is text: writing out a value of another sort may take forever, if it refers to itself a lot.
    return value if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A finite number, from a number or its text; else None."""
    try:
        result = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


# --- Rows. ---


def row_of(entry: Entry, out: Out) -> Row:
    """The row of a submission that has been dealt with."""
    if entry.damage:
        return Row(entry, Status.SKIPPED, (entry.damage,))
    record = out.record(entry.id)
    if record is None:
        return Row(entry, Status.FAULT, ("its result is not whole: run again",))
    status = Status.TIMED_OUT if record.timed_out else Status.GRADED
    results = json.loads(record.results or b"{}")
    return Row(
        entry=entry,
        status=Status.FAULT if record.faults else status,
        reasons=record.faults or (("its code met a time limit",) if record.timed_out else ()),
        now=score_of_results(results) if results else Score(),
        look_at=tuple(results.get("extra_data", {}).get("look at", ())),
        record=replace(record, results=None, files=()),  # of 2,000 submissions they are large
    )


def checks_of(rows: Iterable[Row]) -> list[TestScore]:
    """One of every test that any result has now, ordered by number: 2.9 before 2.10, those without last."""
    found: dict[str, TestScore] = {}
    for row in rows:
        for test in row.now.tests:
            found.setdefault(test.title, test)

    return sorted(found.values(), key=lambda test: (by_number(test.number), test.title))


def maximum_of(rows: Iterable[Row]) -> float:
    """The points that there are in total; 0 if nothing is graded."""
    return max((sum(test.max_score for test in row.now.tests) for row in rows), default=0.0)


def moved(rows: Iterable[Row]) -> tuple[str, str]:
    """How many scores changed, and how."""
    changes = [row.change for row in rows if row.change]
    up = sum(change > 0 for change in changes)
    return str(len(changes)), f"scores changed: {up} up, {len(changes) - up} down"


def folded(text: str) -> str:
    """The text as it is searched for: without accents and capitals."""
    marks = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in marks if not unicodedata.combining(char))


def paired(row: Row) -> list[tuple[TestScore | None, TestScore | None]]:
    """Each test beside what it was, found by its number, else by its name; at the end those that are gone."""
    olds: dict[tuple[int, str], TestScore] = {}
    for old in row.entry.before.tests:
        for key in enumerate(_number_and_name(old)):
            olds.setdefault(key, old)
    olds.pop((0, ""), None)
    pairs: list[tuple[TestScore | None, TestScore | None]] = []
    for test in row.now.tests:
        by_number, by_name = enumerate(_number_and_name(test))
        pairs.append((test, olds.get(by_number) or olds.get(by_name)))
    found = [old for _, old in pairs]
    return pairs + [(None, old) for old in row.entry.before.tests if old not in found]


def _number_and_name(test: TestScore) -> tuple[str, str]:
    """Also where the number is written into the name, as exports do that have no field for it."""
    found = _NUMBER_IN_NAME.match(test.name)
    number = test.number or (found[1].rstrip(".") if found else "")
    return number, test.name[found.end() if found else 0 :].strip().casefold()


def mistakes(rows: Iterable[Row]) -> list[tuple[str, list[str]]]:
    """Every mistake that was recognised, the commonest first, with the ids that show it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for name in dict.fromkeys(row.record.diagnoses):
            found.setdefault(name, []).append(row.entry.id)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


# --- Same answers, by three signals: places to look, not a verdict. A short exercise has short answers: many
# will honestly agree in their matrices or their code, hardly two in the time at which the notebook ran. ---


def groups(rows: Iterable[Row]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """In which signals some agree, and their ids; the rarer and the more signals come first."""
    members: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for signal in row.record.signals.items():
            members.setdefault(signal, []).append(row.entry.id)
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for (name, _), ids in members.items():
        if len(ids) > 1:
            found[tuple(ids)] = (*found.get(tuple(ids), ()), name)
    # A large group rather shows an obvious answer.
    return sorted(
        ((names, ids) for ids, names in found.items()),
        key=lambda group: ("time" not in group[0], -len(group[0]), len(group[1])),
    )


def signals(submission: Submission) -> dict[str, str]:
    """In what one upload may agree with another; nothing where there is nothing to compare."""
    log = submission.log
    code = canonical_source(submission.program) if submission.program is not None else ""
    found = {
        "matrices": _matrices(log) if log is not None else "",
        "code": code and hashlib.sha256(code.encode()).hexdigest()[:16],
        "time": "" if log is None or log.time is None else repr(log.time),
    }
    return {name: value for name, value in found.items() if value}


def _matrices(log: Log) -> str:
    """To DIGITS significant digits, zeros without a sign, whatever they were typed as."""
    told = [
        "" if array is None else ",".join(f"{value:.{DIGITS}g}" for value in np.asarray(array, float) + 0.0)
        for record in (log.content, log.position)
        if record is not None
        for array in (record.Q, record.K, record.V, record.pos)
    ]
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:16] if told else ""


_NAMES: Final = {ast.arg: "arg", ast.Name: "id", ast.Attribute: "attr", ast.FunctionDef: "name"}


def canonical_source(program: Program) -> str:
    """The methods of the model's class with their own names numbered, without comments, layout, docstrings
    and annotations; "" if there is none, or they cannot be parsed."""
    methods = class_source(program) or {}
    try:
        trees = [tree for method in methods.values() if (tree := bare_method(method.text)) is not None]
        named = [
            (node, _NAMES[type(node)]) for tree in trees for node in ast.walk(tree) if type(node) in _NAMES
        ]
        set_here = [each for each in named if not isinstance(getattr(each[0], "ctx", None), ast.Load)]
        own = methods.keys() | {getattr(node, at) for node, at in set_here}
        numbers: dict[str, str] = {}
        for node, at in named:
            name = getattr(node, at)
            if name in own:
                setattr(node, at, numbers.setdefault(name, f"_{len(numbers)}"))
        return "".join(map(ast.dump, trees))
    except RecursionError:
        return ""
