"""Reads submission_log.json: bytes in, a `Log` out, with a `Problem` for each place that is not right.

JSON Schema says what the log has to look like; none of the validator's own text is shown. Whether the values
are right, and whether the arrays fit together, is for the checks to say.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from autograder.assignment import LOG_KEYS, Section
from autograder.settings import MAX_CODE_BYTES, MAX_LOG_BYTES, MAX_LOG_DEPTH, MAX_MATRIX_ITEMS, MIB
from autograder.submission.types import FlatArray, Log, ModelRecord, Problem, ProblemKind, TaskRecord
from autograder.text import NAME_LIMIT, clean

TOLD_PER_SECTION: Final = 5
"""Problems told one by one; of the rest, their number."""
_MAX_DIGITS: Final = 310
"""No longer integer fits into a float64 (at most 1.8e308)."""
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

Record = TypeVar("Record")


# --- JSON ---


class Overflow(float):
    """An infinity that stands for a number too large for a float64, such as 1e400."""


@dataclass(frozen=True)
class Json:
    """value: as json.loads gives it. repeated: keys that some object holds more than once."""

    value: Any
    repeated: frozenset[str]


@dataclass(frozen=True)
class JsonFault:
    """message: what is wrong, a clause that follows the file's name."""

    message: str


def read_json(data: bytes, max_depth: int = 0, drop: frozenset[str] = frozenset()) -> Json | JsonFault:
    """Read data as JSON, in whatever Unicode encoding it is saved. max_depth: lists and objects within each
    other, at most. drop: keys whose values are let go as soon as they are read.

    Python's reader takes more than JSON and fails on some of it in ways of its own; here NaN, Infinity and
    numbers beyond float64 become the floats `nan`, `inf` and `Overflow`, so that their place can be told.
    """
    text = _decoded(data)
    if isinstance(text, JsonFault):
        return text
    if 96 * text.count("[") + 240 * text.count("{") + 40 * text.count(",") > _MAX_VALUE_BYTES:
        return JsonFault("holds more values than can be read")
    repeated: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            repeated.update(key for key, count in Counter(key for key, _ in items).items() if count > 1)
        for key in drop & found.keys():
            found[key] = bool(found[key])
        return found

    too_deep = JsonFault("holds lists or objects nested too deeply to be what the notebook writes")
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_float=_real, parse_int=_whole)
    except json.JSONDecodeError as error:
        return _not_json(text, error)
    except RecursionError:
        return too_deep
    if max_depth and _deeper_than(value, max_depth):
        return too_deep
    return Json(value, frozenset(repeated))


def _decoded(data: bytes) -> str | JsonFault:
    if not data.strip():
        return JsonFault("is empty")
    for beginning, kind in _BEGINNINGS:
        if data[:200].lstrip().startswith(beginning):
            return JsonFault(f"is not JSON but {kind}, going by how it begins")
    encoding = json.detect_encoding(data)  # UTF-16 is what some shells and editors on Windows save
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if not encoding.startswith("utf-8"):
            return JsonFault(f"is saved as {encoding.upper()} and is damaged")
        return JsonFault(
            f"is not UTF-8 text: byte 0x{data[error.start]:02x} at position {error.start} does not fit"
        )


def _real(digits: str) -> float:
    number = float(digits)
    return Overflow(number) if math.isinf(number) else number


def _whole(digits: str) -> int | float:
    if len(digits) <= _MAX_DIGITS:
        number = int(digits)
        try:
            float(number)
        except OverflowError:
            pass
        else:
            return number
    return Overflow("-inf" if digits.startswith("-") else "inf")


