"""Python that came from an upload, parsed: a tree, or None, whatever the text is; and syntax that only newer
Pythons have, in words that the Python that grades knows.

What ran for the student has to run here, and a notebook may come from Python 3.12 or newer while Gradescope's
image has 3.10: f-strings with any strings, backslashes or comments in their braces (PEP 701), type parameters
of functions and classes, `type` statements (PEP 695), and `except` without parentheses (PEP 758).
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import Final

_KEPT_CHARS: Final = 1 << 14
"""Longer sources are not kept: a tree takes some fifty times the room of its text."""
_CODE: Final = re.compile(
    r"""(?P<comment>\#[^\n]*) | (?P<prefix>\b[A-Za-z]{1,2})?(?P<quote>'''|\"""|'|") | \w+ | .""",
    re.VERBOSE | re.DOTALL,
)
_OTHER: Final = {"'": '"', '"': "'"}
_MAX_DEPTH: Final = 3
"""F-strings inside f-strings, each with quotes of its own kind: older Pythons have four kinds."""
_MAX_FIELDS: Final = 8
"""Braces within the format of braces."""
_CONVERSION: Final = re.compile(r"![rsa]\s*")
_SPECIFIER: Final = re.compile(r"[^{}'\"\n]*")
_TYPE_STATEMENT: Final = re.compile(r"^([ \t]*)type[ \t]+(\w+)(?:[ \t]*\[[^\n]*?\])?[ \t]*=", re.MULTILINE)
_TYPE_PARAMETERS: Final = re.compile(
    r"^([ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+\w+)[ \t]*\[[^\n]*?\](?=[ \t]*[(:])", re.MULTILINE
)
_EXCEPTIONS: Final = re.compile(
    r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)(?=[ \t]*:)", re.MULTILINE
)


def parse(source: str) -> ast.Module | None:
    """Parse source; None if it is not Python, or too deeply nested to parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is the student's, not ours
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def shared_tree(source: str) -> ast.Module | None:
    """As `parse`, and parsed once for all who ask; the tree is theirs to read, not to change."""
    return _kept_tree(source) if len(source) <= _KEPT_CHARS else parse(source)


@lru_cache(maxsize=32)  # the cells of a notebook
def _kept_tree(source: str) -> ast.Module | None:
    return parse(source)


def encodable(source: str) -> str:
    """Return source with "\\n" line ends and without lone surrogates, which no file can hold."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8")


class _Unknown(Exception):
    """Not an f-string of any Python, or one that has no older form."""


def readable(source: str) -> str:
    """Return source as this Python can read it; as it is, if that is the case or cannot be.

    Line n of what comes out is line n of what went in.
    """
    if shared_tree(source) is not None:
        return source
    older = with_older_strings(source)
    for text in (older, with_older_statements(older)):
        if shared_tree(text) is not None:
            return text
    return source


def with_older_strings(source: str) -> str:
    """Return source with each f-string that holds a string in its braces as Python 3.10 writes it."""
    try:
        return _Rewriter(source).code(0)
    except _Unknown:
        return source


def with_older_statements(source: str) -> str:
    """Return source with `type` as an assignment, no type parameters, and parentheses after `except`."""
    source = _TYPE_STATEMENT.sub(r"\1\2 =", source)
    source = _TYPE_PARAMETERS.sub(r"\1", source)
    return _EXCEPTIONS.sub(r"\1(\2)", source)


