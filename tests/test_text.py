from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.text import clean, text_of_html


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


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &lt;b&gt;</p><p>c</p>", "a <b>\nc"),
        ("<table><tr><td>A</td><td>0.5</td></tr></table>", "  A  0.5"),
        ("a<!-- b <p> -->c", "ac"),
        ("a<!-- never closed <p>b", "a"),
        ("a<script>x < y</SCRIPT >b<style>p {}</style>c", "abc"),
        ("1 < 2 and 3 <4", "1 < 2 and 3 <4"),
        ('<img alt="a" src="data:,x">after', "after"),
    ],
)
def test_html_is_read_as_its_words(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    "piece", ["<!--", "<script>", "<a ", "<", "a", "</script ", "<p><!-- ", "&", "<!-->"]
)
def test_html_without_an_end_is_read_in_a_time_that_grows_with_its_length(piece: str) -> None:
    def seconds(size: int) -> float:
        start = process_time()
        text_of_html("<" + piece * (size // len(piece)))
        return process_time() - start

    seconds(1000)
    short, long = (min(seconds(size) for _ in range(3)) for size in (32_000, 256_000))
    assert long < 8 * 4 * short + 0.05  # eight times as long; a square would be 64 times