def _not_json(text: str, error: json.JSONDecodeError) -> JsonFault:
    end = text.rstrip()
    place = f"line {error.lineno}, column {error.colno}"
    if not end.endswith(("}", "]")) or error.pos >= len(end):
        last = f"line {end.count(chr(10)) + 1}, column {len(end) - end.rfind(chr(10))}"
        return JsonFault(f"stops in the middle, at {last}")
    if error.msg.startswith("Extra data"):
        return JsonFault(f"goes on after its end, from {place}")
    if text[error.pos : error.pos + 1] == "'":
        return JsonFault(f"is not JSON: single quotes at {place}, as when a dict is printed")
    near = clean(text[error.pos : error.pos + NAME_LIMIT], 30)
    return JsonFault(f"is not JSON: it cannot be read on from {place}, near {near!r}")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


# --- The log's form ---


def _only_numbers(
    validator: Any, wanted: tuple[type, ...], value: object, schema: object
) -> Iterator[ValidationError]:
    """The keyword `numbers`: one error for all items of a list that are no numbers, at the first of them."""
    if isinstance(value, list) and len(value) <= MAX_MATRIX_ITEMS:
        odd = [index for index, item in enumerate(value) if not isinstance(item, wanted)]
        if odd:
            more = str(len(odd) - 1)
            yield ValidationError(more, instance=value[odd[0]], validator_value=wanted, path=[odd[0]])


_Validator: Final[Any] = extend(Draft202012Validator, {"numbers": _only_numbers})
_NUMBER: Final = {"type": "number"}
_NUMBERS: Final = {  # np.eye(3, dtype=bool).tolist() holds booleans, and computes as it should
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_MATRIX_ITEMS,
    "numbers": (int, float),
}
_SOURCE: Final = {"type": "string", "minLength": 1, "maxLength": MAX_CODE_BYTES}
_SIZES: Final = {
    "type": "array",
    "minItems": 1,
    "maxItems": 32,
    "items": {"type": "integer", "minimum": 0, "maximum": 2**31},
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
    "required": list(_SECTION_OF),
}
_WANTED: Final = {"array": "A list of numbers", "string": "The source text of a method", "number": "A number"}


