"""YAML as strings, lists and dicts, whatever it holds: no objects, no dates, no numbers read as octals.

PyYAML puts its nodes together by recursion, in C, where brackets inside brackets overflow the stack and
take the process along. Here its events, which come one by one, are put together instead, to a bounded
depth, and the same alias stands for the same value: references inside references stay small.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MAX_DEPTH: Final = 100


class PlainYaml:
    """Reads one piece of a file after another. Anchors stay: Ruby refers from one piece to another."""

    def __init__(self) -> None:
        self._anchors: dict[str, Any] = {}

    def load(self, text: bytes) -> Any:
        """The first document of text; None where it is nothing.

        An alias that is unknown, or stands inside what it refers to, is None. Raises ValueError, whose text
        quotes nothing of the file, if text is damaged or nested too deeply.
        """
        try:
            return self._load(text)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1} of it" if error.problem_mark else ""
            raise ValueError(f"{error.problem}{line}") from None
        except yaml.YAMLError as error:
            raise ValueError(getattr(error, "reason", None) or "it is not YAML") from None

    def _load(self, text: bytes) -> Any:
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
                value = self._anchors.get(event.anchor or "")
            elif isinstance(event, yaml.CollectionEndEvent):
                items, anchor = open_ones.pop()
                value = _mapping(items) if isinstance(event, yaml.MappingEndEvent) else items
            elif isinstance(event, yaml.DocumentEndEvent):
                break
            else:
                continue
            if anchor:
                self._anchors[anchor] = value
            open_ones[-1][0].append(value)
        return top[0] if top else None


def _mapping(items: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn; a key that is itself a list or a mapping is left out with its value."""
    pairs = zip(items[::2], items[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, Hashable)}
