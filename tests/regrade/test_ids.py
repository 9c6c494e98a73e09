from __future__ import annotations

import pytest

from autograder.regrade.ids import ids_of_children, safe_ids


def test_a_number_or_a_plain_name_is_its_own_id() -> None:
    assert safe_ids(["310000", "ana_b", "x+y@z-1.2"]) == ["310000", "ana_b", "x+y@z-1.2"]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "-rf", "a/b", "a\\b", "a b", "=1", "@x", "Ána", "\n", "\udcff", "a" * 101, ".hidden"],
)
def test_any_other_name_becomes_one_that_can_be_a_file_name(name: str) -> None:
    (one,) = safe_ids([name])
    assert one.isascii()
    assert one[0].isalnum()
    assert len(one) <= 100
    assert not set(one) & set("/\\ \n=")


def test_names_that_would_become_the_same_stay_apart() -> None:
    ids = safe_ids(["ana", "Ana", "a b", "a-b", "a/b", "é", "è"])
    assert len({one.casefold() for one in ids}) == 7


def test_a_file_goes_by_its_name_without_suffix_unless_another_does() -> None:
    names = ["ana.json", "ben", "ben.py", "a.py.txt", "a.py", "a.md"]
    ids = ids_of_children(names, [False, True, False, False, False, False])
    assert ids == ["ana", "ben", "ben.py", "a.py.txt", "a.py", "a.md"]
