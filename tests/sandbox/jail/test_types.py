from __future__ import annotations

from autograder.sandbox.jail.confine import Limits


def test_the_user_follows_from_the_process_unless_it_is_given():
    limits = Limits(readable=(), memory_bytes=1, cpu_seconds=1)
    assert limits.uid_for(5000) != limits.uid_for(5001)
    assert 60_000 < limits.uid_for(2**22) < 65_534
    assert Limits(readable=(), memory_bytes=1, cpu_seconds=1, uid=1234).uid_for(5000) == 1234
