"""The canary: a machine is judged by what code in a jail can do there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from autograder.sandbox.calls import Answer
from autograder.sandbox.host import ForkServer
from autograder.sandbox.isolation import Level, Probe, Verdict
from autograder.sandbox.jail.seccomp import is_available
from tests.attacks.machines import MACHINES, Machine, fork_server_on

from .model import HONEST, program

simulated = pytest.mark.skipif(len(MACHINES) == 1, reason="only root on Linux can simulate machines")


@pytest.mark.skipif(not is_available(), reason="no filters of system calls here")
def test_a_canary_finds_nothing_open_and_leaves_no_file(fork_server: ForkServer, tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("canary-*"))
    isolation = fork_server.probe()
    assert isolation.level is Level.FULL
    assert isolation.missing == ()
    assert set(Path(tempfile.gettempdir()).glob("canary-*")) <= before


def test_a_run_after_a_canary_is_as_one_before(fork_server: ForkServer) -> None:
    fork_server.probe()
    fork_server.probe()
    assert isinstance(fork_server.run(program(), [HONEST]).outcomes[0], Answer)


@simulated
def test_an_old_kernel_is_full_where_root_can_change_its_user() -> None:
    with fork_server_on(Machine.OLD_KERNEL) as fork_server:
        isolation = fork_server.probe()
    assert isolation.level is Level.FULL
    assert isolation.confinement is not None
    assert len(isolation.confinement.missing) == 3


@simulated
def test_without_landlock_and_filter_the_doctor_says_what_is_open() -> None:
    with fork_server_on(Machine.BARE) as fork_server:
        isolation = fork_server.probe()
    verdicts = {finding.probe: finding.verdict for finding in isolation.findings}
    assert isolation.level is not Level.FULL
    assert verdicts[Probe.SOCKET] is Verdict.OPEN
    assert verdicts[Probe.FORK] is Verdict.OPEN
    assert "student code can open a network connection" in isolation.missing
