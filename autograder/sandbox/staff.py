"""One line for staff: how far this machine isolates the student's code."""

from __future__ import annotations

from typing import Protocol

from autograder.errors import SandboxFault
from autograder.sandbox.jail.isolation import Isolation, Level


class Probed(Protocol):
    """A sandbox that can be asked: `sandbox.host.ForkServer`."""

    def probe(self) -> Isolation:
        """What a jail on this machine holds. Raises SandboxFault."""
        ...


def isolation_line(sandbox: Probed) -> str:
    """`summarize` for a sandbox that is running. Never raises: a result is not lost for want of this line."""
    try:
        return summarize(sandbox.probe())
    except SandboxFault as error:
        return f"isolation: not known ({error})"


def summarize(isolation: Isolation) -> str:
    """One line for the staff output of every result: "isolation: reduced (student code can ...)"."""
    line = f"isolation: {isolation.level.value}"
    return line if isolation.level is Level.FULL else f"{line} ({'; '.join(isolation.missing)})"
