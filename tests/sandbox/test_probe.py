"""The canary: a machine is judged by what code in a jail can do there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox import isolation
from autograder.sandbox.calls import Answer, End, Ended
from autograder.sandbox.host import ForkServer
from autograder.sandbox.isolation import Level, Probe, ProbeResult
from autograder.sandbox.jail.seccomp import is_available
from tests.attacks.machines import MACHINES, Machine, fork_server_on

from .model import HONEST, program

simulated = pytest.mark.skipif(len(MACHINES) == 1, reason="only root on Linux can simulate machines")


@pytest.mark.skipif(not is_available(), reason="no filters of system calls here")
def test_a_canary_finds_nothing_open_and_leaves_no_file(fork_server: ForkServer, tmp_path: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("canary-*"))
    found = fork_server.probe()
    assert found.level is Level.FULL
    assert found.missing == ()
    assert set(Path(tempfile.gettempdir()).glob("canary-*")) <= before


def test_a_run_after_a_canary_is_as_one_before(fork_server: ForkServer) -> None:
    fork_server.probe()
    fork_server.probe()
    assert isinstance(fork_server.run(program(), [HONEST]).outcomes[0], Answer)


@simulated
def test_an_old_kernel_is_full_where_nobody_else_may_read_the_project_and_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "upload").write_text("")
    (tmp_path / "upload").chmod(0o600)
    monkeypatch.setattr(isolation, "_OF_THE_GRADER", ())
    with fork_server_on(Machine.OLD_KERNEL) as fork_server:
        found = fork_server.probe([tmp_path / "upload"])
    assert found.level is Level.FULL
    assert len(found.missing_layers) == 3


@simulated
def test_an_old_kernel_is_reduced_where_everybody_may_read_the_uploads(tmp_path: Path) -> None:
    upload = tmp_path / "submission_1" / "homework.py"
    upload.parent.mkdir()
    upload.touch()
    for path in (upload, *upload.parents):
        if Path(tempfile.gettempdir()) in path.parents:  # a worker of xdist has a folder of its own between
            path.chmod(0o755)
    with fork_server_on(Machine.OLD_KERNEL) as fork_server:
        found, without_any = fork_server.probe([tmp_path]), fork_server.probe()
    assert "student code can read uploads that every user may read (chmod 700 their folder)" in found.missing
    assert found.level is without_any.level is Level.REDUCED


@simulated
def test_without_landlock_and_filter_the_doctor_says_what_is_open() -> None:
    with fork_server_on(Machine.BARE) as fork_server:
        found = fork_server.probe()
    verdicts = found.findings
    assert found.level is not Level.FULL
    assert verdicts[Probe.SOCKET] is ProbeResult.OPEN
    assert verdicts[Probe.FORK] is ProbeResult.OPEN
    assert "student code can open a network connection" in found.missing


def test_a_canary_that_dies_is_no_isolation() -> None:
    found = isolation.read_findings(Ended(End.SIGNAL, "SIGSEGV"))
    assert found.level is Level.NONE
    assert found.missing == ("the probes could not be run",)


@pytest.mark.parametrize("names", [(), ("",), ("X HELD",), ("SOCKET",), ("SOCKET SHUT", "SOCKET ")])
def test_an_answer_that_is_none_is_no_isolation(names: tuple[str, ...]) -> None:
    found = isolation.read_findings(Answer(dict.fromkeys(names, np.zeros(0))))
    assert found.level is Level.NONE
    assert "not known: open a network connection" in found.missing


def test_what_could_not_be_tried_is_not_held() -> None:
    findings = {**dict.fromkeys(Probe, ProbeResult.HELD), Probe.READ_SECRET: ProbeResult.UNKNOWN}
    found = isolation.Isolation(findings, {}, imports=True)
    assert found.level is Level.REDUCED
    assert found.missing == ("not known: read the grader's files",)
