"""The form in which errors are worded: what is recognised, and what is said of it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """headline: what happened. change: what to do. Both may hold {names} of what is known of the error."""

    headline: str
    change: str


@dataclass(frozen=True)
class Rule:
    """An error that is recognised: by its type and message, and by its line if `at` is given.

    types, message, at: regular expressions; types is matched whole, the others are searched. The named
    groups of message are the {names} that words may use, beside {line}, the student's line.
    """

    types: str
    message: str
    words: Words
    at: str = ""

    def match(self, type_name: str, message: str, line: str) -> re.Match[str] | None:
        """The match of the message, if all three fit."""
        if not re.fullmatch(self.types, type_name) or not re.search(self.at, line):
            return None
        return re.search(self.message, message)
