"""Reads submission_log.json: bytes in, a `Log` out, with a `Problem` for each place that is not right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from autograder.assignment import Section
from autograder.settings import MAX_LOG_BYTES, MAX_LOG_DEPTH, MIB
from autograder.submission import log_wording as wording
from autograder.submission.json_reader import Json, JsonFault, Overflow, read_json
from autograder.submission.log_schema import KEYS, LOG_SCHEMA, SECTION_OF
from autograder.submission.types import Fault, FlatArray, Log, ModelRecord, Problem, TaskRecord
from autograder.text import NAME_LIMIT, clean

TOLD_PER_SECTION: Final = 5
"""Problems told one by one; of the rest, their number."""
_COUNTED: Final = 10_000
"""Violations looked at, so that a hostile log costs no more than a large one."""
_VALIDATOR: Final = Draft202012Validator(LOG_SCHEMA)

Record = TypeVar("Record")


def read_log(name: str, data: bytes) -> Log:
    """Read the log. name: the file as the student knows it. Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    if len(data) > MAX_LOG_BYTES:
        return unreadable(name, f"is larger than {MAX_LOG_BYTES // MIB} MiB; the notebook writes a few KiB")
    read = read_json(data, MAX_LOG_DEPTH)
    if isinstance(read, JsonFault):
        return unreadable(name, read.message)
    if not isinstance(read.value, dict):
        return unreadable(name, f"holds {wording.kind(read.value)} where an object, {{...}}, was expected")
    if is_notebook(read.value):
        return unreadable(name, "is a notebook under another name, not the log that the notebook writes")
    return _from_object(name, read)


def is_notebook(value: object) -> bool:
    """Tell whether a JSON value is a Jupyter notebook."""
    if not isinstance(value, dict) or is_log(value):
        return False
    return "worksheets" in value or ("cells" in value and ("nbformat" in value or "metadata" in value))


def is_log(value: object) -> bool:
    """Tell whether a JSON value has any of the keys that the assignment's notebook writes."""
    return isinstance(value, dict) and any(key in value for key in SECTION_OF)


def unreadable(name: str, reason: str) -> Log:
    """Return the log of a file that is no log. reason: a clause that follows its name."""
    message = f"{name} {reason}. {wording.REWRITE}"
    problem = Problem(None, name, Fault.BROKEN, message)
    return Log(name, False, None, None, None, None, (problem,))


def problems_of(log: Log, section: Section) -> tuple[Problem, ...]:
    """Return the problems of a section or, where it has none of its own, those of the file as a whole."""
    own = tuple(problem for problem in log.problems if problem.section is section)
    return own or tuple(problem for problem in log.problems if problem.section is None)


def _from_object(name: str, read: Json) -> Log:
    values: dict[str, Any] = read.value
    if not is_log(values):
        return Log(name, True, None, None, None, None, (_another_assignment(name, values),))
    faults = _violations(values)
    for section, keys in KEYS.items():
        faults[section] += [_repeated(section, key) for key in keys if key in read.repeated]
        faults[section] += _missing(section, [key for key in keys if key not in values])
    whole = {section for section, found in faults.items() if not found}
    for section in whole:
        faults[section] += _not_finite(section, values)

    def build(section: Section, record: Callable[[Mapping[str, Any]], Record]) -> Record | None:
        return record(values) if section in whole else None

    return Log(
        name,
        True,
        build(Section.TIME, lambda log: float(log["time"])),
        build(Section.MODEL, _model),
        build(Section.CONTENT, lambda log: _task(log, "attention_by_content", None)),
        build(Section.POSITION, lambda log: _task(log, "attention_by_position", "attention_by_position_pos")),
        tuple(problem for section in Section for problem in _bounded(section, faults[section])),
    )


