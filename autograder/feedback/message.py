"""A text for a student, with the format in which Gradescope is to show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """format: one of Gradescope's "text", "html", "md", "ansi". html is escaped by who makes it."""

    text: str
    format: str = "text"


@dataclass(frozen=True)
class Explained:
    """A message, and the short stable name of the mistake it recognises ("" if none)."""

    message: Message
    diagnosis: str = ""
