"""Reads submission_log.json: bytes in, a `Log` out, with a `Problem` for each place that is not right.

JSON Schema says what the log has to look like; none of the validator's own text is shown. Whether the values
are right, and whether the arrays fit together, is for the checks to say.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from autograder.assignment import LOG_KEYS, Section
from autograder.settings import MAX_CODE_BYTES, MAX_LOG_BYTES, MAX_MATRIX_ITEMS, MIB
from autograder.submission.types import FlatArray, Log, ModelRecord, Problem, ProblemKind, TaskRecord
from autograder.text import NAME_LIMIT, clean

TOLD_PER_SECTION: Final = 5
"""Problems told one by one; of the rest, their number."""
_MAX_DIGITS: Final = 308
"""Integers no longer than this fit into a float64 (at most 1.8e308)."""
_MAX_VALUE_BYTES: Final = 256 * MIB
"""What the values of one file may take, once read; what each takes is estimated from the text."""
_BEGINNINGS: Final = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a .zip archive"),
    (b"<", "a web page"),
    (b"\x89PNG", "a picture"),
    (b"\x80", "a Python pickle"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which only stands for the file (`git lfs pull` fetches it)",
    ),
)
_REWRITE: Final = (
    "Let the notebook's own lines write the log: run all its cells again and download submission_log.json "
    "again."
)
_TASK_REMEDY: Final = (
    "Run the cell with your matrices for attention by {} until its tests pass, then the cell that writes the "
    "log, and download it again."
)
_REMEDY: Final[Mapping[Section, str]] = {
    Section.TIME: "Run all cells of the notebook again, from the first to the one that writes the log, and "
    "download it again.",
    Section.MODEL: "The notebook writes this once the equivalence test, the call test(), passes: get it to "
    "pass, then run all cells again and download the log again.",
    Section.CONTENT: _TASK_REMEDY.format("content"),
    Section.POSITION: _TASK_REMEDY.format("position"),
}
"""What to do next where a section is missing or not finite."""


# --- JSON ---


@dataclass(frozen=True)
class Json:
    """value: as json.loads gives it. repeated: keys that some object holds more than once."""

    value: Any
    repeated: frozenset[str]


def read_json(data: bytes, drop: frozenset[str] = frozenset()) -> Json | str:
    """Read data as JSON, in whatever Unicode encoding it is saved; or return what is wrong, a clause that
    follows the file's name. drop: keys whose values are let go as soon as they are read.

    NaN, Infinity and numbers beyond float64 become floats that are not finite: their place can be told.
    """
    if not data.strip():
        return "is empty"
    for beginning, kind in _BEGINNINGS:
        if data[:200].lstrip().startswith(beginning):
            return f"is not JSON but {kind}, going by how it begins"
    encoding = json.detect_encoding(data)  # UTF-16 is what some shells and editors on Windows save
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            return f"is saved as {encoding.upper()} and is damaged"
        return f"is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start} does not fit"
    if 96 * text.count("[") + 240 * text.count("{") + 40 * text.count(",") > _MAX_VALUE_BYTES:
        return "holds more values than can be read"
    repeated: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            repeated.update(key for key, count in Counter(key for key, _ in items).items() if count > 1)
        for key in drop & found.keys():
            found[key] = bool(found[key])
        return found

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_int=_whole)
    except json.JSONDecodeError as error:
        return _not_json(text, error)
    except RecursionError:
        return "holds lists or objects nested too deeply to be what the notebook writes"
    return Json(value, frozenset(repeated))


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    end = text.rstrip()
    place = f"line {error.lineno}, column {error.colno}"
    if not end.endswith(("}", "]")) or error.pos >= len(end):
        return (
            f"stops in the middle, at line {end.count(chr(10)) + 1}, column {len(end) - end.rfind(chr(10))}"
        )
    if error.msg.startswith("Extra data"):
        return f"goes on after its end, from {place}"
    if text[error.pos : error.pos + 1] == "'":
        return f"is not JSON: single quotes at {place}, as when a dict is printed"
    near = clean(text[error.pos : error.pos + NAME_LIMIT], 30)
    return f"is not JSON: it cannot be read on from {place}, near {near!r}"


# --- The log's form. A description is what the student is told to have been expected. ---


def _only_numbers(
    validator: Any, wanted: tuple[type, ...], value: object, schema: object
) -> Iterator[ValidationError]:
    """The keyword `numbers`: one error for all items of a list that are no numbers, at the first of them."""
    if isinstance(value, list) and len(value) <= MAX_MATRIX_ITEMS:
        odd = [index for index, item in enumerate(value) if not isinstance(item, wanted)]
        if odd:
            yield ValidationError(str(len(odd) - 1), instance=value[odd[0]], path=[odd[0]])


_Validator: Final[Any] = extend(Draft202012Validator, {"numbers": _only_numbers})
_NUMBER: Final = {"type": "number", "description": "a number"}
_NUMBERS: Final = {  # np.eye(3, dtype=bool).tolist() holds booleans, and computes as it should
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MATRIX_ITEMS,
    "numbers": (int, float),
    "description": f"a list of 1 to {MAX_MATRIX_ITEMS:,} numbers",
}
_SOURCE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_CODE_BYTES,
    "description": f"the source text of a method, at most {MAX_CODE_BYTES:,} characters,",
}
_SIZES: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": 32,
    "items": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31,
        "description": "a whole number from 0 to 2³¹",
    },
    "description": "a list of 1 to 32 sizes",
}
_FORMS: Final = {
    "time": _NUMBER,
    "torch_transformer_shape": _SIZES,
    "torch_transformer_init": _SOURCE,
    "torch_transformer_forward": _SOURCE,
}
"""The form of what is not a flat array of numbers."""
_SECTION_OF: Final = {key: section for section, keys in LOG_KEYS.items() for key in keys}
LOG_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "submission_log.json",
    "type": "object",
    "properties": {key: _FORMS.get(key, _NUMBERS) for key in _SECTION_OF},
}


def read_log(name: str, data: bytes) -> Log:
    """Read the log. name: the file as the student knows it. Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    if len(data) > MAX_LOG_BYTES:
        return _unreadable(name, f"is larger than {MAX_LOG_BYTES // MIB} MiB; the notebook writes a few KiB")
    read = read_json(data)
    if isinstance(read, str):
        return _unreadable(name, read)
    if not isinstance(read.value, dict):
        return _unreadable(name, f"holds {_kind(read.value)} where an object, {{...}}, was expected")
    if is_notebook(read.value):
        return _unreadable(name, "is a notebook under another name, not the log that the notebook writes")
    if not _is_log(read.value):
        listed = ", ".join(f'"{clean(key, 30)}"' for key in islice(read.value, 4)) or "none at all"
        fault = (
            f"has none of the keys that this assignment's notebook writes; its keys are {listed}. It may be"
        )
        return _unreadable(name, f"{fault} the log of another assignment", readable=True)
    return _from_object(name, read)


