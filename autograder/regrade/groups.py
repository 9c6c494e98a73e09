"""Groups of uploads that may be the same answer, and how often each mistake was recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from autograder.regrade.types import Fingerprint, Row


@dataclass(frozen=True)
class Group:
    """signals: in which they agree, names of Fingerprint's fields. ids: at least two."""

    signals: tuple[str, ...]
    ids: tuple[str, ...]


def groups(rows: Iterable[Row]) -> list[Group]:
    """Groups by each signal; those that agree in the rarer and the more signals come first."""
    members: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for field in fields(Fingerprint):
            value = getattr(row.fingerprint, field.name)
            if value:
                members.setdefault((field.name, value), []).append(row.entry.id)
    signals: dict[tuple[str, ...], list[str]] = {}
    for (signal, _), ids in members.items():
        if len(ids) > 1:
            signals.setdefault(tuple(ids), []).append(signal)
    found = [Group(tuple(names), ids) for ids, names in signals.items()]
    # Two notebooks hardly ran at the same microsecond; a large group rather shows an obvious answer.
    return sorted(found, key=lambda group: ("time" not in group.signals, -len(group.signals), len(group.ids)))


def mistakes(rows: Iterable[Row]) -> list[tuple[str, tuple[str, ...]]]:
    """Every mistake that was recognised, the commonest first, with the ids that show it."""
    rows = list(rows)
    counts = Counter(name for row in rows for name in set(row.diagnoses))
    return [
        (name, tuple(row.entry.id for row in rows if name in row.diagnoses))
        for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
