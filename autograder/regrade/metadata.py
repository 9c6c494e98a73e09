"""Reads `submission_metadata.yml`, Gradescope's record of names, old scores and old results.

The file is Ruby's YAML: keys begin with a literal colon, and tags of Ruby's classes may occur. One entry is
parsed at a time, so one that is damaged costs nobody else, and the file may be large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO, Any, Final

import yaml

from autograder.regrade.scores import number, score_of_results
from autograder.regrade.types import Entry, Score, Submitter
from autograder.settings import MIB
from autograder.text import clean

_MAX_ENTRY_BYTES: Final = 16 * MIB
_MAX_SUBMITTERS: Final = 100
_KEY: Final = re.compile(rb"[\"']?(submission_[^\"':\s]+)[\"']?[ \t]*:")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_ACTING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""What a name cannot hold: control characters, line ends, changes of direction. Joiners stay: names in
Persian are written with them."""


def read_metadata(stream: IO[bytes], notes: list[str]) -> dict[str, Entry | str]:
    """What is known by each key ("submission_123"): an entry without its upload, or why it cannot be read.

    notes gets what was odd about the file as a whole. Raises only what reading the stream raises.
    """
    found: dict[str, Entry | str] = {}
    anchors: dict[str, Any] = {}
    for key, text in _chunks(stream):
        if key in found:
            notes.append(f"{key} is in the metadata more than once: the last one counts")
        try:
            if len(text) >= _MAX_ENTRY_BYTES:
                raise ValueError(f"it is larger than {_MAX_ENTRY_BYTES // MIB} MiB")
            data = load_yaml(text, anchors)
            found[key] = _entry(key, data.get(key) if isinstance(data, dict) else None)
        except (ValueError, yaml.YAMLError) as error:
            found[key] = clean(" ".join(_why(error).split()), 200)
    return found


def _chunks(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The text of each top-level entry; what stands before the first one is left out."""
    key, size = "", 0
    lines: list[bytes] = []
    starts = True
    # In pieces: a file without line ends must not be read in one.
    for line in iter(lambda: stream.readline(_MAX_ENTRY_BYTES), b""):
        match = _KEY.match(line.removeprefix(_BYTE_ORDER_MARK)) if starts else None
        starts = line.endswith(b"\n")
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
        return Entry(key)
    history, results = data.get("history"), data.get("results")
    given = score_of_results(results) if isinstance(results, Mapping) else Score()
    total = number(data.get("score"))
    return Entry(
        id=key,
        submitters=tuple(_submitters(data.get("submitters"))),
        created_at=_text(data.get("created_at"), 100),
        attempts=len(history) if isinstance(history, list) else 0,
        before=given if total is None else replace(given, total=total),
    )


def _submitters(data: Any) -> Iterator[Submitter]:
    for item in data[:_MAX_SUBMITTERS] if isinstance(data, list) else []:
        if isinstance(item, Mapping):
            one = Submitter(*(_text(item.get(key), 300) for key in Submitter._fields))
            if any(one):
                yield one


def _text(value: Any, limit: int) -> str:
    """A scalar as it stands in the file, on one line; Ruby writes nil as nothing or "~"."""
    text = "" if not isinstance(value, str) or value in ("~", "null") else _ACTING.sub(" ", value).strip()
    return clean(text, limit, joiners=True)


# --- YAML as strings, lists and dicts, whatever it holds: no objects, no dates, no octal numbers. ---
#
# PyYAML puts its nodes together by recursion, in C, where brackets inside brackets overflow the stack and
# take the process along. Here its events, which come one by one, are put together instead, to a bounded
# depth, and the same alias stands for the same value: references inside references stay small.

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_DEPTH: Final = 100


def load_yaml(text: bytes, anchors: dict[str, Any]) -> Any:
    """The first document of text, its keys without Ruby's colons; None where it is nothing.

    anchors: what earlier pieces of the file named, and this one names: Ruby refers from one to another. An
    alias that is unknown, or stands inside what it refers to, is None. Raises ValueError or YAMLError if text
    is damaged or nested too deeply.
    """
    top: list[Any] = []
    open_ones: list[tuple[list[Any], str | None]] = [(top, None)]
    for event in yaml.parse(text, Loader=_LOADER):
        value: Any
        anchor: str | None = None
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_ones) > _MAX_DEPTH:
                raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
            open_ones.append(([], event.anchor))
            continue
        if isinstance(event, yaml.ScalarEvent):
            value, anchor = event.value, event.anchor
        elif isinstance(event, yaml.AliasEvent):
            value = anchors.get(event.anchor or "")
        elif isinstance(event, yaml.CollectionEndEvent):
            value, anchor = open_ones.pop()
            if isinstance(event, yaml.MappingEndEvent):  # a key that is no text is left out with its value
                pairs = zip(value[::2], value[1::2], strict=True)
                value = {key.removeprefix(":"): one for key, one in pairs if isinstance(key, str)}
        elif isinstance(event, yaml.DocumentEndEvent):
            break
        else:
            continue
        if anchor:
            anchors[anchor] = value
        open_ones[-1][0].append(value)
    return top[0] if top else None


def _why(error: Exception) -> str:
    """Why an entry cannot be read, without a word of it."""
    if isinstance(error, yaml.MarkedYAMLError):
        line = f", line {error.problem_mark.line + 1} of it" if error.problem_mark else ""
        return f"{error.problem}{line}"
    return getattr(error, "reason", None) or str(error)
