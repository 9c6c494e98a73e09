from __future__ import annotations

import errno

from autograder.sandbox.jail.confine import LACKING, NOT_ROOT, Confinement, Layer, Limits, Shortfall


def test_a_layer_is_held_or_missing():
    confinement = Confinement((Shortfall(Layer.USER, NOT_ROOT),))
    assert set(confinement.held) == set(Layer) - {Layer.USER}


def test_a_shortfall_says_why():
    assert Shortfall(Layer.USER, NOT_ROOT).why == "only root can do it"
    assert Shortfall(Layer.FILES, LACKING).why == "this system does not have it"
    assert Shortfall(Layer.USER, errno.EPERM).why == "Operation not permitted (EPERM)"


def test_the_user_follows_from_the_process_unless_it_is_given():
    limits = Limits(readable=(), memory_bytes=1, cpu_seconds=1)
    assert limits.uid_for(5000) != limits.uid_for(5001)
    assert 60_000 < limits.uid_for(2**22) < 65_534
    assert Limits(readable=(), memory_bytes=1, cpu_seconds=1, uid=1234).uid_for(5000) == 1234
