from __future__ import annotations

import pytest

from autograder.sandbox.isolation import (
    Finding,
    Isolation,
    Level,
    Probe,
    Verdict,
    findings_from_bytes,
    findings_to_bytes,
)


def test_findings_come_back_from_their_bytes():
    findings = tuple(Finding(probe, Verdict.OPEN) for probe in Probe)
    assert findings_from_bytes(findings_to_bytes(findings)) == findings
    assert {finding.verdict for finding in findings_from_bytes(findings_to_bytes([]))} == {Verdict.ERROR}


@pytest.mark.parametrize("raw", [b"", b"\0" * 6, b"\7" * 7])
def test_other_bytes_are_no_findings(raw):
    with pytest.raises(ValueError, match=r"findings|Verdict"):
        findings_from_bytes(raw)


def test_nothing_found_is_no_isolation():
    isolation = Isolation((), None, imports=False)
    assert isolation.level is Level.NONE
    assert isolation.missing == ("the probes could not be run",)


def test_what_could_not_be_tried_is_not_held():
    findings = tuple(Finding(probe, Verdict.HELD) for probe in list(Probe)[1:])
    isolation = Isolation((*findings, Finding(next(iter(Probe)), Verdict.ERROR)), None, imports=True)
    assert isolation.level is Level.REDUCED
    assert isolation.missing == ("not known: read the grader's files",)
