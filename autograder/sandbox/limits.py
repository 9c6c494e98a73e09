"""The limits of one run, as the host sends them to the worker: the worker may not read `settings`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunLimits:
    """What one run of a program may use. Times in seconds, sizes in bytes.

    load_cpu: CPU time for the program's statements, before the running one is stopped.
    call_cpu: CPU time for one call. wall_factor: wall-clock limits are the CPU limits times this.
    failed_attempts: after so many attempts that died, the calls left are not run.
    memory: address space beyond what the fork server has mapped.
    answer: one answer. text: one text from the student's code. items: numbers in one matrix.
    """

    load_cpu: float
    call_cpu: float
    wall_factor: float
    failed_attempts: int
    memory: int
    answer: int
    text: int
    items: int