def is_notebook(value: object) -> bool:
    """Tell whether a JSON value is a Jupyter notebook."""
    if not isinstance(value, dict) or _is_log(value):
        return False
    return "worksheets" in value or ("cells" in value and ("nbformat" in value or "metadata" in value))


def _is_log(value: dict[str, Any]) -> bool:
    """Tell whether an object has any of the keys that the assignment's notebook writes."""
    return not _SECTION_OF.keys().isdisjoint(value)


def _unreadable(name: str, reason: str, *, readable: bool = False) -> Log:
    """Return the log of a file that is no log. reason: a clause that follows its name."""
    problem = Problem(None, name, ProblemKind.BROKEN, f"{name} {reason}. {_REWRITE}")
    return Log(name, readable, None, None, None, None, (problem,))


def _from_object(name: str, read: Json) -> Log:
    values: dict[str, Any] = read.value
    problems: dict[Section, list[Problem]] = {section: [] for section in Section}
    for error in _Validator(LOG_SCHEMA).iter_errors(values):
        problem = _violation(error)
        problems[problem.section or Section.TIME].append(problem)
    for section, keys in LOG_KEYS.items():
        for key in read.repeated.intersection(keys):
            twice = f"{key} stands in the log more than once, so it is not clear which one counts. {_REWRITE}"
            problems[section].append(Problem(section, key, ProblemKind.BROKEN, twice))
        problems[section] += _missing(section, [key for key in keys if key not in values])
    whole = {section for section, found in problems.items() if not found}
    for section in whole:
        problems[section] += _not_finite(section, values)
    return Log(
        name,
        True,
        float(values["time"]) if Section.TIME in whole else None,
        _model(values) if Section.MODEL in whole else None,
        _task(values, Section.CONTENT) if Section.CONTENT in whole else None,
        _task(values, Section.POSITION) if Section.POSITION in whole else None,
        tuple(problem for section in Section for problem in _bounded(section, problems[section])),
    )


