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
_GAP: Final = re.compile(r"(?:[ \t]|\\\n)*")
_GAP_IN_BRACKETS: Final = re.compile(r"(?:\s|\\\n|\#[^\n]*\n)*")
_MAX_DEPTH: Final = 8
"""Braces within braces."""
_CONVERSION: Final = re.compile(r"(?:![rsa]\s*)?")
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
    return (_kept_tree if len(source) <= _KEPT_CHARS else parse)(source)


_kept_tree: Final = lru_cache(maxsize=32)(parse)  # the cells of a notebook


def encodable(source: str) -> str:
    """Return source with "\\n" line ends and without lone surrogates, which no file can hold."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8")


def readable(source: str) -> str:
    """Return source as this Python can read it; as it is, if that is the case or cannot be.

    Line n of what comes out is line n of what went in.
    """
    if shared_tree(source) is not None:
        return source
    older = with_older_strings(source)
    texts = (older, with_older_statements(older))
    return next((text for text in texts if shared_tree(text) is not None), source)


class _Unknown(Exception):
    """Not an f-string of any Python, or one that has no older form."""


def with_older_strings(source: str) -> str:
    """Return source with each f-string that holds a string in its braces as Python 3.10 writes it."""
    try:
        return _Rewriter(source).code()
    except _Unknown:
        return source


def with_older_statements(source: str) -> str:
    """Return source with `type` as an assignment, no type parameters, and parentheses after `except`."""
    source = _TYPE_STATEMENT.sub(r"\1\2 =", source)
    source = _TYPE_PARAMETERS.sub(r"\1", source)
    return _EXCEPTIONS.sub(r"\1(\2)", source)


class _Rewriter:
    """Walks through a source once: f"{d["a"]:>{w}}" becomes "{:>{}}".format((d["a"]), (w))."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        """Braces around the place where it stands."""

    def code(self) -> str:
        """Code, up to the end of the source or, in braces, to what ends the expression."""
        parts: list[str] = []
        brackets = 0
        while found := _CODE.match(self._source, self._at):
            text = found.group()
            ends = text in "}:" or (text == "!" and not self._source.startswith("!=", self._at))
            if self._depth and not brackets and ends:
                break
            if found["quote"]:
                parts.append(self._strings(_GAP_IN_BRACKETS if brackets > 0 or self._depth else _GAP))
                continue
            self._at = found.end()
            brackets += (text in "([{") - (text in ")]}")
            parts.append(text)
        return "".join(parts)

    def _strings(self, gap: re.Pattern[str]) -> str:
        """A string, or several side by side: as they stand, or joined by + if one of them has to change."""
        start, joined, between, changed = self._at, "", "", False
        while (found := _CODE.match(self._source, self._at)) and found["quote"]:
            before = self._at
            string = self._string(found["prefix"] or "", found["quote"])
            end = self._at
            changed = changed or string != self._source[before:end]
            joined = f"{joined}{between}+ {string}" if joined else string
            between = self._take(gap)
        self._at = end
        return f"({joined})" if changed else self._source[start:end]

    def _string(self, prefix: str, quote: str) -> str:
        start = self._at
        self._expect(prefix + quote)
        kind = prefix.lower().replace("f", "")
        template, values, must_change = "", list[str](), False
        literal = _literal(quote, braces=kind != prefix.lower(), raw="r" in kind)
        while True:
            template += self._take(literal)
            if kind == prefix.lower() or not self._source.startswith("{", self._at):
                break
            before = self._at
            template += self._field(values)
            must_change |= any(mark in self._source[before : self._at] for mark in "'\"\\#\n")
        self._expect(quote)
        if not must_change:
            return self._source[start : self._at]
        return f"{kind}{quote}{template}{quote}.format({', '.join(values)})"

    def _field(self, values: list[str]) -> str:
        """What stands in braces, without its expressions, which go to values."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _Unknown
        self._expect("{")
        expression = self.code()
        conversion = self._take(_CONVERSION)
        if not expression.strip(" \t\n\\"):
            raise _Unknown
        shown, is_formatted = "", self._source.startswith(":", self._at)
        if re.search(r"[^=!<>]=\s*$", expression):  # {x=} shows the expression, too
            values.append(repr(expression))
            expression = expression.rstrip()[:-1]
            shown, conversion = "{}", conversion or "!r" * (not is_formatted)
        values.append(f"({expression})")
        specifier = self._expect(":") if is_formatted else ""
        while specifier and not self._source.startswith("}", self._at):
            specifier += self._take(_SPECIFIER)
            if not self._source.startswith("}", self._at):
                specifier += self._field(values)
        self._expect("}")
        self._depth -= 1
        return f"{shown}{{{conversion.rstrip()}{specifier}}}"

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._source, self._at)
        if not found:
            raise _Unknown
        self._at = found.end()
        return found.group()

    def _expect(self, text: str) -> str:
        return self._take(re.compile(re.escape(text)))


def _literal(quote: str, braces: bool, raw: bool) -> re.Pattern[str]:
    """What a string holds up to its end or, with braces, up to the next expression in it."""
    line = "" if len(quote) == 3 else r"\n"
    named = "" if raw else r"\\N\{[^}\n]{1,99}\}|"
    escapes = rf"{named}\\[^{{]|\\(?=\{{)|\{{\{{" if braces else r"\\."
    return re.compile(rf"(?:{escapes}|(?!{quote})[^\\{line}{'{' if braces else ''}])*", re.DOTALL)
