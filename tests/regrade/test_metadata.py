from __future__ import annotations

import io
from typing import NamedTuple

import pytest

from autograder.regrade.metadata import read_metadata
from autograder.regrade.types import Entry
from autograder.settings import MIB


class Metadata(NamedTuple):
    entries: dict[str, Entry]
    damaged: dict[str, str]
    notes: list[str]


def read(text: str | bytes) -> Metadata:
    notes: list[str] = []
    found = read_metadata(io.BytesIO(text.encode() if isinstance(text, str) else text), notes)
    entries = {key: known for key, known in found.items() if isinstance(known, Entry)}
    return Metadata(entries, {key: why for key, why in found.items() if isinstance(why, str)}, notes)


def name_of(found: Metadata, number: int) -> str:
    return found.entries[f"submission_{number}"].submitters[0].name


@pytest.mark.parametrize(
    "nested",
    [
        "  :score: " + "[" * 100_000 + "\n",
        "  :score: " + "[" * 5_000 + "]" * 5_000 + "\n",
        "  " + "- " * 5_000 + "1\n",
        "".join("  " * depth + ":a:\n" for depth in range(1, 3_000)),
    ],
    ids=["open brackets", "brackets", "dashes", "mappings"],
)
def test_an_entry_nested_without_end_is_damaged_and_costs_nobody_else(nested: str) -> None:
    found = read(f"submission_1:\n{nested}submission_2:\n  :score: 2\n")
    assert list(found.damaged) == ["submission_1"]
    assert found.entries["submission_2"].before.total is not None


def test_an_alias_may_refer_to_an_earlier_entry(capfd: pytest.CaptureFixture[str]) -> None:
    found = read(
        "submission_1:\n  :submitters: &1\n  - :name: &2 Ana\nsubmission_2:\n  :submitters: *1\n"
        "submission_3:\n  :submitters:\n  - :name: *2\n    :sid: *9\n"
    )
    assert [name_of(found, number) for number in (1, 2, 3)] == ["Ana"] * 3
    assert not found.damaged
    assert capfd.readouterr() == ("", "")


def test_what_refers_to_itself_is_nothing() -> None:
    found = read("submission_1: &a\n  :submitters: *a\n  :results: *a\n  :score: 3\n")
    assert found.entries["submission_1"].submitters == ()
    assert found.entries["submission_1"].before.total is not None


def test_an_output_that_is_references_inside_references_is_not_written_out() -> None:
    bomb = "".join(f"  :k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(40))
    found = read(f"submission_1:\n{bomb}  :results:\n    tests:\n    - name: a\n      output: *a39\n")
    before = found.entries["submission_1"].before
    assert before.tests[0].message == ""


@pytest.mark.parametrize("text", ["", "hello", "- a\n- b\n", "\x00\xff", "\n" * 1000, "submission_:\n"])
def test_what_is_no_metadata_holds_no_entries(text: str) -> None:
    assert read(text) == ({}, {}, [])


def test_a_file_from_an_editor_of_windows_is_read_too() -> None:
    found = read(b"\xef\xbb\xbfsubmission_1:\r\n  :score: 1\r\nsubmission_2:\r\n  :score: 2\r\n")
    assert [one.before.total for one in found.entries.values()] == [1.0, 2.0]


def test_of_two_entries_with_one_key_the_last_counts_and_it_is_told() -> None:
    found = read("submission_1:\n  :score: 1\nsubmission_1:\n  :score: 2\n")
    before = found.entries["submission_1"].before
    assert before.total == 2.0
    assert "submission_1 is in the metadata more than once" in found.notes[0]


@pytest.mark.parametrize(
    "line", ["x" * (40 * MIB), "'" + "x\n\n    " * (3 * MIB) + "'"], ids=["line", "lines"]
)
def test_a_huge_entry_is_damaged_and_costs_nobody_else(line: str) -> None:
    found = read(f"submission_1:\n  :results: {line}\nsubmission_2:\n  :score: 2\n")
    assert "larger than 16 MiB" in found.damaged["submission_1"]
    assert list(found.entries) == ["submission_2"]


def test_why_an_entry_is_damaged_names_nobody() -> None:
    texts = (
        '  :name: "Ana Secret',
        "  :name: Ana Secret: x",
        "  :name: Ana\x00Secret",
        "\t:name: Ana Secret",
    )
    for text in texts:
        reason = read(f"submission_1:\n{text}\n").damaged["submission_1"]
        assert reason
        assert "Secret" not in reason


def test_a_name_is_one_line_of_letters_that_act_on_nothing() -> None:
    found = read('submission_1:\n  :submitters:\n  - :name: " A\\0B\\e[31m\\nC\\u202Ed\\u2066 "\n')
    assert name_of(found, 1) == "A B [31m C d"


def test_a_name_keeps_what_its_script_is_written_with() -> None:
    name = "على\u200cرضا O’Neil, “Bob” 李"
    assert name_of(read(f"submission_1:\n  :submitters:\n  - :name: {name}\u200f\n"), 1) == name