def _violation(error: ValidationError) -> Problem:
    """What does not fit the schema: what was expected, what came and what to do next, at its place as a
    student finds it: "attention_by_content_Q, item 3" (counted from 1)."""
    key, *items = error.absolute_path
    where = ", ".join([clean(str(key), 60), *(f"item {int(step) + 1}" for step in items)])
    in_list = error.validator == "numbers"
    wanted = "a number" if in_list else str(error.schema["description"])
    told = f"{wanted[:1].upper()}{wanted[1:]} was expected, and {_kind(error.instance)} came."
    if in_list:
        told += _also(int(error.message))
    if in_list and isinstance(error.instance, list):
        told += " The array has to be flat, one number after another, as reshape(-1).tolist() makes it."
    return Problem(_SECTION_OF[str(key)], where, ProblemKind.BROKEN, f"{told} {_REWRITE}")


def _also(more: int) -> str:
    """Return a sentence on the items beyond the first that share its problem; empty if there are none."""
    return f" {more:,} more item{' of it is' if more == 1 else 's of it are'} like that." if more else ""


def _kind(value: object) -> str:
    """Return what a JSON value is, in words, with a short look at it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return f"the number {clean(str(value), 30)}"
    if isinstance(value, str):
        return f'the text "{clean(value, 30)}"'
    return f"a list of {len(value):,}" if isinstance(value, list) else "an object"


def _model(log: Mapping[str, Any]) -> ModelRecord:
    return ModelRecord(
        tuple(int(size) for size in log["torch_transformer_shape"]),
        _array(log["torch_transformer_value"]),
        log["torch_transformer_init"],
        log["torch_transformer_forward"],
    )


def _task(log: Mapping[str, Any], section: Section) -> TaskRecord:
    key = section.value
    Q, K, V = (_array(log[f"{key}_{letter}"]) for letter in "QKV")
    pos = _array(log[f"{key}_pos"]) if section is Section.POSITION else None
    return TaskRecord(_array(log[key]), Q, K, V, pos)


def _array(numbers: list[float]) -> FlatArray:
    return np.array([float(number) for number in numbers], dtype=np.float64)


def _missing(section: Section, keys: Sequence[str]) -> list[Problem]:
    told = {key: f"The log lacks {key}. {_REMEDY[section]}" for key in keys}
    if keys and len(keys) == len(LOG_KEYS[section]):
        told = {
            section.value: f"The log has no section {section.value} ({', '.join(keys)}). {_REMEDY[section]}"
        }
    return [Problem(section, where, ProblemKind.MISSING, message) for where, message in told.items()]


def _not_finite(section: Section, values: Mapping[str, Any]) -> Iterator[Problem]:
    for key in LOG_KEYS[section]:
        value = values[key]
        numbers = value if isinstance(value, list) else [value]
        odd = [i for i, item in enumerate(numbers) if isinstance(item, float) and not math.isfinite(item)]
        if odd:
            place = f"{key}, item {odd[0] + 1}" if isinstance(value, list) else key
            came = f"{_named(numbers[odd[0]])}{_also(len(odd) - 1)}"
            message = f"A number was expected, and {came} {_REMEDY[section]}"
            yield Problem(section, place, ProblemKind.NOT_FINITE, message)


def _named(number: float) -> str:
    if math.isnan(number):
        return (
            "NaN came, which is not JSON and not a number: most often exp() overflowed, because a score is "
            "too large."
        )
    sign = "-" if number < 0 else ""
    return f"{sign}Infinity came, or a number beyond 1.8e308: a computation overflowed."


def _bounded(section: Section, found: list[Problem]) -> Iterator[Problem]:
    yield from found[:TOLD_PER_SECTION]
    rest = len(found) - TOLD_PER_SECTION
    if rest > 0:
        message = f"{rest:,} more problems of the same section are not listed."
        yield Problem(section, section.value, found[-1].kind, message)
