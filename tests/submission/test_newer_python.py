"""What only newer Pythons can read, as the one that runs this reads it."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.submission.older_python import readable, with_older_statements, with_older_strings

NAMES: dict[str, Any] = {"d": {"a": 1, "b": "x"}, "names": ["p", "q"], "x": 3.14159, "w": 5}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('f"{d["a"]}"', "1"),
        ("f'{d['a']}' 'b'", "1b"),
        ('f"""{d["b"]}"""', "x"),
        (r'f"{"\n".join(names)}|"', "p\nq|"),
        (
            r'f"{d["b"] + "\"'
            r"'"
            r'\\\t"}"',
            "x\"'\\\t",
        ),
        ('f"{"" + d["b"]}"', "x"),
        ('f"{"it\'s"}"', "it's"),
        ('f"{", ".join(f"{n!r:>{w}}" for n in names)}"', "  'p',   'q'"),
        ('f"{f"{f"{1 + 1}"}"}"', "2"),
        ('f"{f"{f"{d["b"]}"}"}"', "x"),
        ('f"{x:.{d["a"]}f}, {d["b"]!r:>4}"', "3.1,  'x'"),
        ('f"{d["a"] != 2}, {x:>{"9" if w else "8"}}"', "True,   3.14159"),
        ('f"{\n  d["b"]  # a comment: "}"\n}"', "x"),
        (r'rf"\d{d["a"]}\w{{}}"', r"\d1\w{}"),
        (r'f"\N{EM DASH}\"{d["a"]}\"{{{d["b"]}}}"', '\N{EM DASH}"1"{x}'),
        ('"if" if"a"in d else f"{d["a"]}"', "if"),
        ('f"{(lambda: d["b"])()}" f\'{d["a"]}\'', "x1"),
        ("f'{x:.1f}' f'{d['a']}'  # don't", "3.11"),
        ('f"{f"{f"{f"{f"{1}"}"}"}"}"', "1"),
        ("str(f'{d['b']}'  # one\n)", "x"),
        ('f"{d["a"]=} {d["b"] = !s} {d["a"]=:>3}"', 'd["a"]=1 d["b"] = x d["a"]=  1'),
        ('("a"  # one\n f"{d["b"]}"\n "c" "d").upper()', "AXCD"),
    ],
)
def test_a_string_of_newer_pythons_has_the_value_that_it_has_there(source: str, value: str) -> None:
    older = with_older_strings(source)
    assert eval(older, dict(NAMES)) == value
    assert older.count("\n") == source.count("\n")
    ast.parse(older, feature_version=(3, 10))


@pytest.mark.parametrize(
    "source",
    [
        "f'{x:.2f}' + f'{d[\"a\"]}' + \"f'{'\"",
        "# f'{d['a']}'\n'''f\"{d[\"a\"]}\"'''\nx = 1",
        "f'{x!r:>10}' f'{{}}' rf'\\{x}'",
    ],
)
def test_what_older_pythons_read_too_stays_as_it_is(source: str) -> None:
    assert readable(source) == source


@pytest.mark.parametrize(
    ("source", "older"),
    [
        ("type Pair[T] = tuple[T, T]\nx = 1", "Pair = tuple[T, T]\nx = 1"),
        ("    def f[T: (int, str)](x: T) -> list[T]:", "    def f(x: T) -> list[T]:"),
        ("class A[*Ts, T = int](B):", "class A(B):"),
        ("class A[T]:", "class A:"),
        ("async def f[T](x):", "async def f(x):"),
        ("try:\n  f()\nexcept A, b.C :\n  g()", "try:\n  f()\nexcept (A, b.C) :\n  g()"),
        ("except (A, B):", "except (A, B):"),
        ("type(x)[0] = 1\nx = a[1]\ny = type", "type(x)[0] = 1\nx = a[1]\ny = type"),
    ],
)
def test_statements_of_newer_pythons_become_older_ones(source: str, older: str) -> None:
    assert with_older_statements(source) == older


def test_both_in_one_cell_are_read() -> None:
    source = 'type T = int\ndef show[S](d: S) -> None:\n    print(f"{d["a"]}")\n'
    ast.parse(readable(source))


@pytest.mark.parametrize("source", ["f'{'", "f'{x", "f'{x!}'", "f'", "f'{x:", "f'{\\\n}'", "x = ", "def f(:"])
def test_what_no_python_reads_comes_back_as_it_is(source: str) -> None:
    assert readable(source) == source


def test_braces_far_within_braces_come_back_as_they_are() -> None:
    source = 'f"{' * 9 + "1" + '}"' * 9
    assert with_older_strings(source) == source


@given(st.text(alphabet="f\"'{}\\rR#\n :!=ab1[]()", max_size=40))
@settings(deadline=None, max_examples=300)
def test_no_text_is_too_odd(text: str) -> None:
    assert readable(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "part",
    [
        'f"{',
        r'"\N{{',
        r'f"\N{{',
        "type x ",
        "type x[]",
        "def f[]",
        "]",
        "f'{x:{x:",
        "[",
        "f'{'",
        "\\",
        " ",
        "(\n",
    ],
)
def test_a_long_text_takes_no_long_way(part: str) -> None:
    source = f"type x = 1\nf'{{{part * 50_000}\n!"
    assert readable(source) == source
    assert readable(f"def f{part * 50_000}\n!").startswith("def f")
