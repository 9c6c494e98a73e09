"""The exports that other tests are made of hold every sort, and the odd ones cost nobody else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from autograder.regrade.export import read_export
from tests.regrade.exports import DAMAGES, KINDS, ODD_NAMES, write_export, zipped
from tests.regrade.fakes import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports") / "export"


@pytest.fixture(scope="module")
def kinds(folder: Path) -> dict[str, str]:
    return write_export(folder, 200, hanging=1, damaged=len(DAMAGES))


def test_an_export_has_every_sort_of_upload_and_of_entry(folder: Path, kinds: dict[str, str]) -> None:
    assert set(kinds.values()) == {*KINDS, *DAMAGES, "hangs"}
    entries = read_export(folder).entries
    assert {len(entry.submitters) for entry in entries} == {0, 1, 2, len(ODD_NAMES)}
    assert {entry.attempts for entry in entries} == {0, 1, 3}
    assert {entry.created_at[:10] for entry in entries} == {"", "2024-03-01", "2024-03-09"}


def test_every_entry_comes_out_of_the_folder_and_of_its_zip(
    folder: Path, kinds: dict[str, str], tmp_path: Path
) -> None:
    on_disk, in_zip = read_export(folder), read_export(zipped(folder, tmp_path / "export.zip"))
    assert [entry.id for entry in on_disk.entries] == list(kinds)
    assert [(one.id, one.submitters, one.before, one.damage) for one in on_disk.entries] == [
        (one.id, one.submitters, one.before, one.damage) for one in in_zip.entries
    ]
    assert on_disk.notes == in_zip.notes
    assert [kinds[entry.id] for entry in on_disk.entries if entry.damage] == ["no folder"]


def test_odd_entries_leave_grades_that_can_be_read_with_a_row_for_each_submitter(
    folder: Path, kinds: dict[str, str], tmp_path: Path
) -> None:
    assert main([str(folder), "-o", str(tmp_path / "OUT")]) == 0
    with (tmp_path / "OUT" / "grades.csv").open(newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.DictReader(stream))[1:]
    assert {line["id"] for line in lines} == set(kinds)
    assert all(line["status"] for line in lines)
    odd = [line["name"] for line in lines if kinds[line["id"]] == "odd names"]
    assert odd == ['\'=HYPERLINK("http://x.example")', 'O\'Neil, "Bob" Jr.', "evil [31m", ODD_NAMES[3]]
