"""Reads submission_log.json: bytes in, a `Log` out, with a `Problem` for each place that is not right.

JSON Schema says what the log has to look like; none of the validator's own text is shown. Whether the values
are right, and whether the arrays fit together, is for the checks to say.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from autograder.assignment import LOG_KEYS, Section
from autograder.settings import MAX_CODE_BYTES, MAX_LOG_BYTES, MAX_MATRIX_ITEMS, MIB
from autograder.submission.types import Log, ModelRecord, Problem, ProblemKind, TaskRecord
from autograder.text import NAME_LIMIT, clean

TOLD_PER_SECTION: Final = 5
"""Problems told one by one; of the rest, their number."""
_MAX_DIGITS: Final = 308
"""Integers no longer than this fit into a float64 (at most 1.8e308)."""
_MAX_VALUE_BYTES: Final = 256 * MIB
"""What the values of one file may take, once read; what each takes is estimated from the text."""
_BEGINNINGS: Final = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a .zip archive",
    b"<": "a web page",
    b"\x89PNG": "a picture",
    b"\x80": "a Python pickle",
    b"version https://git-lfs": "a Git LFS pointer, which stands for the file (`git lfs pull` fetches it)",
}
_REWRITE: Final = (
    "Let the notebook's own lines write the log: run all its cells again and download submission_log.json "
    "again."
)
_REMEDY: Final[Mapping[Section, str]] = {
    Section.TIME: "Run all cells of the notebook again, from the first to the one that writes the log, and "
    "download it again.",
    Section.MODEL: "The notebook writes this once the equivalence test, the call test(), passes: get it to "
    "pass, then run all cells again and download the log again.",
    **{
        section: f"Run the cell with your matrices for attention by {by} until its tests pass, then the cell "
        "that writes the log, and download it again."
        for section, by in ((Section.CONTENT, "content"), (Section.POSITION, "position"))
    },
}
"""What to do next where a section is missing or not finite."""
_FLAT: Final = " The array has to be flat, one number after another, as reshape(-1).tolist() makes it."
_NAN: Final = (
    "NaN came, which is not JSON and not a number: most often exp() overflowed, because a score is too large."
)


# --- JSON ---


def read_json(data: bytes, drop: frozenset[str] = frozenset()) -> tuple[Any, frozenset[str]] | str:
    """Read data as JSON, in whatever Unicode encoding it is saved: the value as json.loads gives it, and the
    keys that some object holds more than once; or say what is wrong, in a clause that follows the file's
    name. drop: keys whose values are let go as soon as they are read.

    NaN, Infinity and numbers beyond float64 become floats that are not finite: their place can be told.
    """
    if not data.strip():
        return "is empty"
    for beginning, kind in _BEGINNINGS.items():
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
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else float(digits),
        )
        return value, frozenset(repeated)
    except json.JSONDecodeError as error:
        return _not_json(text, error)
    except RecursionError:
        return "holds lists or objects nested too deeply to be what the notebook writes"


def _not_json(text: str, error: json.JSONDecodeError) -> str:
    end = text.rstrip()
    place = f"line {error.lineno}, column {error.colno}"
    if not end.endswith(("}", "]")) or error.pos >= len(end):
        lines = end.split("\n")
        return f"stops in the middle, at line {len(lines)}, column {len(lines[-1]) + 1}"
    if error.msg.startswith("Extra data"):
        return f"goes on after its end, from {place}"
    if text[error.pos : error.pos + 1] == "'":
        return f"is not JSON: single quotes at {place}, as when a dict is printed"
    near = clean(text[error.pos : error.pos + NAME_LIMIT], 30)
    return f"is not JSON: it cannot be read on from {place}, near {near!r}"


# --- The log ---


def _only_numbers(_validator: Any, _wanted: bool, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """The keyword `onlyNumbers`: one error for all items of a list that are no numbers, at the first."""
    odd = [place for place, item in enumerate(value) if not isinstance(item, (int, float))]
    if odd:
        yield ValidationError(_also(odd), instance=value[odd[0]], path=[odd[0]])


_Validator: Final[Any] = extend(Draft202012Validator, {"onlyNumbers": _only_numbers})


def _schema(kind: str, description: str, **limits: Any) -> dict[str, Any]:
    """description: what the student is told to have been expected."""
    return {"type": kind, "description": description, **limits}


_SOURCE: Final = _schema(
    "string",
    f"The source text of a method, at most {MAX_CODE_BYTES:,} characters,",
    minLength=1,
    maxLength=MAX_CODE_BYTES,
)
_NUMBERS: Final = _schema(  # np.eye(3, dtype=bool).tolist() holds booleans, and computes as it should
    "array",
    f"A list of 1 to {MAX_MATRIX_ITEMS:,} numbers",
    minItems=1,
    maxItems=MAX_MATRIX_ITEMS,
    onlyNumbers=True,
)
_SIZE: Final = _schema("integer", "A whole number from 0 to 2³¹", minimum=0, maximum=2**31)
_SCHEMAS: Final = {
    "time": _schema("number", "A number"),
    "torch_transformer_shape": _schema(
        "array", "A list of 1 to 32 sizes", minItems=1, maxItems=32, items=_SIZE
    ),
    "torch_transformer_init": _SOURCE,
    "torch_transformer_forward": _SOURCE,
}
"""Of each key's value, where it is not a flat array of numbers."""


