"""Sends a canary through a fork server into a real jail, and reads what it could do there."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from pathlib import Path
from typing import Final

from autograder.errors import SandboxFault
from autograder.sandbox.attempt import receive_exactly
from autograder.sandbox.jail import Confinement, Layer
from autograder.sandbox.jail.isolation import Isolation, findings_from_bytes
from autograder.sandbox.worker.server import ENDED, KILL, PROBE, REPORT

_SECONDS: Final = 30.0
_UNKNOWN: Final = Isolation((), None, imports=False)


def probe(control: socket.socket) -> Isolation:
    """What a jail holds here: what cannot be tried is not held. Raises SandboxFault."""
    with tempfile.TemporaryDirectory(prefix="canary-") as folder:
        secret, results = Path(folder, "secret"), Path(folder, "results.json")
        secret.touch()
        results.touch()
        request = b"\0".join([os.fsencode(secret), os.fsencode(results), str(os.getpid()).encode()])
        raw = _ask(control, request)
    confinement, findings = raw[: len(Layer)], raw[len(Layer) : -1]
    try:
        return Isolation(
            findings_from_bytes(findings), Confinement.from_bytes(confinement), imports=raw[-1:] == b"\1"
        )
    except ValueError:
        return _UNKNOWN


def _ask(control: socket.socket, request: bytes) -> bytes:
    """Fork, wait until the fork is gone, and return what it wrote: a few bytes, which any pipe holds."""
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    try:
        try:
            os.write(request_write, request)
            socket.send_fds(control, [PROBE], [request_read, answer_write])
        except OSError as error:
            raise SandboxFault(f"the fork server is gone: {error}") from error
        finally:
            os.close(request_read)
            os.close(answer_write)
        _wait_for_the_end(control)
        os.set_blocking(answer_read, False)
        try:
            return os.read(answer_read, 1 << 10)
        except BlockingIOError:
            return b""
    finally:
        os.close(request_write)
        os.close(answer_read)


def _wait_for_the_end(control: socket.socket) -> None:
    if _hears_the_end(control):
        return
    control.sendall(KILL)
    if not _hears_the_end(control):
        raise SandboxFault("the fork server does not end its child")


def _hears_the_end(control: socket.socket) -> bool:
    while select.select([control], [], [], _SECONDS)[0]:
        if REPORT.unpack(receive_exactly(control, REPORT.size))[0] == ENDED:
            return True
    return False