def _violations(values: Mapping[str, Any]) -> dict[Section, list[Problem]]:
    """Return what does not fit the schema, missing keys aside: one problem per key and kind of violation."""
    first: dict[tuple[str, str, int], ValidationError] = {}
    count: Counter[tuple[str, str, int]] = Counter()
    for error in islice(_VALIDATOR.iter_errors(values), _COUNTED):
        if error.validator != "required":
            group = (str(error.absolute_path[0]), str(error.validator), len(error.absolute_path))
            first.setdefault(group, error)
            count[group] += 1
    faults: dict[Section, list[Problem]] = {section: [] for section in Section}
    for group, error in first.items():
        section = SECTION_OF[group[0]]
        message = wording.message(error, count[group] - 1)
        faults[section].append(Problem(section, wording.where(error), Fault.BROKEN, message))
    return faults


def _model(log: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord(
        tuple(int(size) for size in log["torch_transformer_shape"]),
        _array(log["torch_transformer_value"]),
        log["torch_transformer_init"],
        log["torch_transformer_forward"],
    )


def _task(log: Mapping[str, Any], key: str, pos: str | None) -> TaskRecord:
    Q, K, V = (_array(log[f"{key}_{letter}"]) for letter in "QKV")
    return TaskRecord(_array(log[key]), Q, K, V, None if pos is None else _array(log[pos]))


def _array(numbers: Iterable[float]) -> FlatArray:
    return np.array([float(number) for number in numbers], dtype=np.float64)


def _another_assignment(name: str, values: Mapping[str, Any]) -> Problem:
    keys = ", ".join(f'"{clean(key, 30)}"' for key in islice(values, 4)) or "none at all"
    return Problem(
        None,
        name,
        Fault.BROKEN,
        f"{name} has none of the keys that this assignment's notebook writes; its keys are {keys}. It may be "
        f"the log of another assignment. {wording.REWRITE}",
    )


def _missing(section: Section, keys: list[str]) -> list[Problem]:
    if not keys:
        return []
    if len(keys) == len(KEYS[section]):
        listed = ", ".join(keys)
        message = f"The log has no section {section.value} ({listed}). {wording.REMEDY[section]}"
        return [Problem(section, section.value, Fault.MISSING, message)]
    return [
        Problem(section, key, Fault.MISSING, f"The log lacks {key}. {wording.REMEDY[section]}")
        for key in keys
    ]


def _repeated(section: Section, key: str) -> Problem:
    message = (
        f"{key} stands in the log more than once, so it is not clear which one counts. {wording.REWRITE}"
    )
    return Problem(section, key, Fault.BROKEN, message)


def _not_finite(section: Section, values: Mapping[str, Any]) -> Iterator[Problem]:
    for key in KEYS[section]:
        value = values[key]
        numbers = value if isinstance(value, list) else [value]
        odd = [
            index
            for index, number in enumerate(numbers)
            if isinstance(number, float) and not math.isfinite(number)
        ]
        if odd:
            place = f"{key}, item {odd[0] + 1}" if isinstance(value, list) else key
            came = f"{_named(numbers[odd[0]])}{wording.also(len(odd) - 1)}"
            message = f"A number was expected, and {came} {wording.REMEDY[section]}"
            yield Problem(section, place, Fault.NOT_FINITE, message)


def _named(number: float) -> str:
    if isinstance(number, Overflow):
        return "a number beyond 1.8e308 came, the largest that can be computed with."
    if math.isnan(number):
        return (
            "NaN came, which is not JSON and not a number: most often exp() overflowed, because a score is "
            "too large."
        )
    return f"{'-' if number < 0 else ''}Infinity came, which is not JSON: a computation overflowed."


def _bounded(section: Section, found: list[Problem]) -> Iterator[Problem]:
    yield from found[:TOLD_PER_SECTION]
    rest = len(found) - TOLD_PER_SECTION
    if rest > 0:
        message = f"{rest:,} more problems of the same section are not listed."
        yield Problem(section, section.value, found[-1].fault, message)
