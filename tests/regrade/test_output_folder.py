from __future__ import annotations

from pathlib import Path

import pytest

from autograder.errors import UsageError
from autograder.regrade.output_folder import Out
from autograder.regrade.types import Record


@pytest.fixture
def out(tmp_path: Path) -> Out:
    with Out.hold(tmp_path / "OUT") as held:
        held.keep(Record(b'{"score": 1}', id="1", key="key"))
    return held


def test_a_result_stands_for_the_key_it_was_graded_under(out: Out) -> None:
    assert out.stands("1", "key")
    assert not out.stands("1", "another key")
    assert not out.stands("2", "key")


def test_the_result_is_kept_byte_for_byte_for_its_owner_alone(out: Out) -> None:
    path = out.root / "results" / "1.json"
    assert path.read_bytes() == b'{"score": 1}'
    assert path.stat().st_mode & 0o077 == 0


def test_a_result_that_was_cut_does_not_stand(out: Out) -> None:
    (out.root / "results" / "1.json").write_bytes(b'{"sco')
    assert not out.stands("1", "key")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "key"}'])
def test_a_record_that_is_not_whole_does_not_stand(out: Out, text: str) -> None:
    (out.root / "state" / "1.json").write_text(text)
    assert not out.stands("1", "key")


def test_a_result_with_a_fault_does_not_stand_so_that_the_next_run_tries_again(out: Out) -> None:
    out.keep(Record(b"{}", faults=("2.2: KeyError",), id="1", key="key"))
    out.keep(Record(faults=("died",), id="2", key="key"))
    assert not out.stands("1", "key")
    assert not out.stands("2", "key")


def test_a_grader_that_gave_nothing_leaves_no_old_result_behind(out: Out) -> None:
    out.keep(Record(faults=("died",), id="1", key="key"))
    assert not (out.root / "results" / "1.json").exists()
    record = out.record("1")
    assert record is not None
    assert list(record.faults) == ["died"]


def test_two_regrades_cannot_hold_one_folder(tmp_path: Path) -> None:
    with Out.hold(tmp_path), pytest.raises(UsageError, match="Another regrade"), Out.hold(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Cannot write"), Out.hold(tmp_path / "file" / "OUT"):
        pass