class _Rewriter:
    """Walks through a source once. depth: the f-strings around the place where it stands."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._outermost = ""
        self._fields = 0

    def code(self, depth: int) -> str:
        """Code, up to the end of the source or, in braces, to what ends the expression."""
        parts: list[str] = []
        brackets = 0
        while found := _CODE.match(self._source, self._at):
            text = found.group()
            ends = text in "}:" or (text == "!" and not self._source.startswith("!=", self._at))
            if depth and not brackets and ends:
                return "".join(parts)
            self._at = found.end()
            if found["quote"]:
                parts.append(self._string(found["prefix"] or "", found["quote"], depth))
                continue
            if depth and text == "\\":
                raise _Unknown
            brackets += (text in "([{") - (text in ")]}")
            if not (depth and found["comment"]):
                parts.append(text)
        if depth:
            raise _Unknown
        return "".join(parts)

    def _string(self, prefix: str, quote: str, depth: int) -> str:
        start = self._at - len(quote)
        if "".join(sorted(prefix.lower())) not in ("f", "fr"):
            self._take(_literal(quote, braces=False))
            self._expect(quote)
            text = self._source[start : self._at]
            return prefix + text if not depth else _constant(prefix + text, self._quote(depth, 1))
        if depth == 0:
            self._outermost = quote[0]
        elif depth > _MAX_DEPTH:
            raise _Unknown
        parts: list[str] = []
        holds_strings = False
        while not self._source.startswith(quote, self._at):
            parts.append(self._take(_literal(quote, braces=True, raw="r" in prefix.lower())))
            if depth and any(mark in parts[-1] for mark in "'\"\\"):
                raise _Unknown
            if self._source.startswith("{", self._at):
                begin = self._at
                parts.append(self._field(depth))
                holds_strings |= any(mark in self._source[begin : self._at] for mark in "'\"\\#\n")
            elif not self._source.startswith(quote, self._at):
                raise _Unknown
        self._expect(quote)
        if not holds_strings and not depth:
            return prefix + self._source[start : self._at]
        own = self._quote(depth, 3 if depth < 2 else 1)
        return f"{prefix}{own}{''.join(parts)}{own}"

    def _field(self, depth: int) -> str:
        """What stands in braces, the braces included."""
        self._fields += 1
        if self._fields > _MAX_FIELDS:
            raise _Unknown
        parts = [self._expect("{"), self.code(depth + 1)]
        if self._source.startswith("!", self._at):
            parts.append(self._take(_CONVERSION))
        if self._source.startswith(":", self._at):
            parts.append(self._expect(":"))
            while not self._source.startswith("}", self._at):
                parts.append(self._take(_SPECIFIER))
                if self._source.startswith("{", self._at):
                    parts.append(self._field(depth))
                elif not self._source.startswith("}", self._at):
                    raise _Unknown
        self._fields -= 1
        return "".join([*parts, self._expect("}")])

    def _quote(self, depth: int, times: int) -> str:
        """The quotes of a string at this depth: the outermost kind and the other one, in turn."""
        return (_OTHER[self._outermost] if depth % 2 else self._outermost) * times

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._source, self._at)
        if not found:
            raise _Unknown
        self._at = found.end()
        return found.group()

    def _expect(self, text: str) -> str:
        if not self._source.startswith(text, self._at):
            raise _Unknown
        self._at += len(text)
        return text


def _literal(quote: str, braces: bool, raw: bool = False) -> re.Pattern[str]:
    """What a string holds up to its end or, with braces, up to the next expression in it."""
    line = "" if len(quote) == 3 else r"\n"
    named = "" if raw else r"\\N\{[^}\n]{1,99}\}|"
    escapes = rf"{named}\\[^{{]|\\(?=\{{)|\{{\{{" if braces else r"\\."
    return re.compile(rf"(?:{escapes}|(?!{quote})[^\\{line}{'{' if braces else ''}])*", re.DOTALL)


def _constant(token: str, quote: str) -> str:
    """A string without quotes of another kind, and without the backslash that older braces may not hold."""
    try:
        value = ast.literal_eval(token)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise _Unknown from error
    if not isinstance(value, str):
        raise _Unknown
    if value.isprintable() and not any(mark in value for mark in "'\"\\"):
        return f"{quote}{value}{quote}"
    return f"({quote * 2}.join(map(chr, {[*map(ord, value)]})))"
