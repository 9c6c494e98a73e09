"""The canary: a machine is judged by what code in a jail can do there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autograder.sandbox.lockdown.canary import run_canary
from autograder.sandbox.lockdown.isolation import (
    Finding,
    Isolation,
    Level,
    Probe,
    Verdict,
    findings_from_bytes,
    findings_to_bytes,
)
from autograder.sandbox.lockdown.seccomp import is_available

from .jail import LIMITS, linux_only, root_only

with_filter = pytest.mark.skipif(not is_available(), reason="no filters of system calls here")
CLOSED = replace(LIMITS, readable=("/usr/lib",))


def verdicts(isolation: Isolation) -> dict[Probe, Verdict]:
    return {finding.probe: finding.verdict for finding in isolation.findings}


@linux_only
@with_filter
@root_only
def test_root_with_a_filter_holds_every_probe_even_without_landlock():
    for landlock in (True, False):
        isolation = run_canary(replace(CLOSED, landlock=landlock))
        assert isolation.level is Level.FULL
        assert isolation.missing == ()
        assert isolation.imports


@linux_only
def test_without_the_filter_of_system_calls_sockets_and_processes_are_open():
    found = verdicts(run_canary(replace(CLOSED, system_calls=False)))
    assert found[Probe.SOCKET] is Verdict.OPEN
    assert found[Probe.FORK] is Verdict.OPEN


@linux_only
def test_with_every_layer_off_the_results_can_be_written_and_that_is_said():
    isolation = run_canary(replace(CLOSED, user=False, landlock=False, system_calls=False))
    assert verdicts(isolation)[Probe.WRITE_RESULTS] is Verdict.OPEN
    assert isolation.level is not Level.FULL
    assert "student code can write results.json" in isolation.missing


@linux_only
@root_only
def test_an_environment_that_the_jails_user_cannot_read_is_noticed(tmp_path):
    hidden = tmp_path / "home"
    (hidden / "environment").mkdir(parents=True)
    hidden.chmod(0o700)
    limits = replace(LIMITS, readable=(str(hidden / "environment"),), landlock=False)
    assert not run_canary(limits).imports


def test_a_canary_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_canary(CLOSED)
    assert list(tmp_path.iterdir()) == []


def test_findings_come_back_from_their_bytes():
    findings = tuple(Finding(probe, Verdict.OPEN) for probe in Probe)
    assert findings_from_bytes(findings_to_bytes(findings)) == findings
    assert {finding.verdict for finding in findings_from_bytes(findings_to_bytes([]))} == {Verdict.ERROR}


@pytest.mark.parametrize("raw", [b"", b"\0" * 5, b"\7" * 6])
def test_other_bytes_are_no_findings(raw):
    with pytest.raises(ValueError, match=r"findings|Verdict"):
        findings_from_bytes(raw)


def test_nothing_found_is_no_isolation():
    isolation = Isolation((), None, imports=False)
    assert isolation.level is Level.NONE
    assert isolation.missing == ("the probes could not be run",)
