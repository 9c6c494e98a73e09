"""Holds results.json against results.schema.json, which says what Gradescope reads, and puts it in its place
in one step."""

from __future__ import annotations

import json
import math
import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from autograder.errors import ResultsFault
from autograder.settings import MAX_OUTPUT_BYTES, MAX_RESULTS_BYTES
from autograder.text import clean

RESULTS_SCHEMA: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_name("results.schema.json").read_text(encoding="utf-8")
)
FORMATS: Final = tuple(RESULTS_SCHEMA["$defs"]["format"]["enum"])
MARKUP: Final = frozenset({"html", "simple_format", "md"})
VISIBILITIES: Final = tuple(RESULTS_SCHEMA["$defs"]["visibility"]["enum"])

_MAX_DEPTH: Final = 32
_MAX_INTEGER: Final = 2**63 - 1
_MAX_MESSAGE: Final = 200
_ODD: Final = re.compile(r"[^\n\t -~]")
_CUT: Final = "\n… (the rest is cut here: it was too long to show)"
_REPLACED: Final = "The explanation of this check was too long to show. Please tell the course staff."


def json_size(text: str) -> int:
    """Return how many bytes the text takes up in results.json."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def safe(text: str, output_format: str) -> str:
    r"""Return the text with every character that acts written as an escape (\x00, \u202e).

    Tabs and line ends stay; the escape character stays in "ansi", whose colours it makes.
    """
    if not _ODD.search(text):
        return text
    parts = text.split("\x1b") if output_format == "ansi" else [text]
    return "\x1b".join(clean(part, 10 * len(part) + 1, lines=True) for part in parts)


def output_of(text: str, output_format: str, limit: int) -> dict[str, str]:
    """Return a text's keys in results.json, `safe` and of at most limit bytes there; none for no text.

    Text and ANSI are cut at their end. Markup cut anywhere may break the page around it, so a note in
    plain text takes its place.
    """
    text = safe(text, output_format)
    if json_size(text) > limit and output_format in MARKUP:
        text, output_format = _REPLACED, "text"
    elif json_size(text) > limit:
        most = bisect_right(range(1, len(text)), limit, key=lambda length: json_size(text[:length] + _CUT))
        text = text[:most] + _CUT
    return {"output": text, "output_format": output_format} if text else {}


def validate(results: dict[str, Any]) -> bytes:
    """Return the bytes of results.json, if Gradescope would read them as they are meant: UTF-8, keys sorted.

    Raises ResultsFault with every violation of the schema, of JSON itself, of sums and sizes.
    """
    violations = [*_not_json(results, "results", 0), *_not_schema(results)]
    if isinstance(results, dict):
        violations += _not_sums(results)
    data = b""
    if not violations:
        text = json.dumps(results, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
        data = f"{text}\n".encode()
    if len(data) > MAX_RESULTS_BYTES:
        violations.append(f"results: expected at most {MAX_RESULTS_BYTES} bytes in all, got {len(data)}")
    if violations:
        listed = "\n".join(f"- {violation}" for violation in violations)
        raise ResultsFault(f"The results do not fit Gradescope's format, so they are not written:\n{listed}")
    return data


def _not_json(value: object, where: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        yield f"{where}: expected at most {_MAX_DEPTH} levels"
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_json(key, f"{where}: a key", depth)
                yield from _not_json(item, f"{where}.{key[:40]}", depth + 1)
            else:
                yield f"{where}: expected texts as keys, got {type(key).__name__}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, str) and safe(value, "ansi") != value:  # of all formats, it allows most
        yield f"{where}: expected no control characters but tabs and line ends"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: expected a finite number, got {value}"
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        yield f"{where}: expected an integer of at most 64 bits"
    elif value is not None and not isinstance(value, (str, float, int)):
        yield f"{where}: expected a JSON value, got {type(value).__name__}"


def _not_schema(results: dict[str, Any]) -> Iterator[str]:
    # 60 ms to import, which only the process that grades has to pay, beside torch's own import
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(RESULTS_SCHEMA).iter_errors(results)
    for error in sorted(errors, key=lambda error: (error.json_path, error.message)):
        yield f"results{error.json_path[1:]}: {error.message[:_MAX_MESSAGE]}"


def _not_sums(results: dict[str, Any]) -> Iterator[str]:
    """Check what a schema cannot: sums, ranges, uniqueness. Skips over what `_not_schema` reports."""
    tests = results.get("tests")
    tests = [test for test in tests if isinstance(test, dict)] if isinstance(tests, list) else []
    top = [_points(test.get("max_score")) for test in tests]
    holders = [(f"results.tests[{i}]", test, "", top[i]) for i, test in enumerate(tests)]
    for where, holder, whose, most in [*holders, ("results", results, "the tests' ", math.fsum(top))]:
        if (score := _points(holder.get("score"))) > most:
            yield f"{where}.score: expected at most {whose}{most:g} points, got {score:g}"
        output = holder.get("output")
        if isinstance(output, str) and (size := json_size(output)) > MAX_OUTPUT_BYTES:
            yield f"{where}.output: expected at most {MAX_OUTPUT_BYTES} bytes, got {size}"
    numbers = Counter(test["number"] for test in tests if isinstance(test.get("number"), str))
    for number, count in numbers.items():
        if count > 1:
            yield f"results.tests: expected each number once, got {number[:40]!r} {count} times"


def _points(value: object) -> float:
    """Return the value if it is points at all, 0 for what was reported before."""
    if not isinstance(value, (int, float)) or not 0 <= value <= _MAX_INTEGER:
        return 0.0
    return float(value)


# --- The file: at any moment the old one is there, whole, or the new one. ---

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write(results: dict[str, Any], path: Path) -> None:
    """Validate the results and write them to path, whose folder is made if it is missing.

    Raises ResultsFault if the results are not valid, if path is a folder or cannot be written; an older file
    is then still there.
    """
    data = validate(results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, data, beside=f"{os.getpid()}.tmp", durable=True)
    except OSError as error:
        raise ResultsFault(
            f"The results could not be written to {path}: expected a file in a folder that this user may "
            f"write to, with room, got: {error.strerror}. Make room, or name another file with --results."
        ) from error


def replace(path: Path, data: bytes, *, beside: str = "new", durable: bool = False) -> None:
    """Put data, for its owner's eyes (mode 0600), in path's place in one step.

    Whatever stands at path is replaced, never opened or followed: a symbolic link, a FIFO. beside: ends the
    name of the file that is written first; a killed run leaves it, and the next one of that name takes it
    over. durable: on the disk before this returns. Raises OSError; path is then as it was.
    """
    temporary = path.with_name(f".{path.name}.{beside}")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, _NEW_FILE, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()  # half a file, on a disk that may be full
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
