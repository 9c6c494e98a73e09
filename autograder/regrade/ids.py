"""Ids of submissions: each can be a file's name everywhere, and no two are the same."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


def safe_ids(names: Sequence[str]) -> list[str]:
    """An id for each of these different names: the name itself, or what can be kept of it and a hash.

    No two ids are the same, not even where capitals do not count in file names.
    """
    plain = [name if _SAFE.fullmatch(name) else _kept(name) for name in names]
    counts = Counter(one.casefold() for one in plain)
    return [
        one if counts[one.casefold()] == 1 else f"{one[:80]}-{_hash(name)}"
        for one, name in zip(plain, names, strict=True)
    ]


def _kept(name: str) -> str:
    kept = re.sub(r"[^A-Za-z0-9._@+-]+", "-", name).lstrip(".-_@+")[:80] or "submission"
    return f"{kept}-{_hash(name)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def ids_of_children(names: Sequence[str], folders: Sequence[bool]) -> list[str]:
    """An id for each child of a folder; a file goes by its name without suffix if nobody else does."""
    stems = [
        name if folder else PurePosixPath(name).stem for name, folder in zip(names, folders, strict=True)
    ]
    # A stem is taken if it is another's stem or another's whole name.
    counts = Counter(one.casefold() for pair in zip(stems, names, strict=True) for one in {*pair})
    return safe_ids(
        [stem if counts[stem.casefold()] == 1 else name for stem, name in zip(stems, names, strict=True)]
    )
