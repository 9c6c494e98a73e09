"""Reads `submission_metadata.yml`, Gradescope's record of names, old scores and old results.

The file is Ruby's YAML: keys begin with a literal colon, and tags of Ruby's classes may occur. It is
read by PyYAML's BaseLoader, which makes strings, lists and dicts of whatever it meets and nothing
else: no object, no date, and no student number read as an octal. One entry is parsed at a time, so
one that is damaged costs nobody else, and the file may be large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

import yaml

from autograder.regrade.scores import bounded, score_of_results
from autograder.regrade.types import Entry, Score, Submitter
from autograder.settings import MIB

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_ENTRY_BYTES: Final = 16 * MIB
_MAX_SUBMITTERS: Final = 100
_KEY: Final = re.compile(rb"[\"']?(submission_[^\"':\s]+)[\"']?[ \t]*:")


def read_metadata(stream: IO[bytes]) -> tuple[dict[str, Entry], list[str]]:
    """Entries by key ("submission_123"), without their uploads; and what could not be read, for staff."""
    entries: dict[str, Entry] = {}
    notes: list[str] = []
    for key, text in _chunks(stream):
        try:
            entries[key] = _entry(key, next(iter(_load(text).values())))
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            notes.append(f"the entry {key} of the metadata is damaged and was skipped: {reason}")
    return entries, notes


def _load(text: bytes) -> Any:
    if len(text) >= _MAX_ENTRY_BYTES:
        raise ValueError(f"it is larger than {_MAX_ENTRY_BYTES // MIB} MiB")
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - BaseLoader makes even less than SafeLoader


def _chunks(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The text of each top-level entry; what stands before the first one is left out."""
    key, size = "", 0
    lines: list[bytes] = []
    for line in stream:
        match = _KEY.match(line)
        if match:
            if key:
                yield key, b"".join(lines)
            key, lines, size = match[1].decode("utf-8", "replace"), [], 0
        if size < _MAX_ENTRY_BYTES:
            lines.append(line)
            size += len(line)
    if key:
        yield key, b"".join(lines)


def _entry(key: str, data: Any) -> Entry:
    if not isinstance(data, Mapping):
        return Entry(id=key, upload=None)
    submitters = _get(data, "submitters")
    history = _get(data, "history")
    return Entry(
        id=key,
        upload=None,
        submitters=tuple(_submitters(submitters)),
        created_at=bounded(_text(_get(data, "created_at")), 100),
        attempts=len(history) if isinstance(history, list) else 0,
        before=_before(_get(data, "score"), _get(data, "results")),
    )


def _get(data: Mapping[Any, Any], key: str) -> Any:
    """The value under ":key" or "key"; None if there is none."""
    return data.get(f":{key}", data.get(key))


def _submitters(data: Any) -> Iterator[Submitter]:
    for item in data[:_MAX_SUBMITTERS] if isinstance(data, list) else []:
        if isinstance(item, Mapping):
            name, sid, email = (bounded(_text(_get(item, key)), 300) for key in ("name", "sid", "email"))
            if name or sid or email:
                yield Submitter(name, sid, email)


def _before(score: Any, results: Any) -> Score | None:
    given = score_of_results(_plain(results)) if isinstance(results, Mapping) else Score(None, ())
    total = _number(score)
    total = given.total if total is None else total
    return None if total is None and not given.tests else Score(total, given.tests)


def _plain(results: Mapping[Any, Any]) -> dict[str, Any]:
    """The results with the colons off their keys, as far down as the tables look."""
    tests = _get(results, "tests")
    return {
        "score": _get(results, "score"),
        "tests": [
            {str(key).lstrip(":"): value for key, value in test.items()}
            for test in (tests if isinstance(tests, list) else [])
            if isinstance(test, Mapping)
        ],
    }


def _text(value: Any) -> str:
    """A scalar as it stands in the file; Ruby writes nil as nothing or "~"."""
    return "" if not isinstance(value, str) or value in ("~", "null") else value


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
