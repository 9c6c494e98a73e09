"""How far a machine isolates the student's code: what probes inside a real jail found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .types import Confinement


class Probe(Enum):
    """Something forbidden that is tried in the jail; the value says what the code could do if it is open."""

    READ_SECRET = "read the grader's files"  # noqa: S105  (words for staff, no secret)
    WRITE_RESULTS = "write results.json"
    SOCKET = "open a network connection"
    FORK = "start processes"
    SIGNAL_PARENT = "send signals to the grader"
    PARENT_MEMORY = "read the grader's memory"


class Verdict(Enum):
    """What became of a probe. ERROR: it could not be tried, so nothing is known."""

    HELD = 0
    OPEN = 1
    ERROR = 2


class Level(Enum):
    """FULL: every probe was held. NONE: not one was. REDUCED: anything between."""

    FULL = "full"
    REDUCED = "reduced"
    NONE = "none"


@dataclass(frozen=True)
class Finding:
    """One probe and what became of it."""

    probe: Probe
    verdict: Verdict


@dataclass(frozen=True)
class Isolation:
    """What a jail on this machine holds. confinement None: the jail could not be entered at all.

    imports: code in the jail can import the environment's modules, as honest code may have to.
    """

    findings: tuple[Finding, ...]
    confinement: Confinement | None
    imports: bool

    @property
    def level(self) -> Level:
        """In one word."""
        held = sum(finding.verdict is Verdict.HELD for finding in self.findings)
        if not held:
            return Level.NONE
        return Level.FULL if held == len(Probe) else Level.REDUCED

    @property
    def missing(self) -> tuple[str, ...]:
        """What does not hold, in words: first what is open, then what could not be tried."""
        can = [
            f"student code can {finding.probe.value}"
            for finding in self.findings
            if _is(finding, Verdict.OPEN)
        ]
        unknown = [
            f"not known: {finding.probe.value}" for finding in self.findings if _is(finding, Verdict.ERROR)
        ]
        return (*can, *unknown) if self.findings else ("the probes could not be run",)


def findings_to_bytes(findings: Iterable[Finding]) -> bytes:
    """One byte per probe, in the order of `Probe`; a probe that is not there is an ERROR."""
    verdicts = {finding.probe: finding.verdict for finding in findings}
    return bytes(verdicts.get(probe, Verdict.ERROR).value for probe in Probe)


def findings_from_bytes(raw: bytes) -> tuple[Finding, ...]:
    """Undo `findings_to_bytes`. Raises ValueError if raw is not what that gives."""
    if len(raw) != len(Probe):
        raise ValueError(f"findings are {len(Probe)} bytes long, these are {len(raw)}")
    return tuple(Finding(probe, Verdict(value)) for probe, value in zip(Probe, raw, strict=True))


def _is(finding: Finding, verdict: Verdict) -> bool:
    return finding.verdict is verdict