def read_log(name: str, data: bytes) -> Log:
    """Read the log. name: the file as the student knows it. Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    if len(data) > MAX_LOG_BYTES:
        return _unreadable(name, f"is larger than {MAX_LOG_BYTES // MIB} MiB; the notebook writes a few KiB")
    read = read_json(data)
    if isinstance(read, str):
        return _unreadable(name, read)
    value, repeated = read
    if not isinstance(value, dict):
        return _unreadable(name, f"holds {_kind(value)} where an object, {{...}}, was expected")
    if is_notebook(value):
        return _unreadable(name, "is a notebook under another name, not the log that the notebook writes")
    if not _is_log(value):
        listed = ", ".join(f'"{clean(key, 30)}"' for key in islice(value, 4)) or "none at all"
        fault = f"has none of the keys that this assignment's notebook writes; its keys are {listed}."
        return _unreadable(name, f"{fault} It may be the log of another assignment", readable=True)
    problems: list[Problem] = []
    parts: list[Any] = []
    for section in Section:
        broken = list(_broken(section, value, repeated))
        parts.append(None if broken else _part(section, value))
        told = broken or list(_not_finite(section, value))
        problems += told[:TOLD_PER_SECTION]
        if (more := len(told) - TOLD_PER_SECTION) > 0:
            message = f"{more:,} more problems of the same section are not listed."
            problems.append(Problem(section, section.value, told[-1].kind, message))
    time, model, content, position = parts
    return Log(name, True, time, model, content, position, tuple(problems))


def is_notebook(value: object) -> bool:
    """Tell whether a JSON value is a Jupyter notebook."""
    if not isinstance(value, dict) or _is_log(value):
        return False
    return "worksheets" in value or ("cells" in value and ("nbformat" in value or "metadata" in value))


def _is_log(value: dict[str, Any]) -> bool:
    """Tell whether an object has any of the keys that the assignment's notebook writes."""
    return any(key in value for keys in LOG_KEYS.values() for key in keys)


def _unreadable(name: str, reason: str, *, readable: bool = False) -> Log:
    """Return the log of a file that is no log. reason: a clause that follows its name."""
    problem = Problem(None, name, ProblemKind.BROKEN, f"{name} {reason}. {_REWRITE}")
    return Log(name, readable, None, None, None, None, (problem,))


def _broken(section: Section, log: Mapping[str, Any], repeated: frozenset[str]) -> Iterator[Problem]:
    """What is missing, stands twice, or has not its form."""
    keys = LOG_KEYS[section]
    if log.keys().isdisjoint(keys):
        told = f"The log has no section {section.value} ({', '.join(keys)}). {_REMEDY[section]}"
        yield Problem(section, section.value, ProblemKind.MISSING, told)
        return
    for key in keys:
        if key not in log:
            told = f"The log lacks {key}. {_REMEDY[section]}"
            yield Problem(section, key, ProblemKind.MISSING, told)
            continue
        for error in islice(_Validator(_SCHEMAS.get(key, _NUMBERS)).iter_errors(log[key]), 1):
            where = ", ".join([key, *(f"item {place + 1}" for place in error.path)])
            wanted, also = error.schema["description"], ""
            if error.validator == "onlyNumbers":
                wanted, also = "A number", error.message + _FLAT * isinstance(error.instance, list)
            told = f"{wanted} was expected, and {_kind(error.instance)} came.{also} {_REWRITE}"
            yield Problem(section, where, ProblemKind.BROKEN, told)
        if key in repeated:
            told = f"{key} stands in the log more than once, so it is not clear which one counts. {_REWRITE}"
            yield Problem(section, key, ProblemKind.BROKEN, told)


def _not_finite(section: Section, log: Mapping[str, Any]) -> Iterator[Problem]:
    for key in LOG_KEYS[section]:
        items = log[key] if isinstance(log[key], list) else [log[key]]
        odd = [i for i, item in enumerate(items) if isinstance(item, float) and not math.isfinite(item)]
        if odd:
            where = f"{key}, item {odd[0] + 1}" if items is log[key] else key
            sign = "-" if items[odd[0]] < 0 else ""
            came = f"{sign}Infinity came, or a number beyond 1.8e308: a computation overflowed."
            came = _NAN if math.isnan(items[odd[0]]) else came
            told = f"A number was expected, and {came}{_also(odd)} {_REMEDY[section]}"
            yield Problem(section, where, ProblemKind.NOT_FINITE, told)


def _also(odd: list[int]) -> str:
    """A sentence on the items beyond the first that share its problem; empty if there are none."""
    more = len(odd) - 1
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


def _part(section: Section, log: Mapping[str, Any]) -> float | ModelRecord | TaskRecord:
    """What the log holds of a section that is whole."""
    if section is Section.TIME:
        return float(log["time"])
    flat = {
        key.removeprefix(section.value).removeprefix("_") or "output": np.array(log[key], dtype=np.float64)
        for key in LOG_KEYS[section]
        if key not in _SCHEMAS
    }
    if section is not Section.MODEL:
        return TaskRecord(**flat)
    shape, init, forward = (log[f"{section.value}_{part}"] for part in ("shape", "init", "forward"))
    return ModelRecord(tuple(map(int, shape)), flat["value"], init, forward)
