"""Sends a canary of our own into a real jail and reports what it could do there.

Run by the grader as `run_canary`. A process of its own stands where the zygote stands, so that the canary is
forked the way student code is: from a parent that is guarded, below a grader that is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from .confine import close_all_but, confine, prepare
from .grader import guard_grader
from .isolation import Isolation, findings_from_bytes, findings_to_bytes
from .probes import is_readable, run_probes
from .types import Confinement, Layer, Limits

_SECONDS: Final = 20.0
_ROOT: Final = Path(__file__).resolve().parents[3]
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from autograder.sandbox.lockdown.canary import stand_in_for_the_zygote as go; go(*sys.argv[2:])"
)


def run_canary(limits: Limits) -> Isolation:
    """What a jail with these limits holds on this machine. Never raises: what cannot be tried is not held."""
    try:
        with tempfile.TemporaryDirectory(prefix="canary-") as folder:
            secret, results = Path(folder, "secret"), Path(folder, "results.json")
            secret.write_text("secret", encoding="ascii")
            results.write_text("{}", encoding="ascii")
            raw = _ask(limits, secret, results)
        confinement, findings = raw[: len(Layer)], raw[len(Layer) : -1]
        return Isolation(
            findings_from_bytes(findings), Confinement.from_bytes(confinement), imports=raw[-1:] == b"\1"
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return Isolation((), None, imports=False)


def _ask(limits: Limits, secret: Path, results: Path) -> bytes:
    switches = [str(int(switch)) for switch in (limits.user, limits.landlock, limits.system_calls)]
    numbers = [str(number) for number in (limits.memory_bytes, limits.cpu_seconds)]
    arguments = [str(secret), str(results), str(os.getpid()), *numbers, *switches, *limits.readable]
    done = subprocess.run(  # noqa: S603  (our own interpreter and code)
        [sys.executable, "-I", "-c", _START, str(_ROOT), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=True,
        env={},
    )
    return done.stdout


def stand_in_for_the_zygote(
    secret: str,
    results: str,
    grader: str,
    memory_bytes: str,
    cpu_seconds: str,
    user: str,
    landlock: str,
    system_calls: str,
    *readable: str,
) -> None:
    """Fork the canary. It writes to standard output: a `Confinement`, findings, and whether it can import."""
    guard_grader()
    limits = Limits(
        readable=readable,
        memory_bytes=int(memory_bytes),
        cpu_seconds=int(cpu_seconds),
        user=user == "1",
        landlock=landlock == "1",
        system_calls=system_calls == "1",
    )
    plan = prepare(limits)
    zygote = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.chdir("/")
            close_all_but({0, 1, 2})
            confinement = confine(limits, plan)
            findings = run_probes(secret, results, (zygote, int(grader)))
            imports = bytes([all(is_readable(path) for path in limits.readable)])
            os.write(1, confinement.to_bytes() + findings_to_bytes(findings) + imports)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