def read_log(name: str, data: bytes) -> Log:
    """Read the log. name: the file as the student knows it. Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    if len(data) > MAX_LOG_BYTES:
        return unreadable(name, f"is larger than {MAX_LOG_BYTES // MIB} MiB; the notebook writes a few KiB")
    read = read_json(data, MAX_LOG_DEPTH)
    if isinstance(read, JsonFault):
        return unreadable(name, read.message)
    if not isinstance(read.value, dict):
        return unreadable(name, f"holds {_kind(read.value)} where an object, {{...}}, was expected")
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
    return isinstance(value, dict) and any(key in value for key in _SECTION_OF)


def unreadable(name: str, reason: str) -> Log:
    """Return the log of a file that is no log. reason: a clause that follows its name."""
    problem = Problem(None, name, ProblemKind.BROKEN, f"{name} {reason}. {_REWRITE}")
    return Log(name, False, None, None, None, None, (problem,))


def _from_object(name: str, read: Json) -> Log:
    values: dict[str, Any] = read.value
    if not is_log(values):
        listed = ", ".join(f'"{clean(key, 30)}"' for key in islice(values, 4)) or "none at all"
        message = (
            f"{name} has none of the keys that this assignment's notebook writes; its keys are {listed}. It "
            f"may be the log of another assignment. {_REWRITE}"
        )
        return Log(name, True, None, None, None, None, (Problem(None, name, ProblemKind.BROKEN, message),))
    problems: dict[Section, list[Problem]] = {section: [] for section in Section}
    for error in _Validator(LOG_SCHEMA).iter_errors(values):
        if error.validator != "required":
            problems[_SECTION_OF[str(error.absolute_path[0])]].append(_violation(error))
    for section, keys in LOG_KEYS.items():
        for key in read.repeated.intersection(keys):
            message = (
                f"{key} stands in the log more than once, so it is not clear which one counts. {_REWRITE}"
            )
            problems[section].append(Problem(section, key, ProblemKind.BROKEN, message))
        problems[section] += _missing(section, [key for key in keys if key not in values])
    whole = {section for section, found in problems.items() if not found}
    for section in whole:
        problems[section] += _not_finite(section, values)

    def build(section: Section, record: Callable[[Mapping[str, Any]], Record]) -> Record | None:
        return record(values) if section in whole else None

    return Log(
        name,
        True,
        build(Section.TIME, lambda log: float(log["time"])),
        build(Section.MODEL, _model),
        build(Section.CONTENT, lambda log: _task(log, "attention_by_content", None)),
        build(Section.POSITION, lambda log: _task(log, "attention_by_position", "attention_by_position_pos")),
        tuple(problem for section in Section for problem in _bounded(section, problems[section])),
    )


def _violation(error: ValidationError) -> Problem:
    """What does not fit the schema: what was expected, what came and what to do next, at its place as a
    student finds it: "attention_by_content_Q, item 3" (counted from 1)."""
    key, *items = error.absolute_path
    more = int(error.message) if error.validator == "numbers" else 0
    where = ", ".join([clean(str(key), 60), *(f"item {int(step) + 1}" for step in items)])
    message = f"{_expectation(error, inside=bool(items))}{_also(more)} {_REWRITE}"
    return Problem(_SECTION_OF[str(key)], where, ProblemKind.BROKEN, message)


def _expectation(error: ValidationError, inside: bool) -> str:
    came, keyword, wanted = _kind(error.instance), str(error.validator), error.validator_value
    if keyword in ("type", "numbers") and inside:
        if isinstance(error.instance, list):
            return (
                "A number was expected, and a list came: the array has to be flat, one number after another, "
                "as reshape(-1).tolist() makes it."
            )
        return f"A {'whole ' if wanted == 'integer' else ''}number was expected, and {came} came."
    if keyword == "type":
        return f"{_WANTED[str(wanted)]} was expected, and {came} came."
    if keyword == "minItems":
        return "At least one number was expected, and the list is empty."
    if keyword == "maxItems":
        return f"At most {wanted:,} numbers were expected, and {len(error.instance):,} came."
    if keyword == "minLength":
        return "The source text of a method was expected, and the text is empty."
    if keyword == "maxLength":
        return f"A text of at most {wanted:,} characters was expected, and {len(error.instance):,} came."
    return f"A size between 0 and 2,147,483,648 was expected, and {came} came."


def _also(more: int) -> str:
    """Return a sentence on the items beyond the first that share its problem; empty if there are none."""
    if more == 0:
        return ""
    return f" {more:,} more item{' of it is' if more == 1 else 's of it are'} like that."


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


def _task(log: Mapping[str, Any], key: str, pos: str | None) -> TaskRecord:
    Q, K, V = (_array(log[f"{key}_{letter}"]) for letter in "QKV")
    return TaskRecord(_array(log[key]), Q, K, V, None if pos is None else _array(log[pos]))


def _array(numbers: list[float]) -> FlatArray:
    return np.array([float(number) for number in numbers], dtype=np.float64)


def _missing(section: Section, keys: list[str]) -> list[Problem]:
    if keys and len(keys) == len(LOG_KEYS[section]):
        message = f"The log has no section {section.value} ({', '.join(keys)}). {_REMEDY[section]}"
        return [Problem(section, section.value, ProblemKind.MISSING, message)]
    return [
        Problem(section, key, ProblemKind.MISSING, f"The log lacks {key}. {_REMEDY[section]}") for key in keys
    ]


def _not_finite(section: Section, values: Mapping[str, Any]) -> Iterator[Problem]:
    for key in LOG_KEYS[section]:
        value = values[key]
        numbers = value if isinstance(value, list) else [value]
        odd = [
            i for i, number in enumerate(numbers) if isinstance(number, float) and not math.isfinite(number)
        ]
        if odd:
            place = f"{key}, item {odd[0] + 1}" if isinstance(value, list) else key
            came = f"{_named(numbers[odd[0]])}{_also(len(odd) - 1)}"
            message = f"A number was expected, and {came} {_REMEDY[section]}"
            yield Problem(section, place, ProblemKind.NOT_FINITE, message)


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
        yield Problem(section, section.value, found[-1].kind, message)
