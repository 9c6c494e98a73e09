"""An attempt of our own: what student code could do in this jail, tried in a fork of this fork server.

The contract with the host: REQUEST gives, separated by NUL, the path of a secret, that of results, and the
grader's process id; ANSWER takes a `Confinement`, the findings, and one byte: whether the environment's
modules can be imported.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final, NoReturn

from autograder.sandbox.jail import confine
from autograder.sandbox.jail.isolation import findings_to_bytes
from autograder.sandbox.jail.probes import is_readable, run_probes
from autograder.sandbox.worker.child import ANSWER, REQUEST, Jail, arrange

_MEMORY_BYTES: Final = 1 << 28
_CPU_SECONDS: Final = 10
_REQUEST_BYTES: Final = 1 << 14


def run(request_fd: int, answer_fd: int, jail: Jail) -> NoReturn:
    """Be the canary. Never returns, whatever happens."""
    try:
        arrange(request_fd, answer_fd)
        secret, results, grader = os.read(REQUEST, _REQUEST_BYTES).split(b"\0")
        limits = replace(jail.limits, memory_bytes=_MEMORY_BYTES, cpu_seconds=_CPU_SECONDS)
        confinement = confine(limits, jail.plan)
        findings = run_probes(os.fsdecode(secret), os.fsdecode(results), (os.getppid(), int(grader)))
        imports = bytes([all(is_readable(path) for path in limits.readable)])
        os.write(ANSWER, confinement.to_bytes() + findings_to_bytes(findings) + imports)
    finally:
        os._exit(0)
