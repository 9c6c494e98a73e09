from __future__ import annotations

from autograder.sandbox.jail.confine import uid_of


def test_the_user_follows_from_the_process():
    assert uid_of(5000) != uid_of(5001)
    assert 60_000 < uid_of(2**22) < 65_534
