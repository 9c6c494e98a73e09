from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.text import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("solution v2 (1).py", "solution v2 (1).py"),
        ("Lösung_答え.py", "Lösung_答え.py"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u202egpj", "a\\u202egpj"),
        ("a\u2066b\u200bc", "a\\u2066b\\u200bc"),
        ("a\nb\tc\r\n", "a\\nb\\tc\\r\\n"),
        ("a\u2028b", "a\\u2028b"),
        ("a\ud800b", "a\\ud800b"),
        ("a\u00a0b", "a b"),
    ],
)
def test_characters_that_act_are_written_as_escapes(text: str, shown: str) -> None:
    assert clean(text, 80) == shown


def test_lines_keep_their_ends_when_asked() -> None:
    assert clean("a\r\nb\rc\td\x07", 80, lines=True) == "a\nb\nc\td\\x07"


def test_what_is_cut_off_is_marked() -> None:
    assert clean("abcdef", 6) == "abcdef"
    assert clean("abcdefg", 6) == "abcde…"


@given(st.text(st.characters(), max_size=50), st.integers(1, 40), st.booleans())
def test_any_text_comes_out_printable_encodable_and_within_its_limit(
    text: str, limit: int, lines: bool
) -> None:
    shown = clean(text, limit, lines=lines)
    assert len(shown) <= limit
    shown.encode("utf-8")
    assert all(char.isprintable() or (lines and char in "\n\t") for char in shown)
