"""One attempt: reads a request, loads the program, answers the calls in order, and leaves.

The contract with the host: file descriptor REQUEST gives the request and then call after call, and ANSWER
takes a LOAD frame and then one frame per call (see `wire`). The child is confined before any student code
runs. How it ends otherwise is for the host to see.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any, Final, NoReturn

from autograder.sandbox import wire
from autograder.sandbox.calls import Answer, Call, Canary, Outcome, Refusal, Refused, TaskMatrices
from autograder.sandbox.isolation import is_readable, try_all
from autograder.sandbox.jail.confine import Plan, close_all_but, confine
from autograder.sandbox.wire import Request
from autograder.sandbox.worker import model, torch_import, values
from autograder.sandbox.worker.loader import Loader, Program

REQUEST: Final = 3
ANSWER: Final = 4
_read = os.read
_write = os.write
_leave = os._exit


@dataclass(frozen=True)
class Jail:
    """What the fork server found out about this machine, once.

    progress: memory that it shares with the child, for the number of the statement that runs.
    """

    plan: Plan
    progress: mmap


def run(request_fd: int, answer_fd: int, jail: Jail) -> NoReturn:
    """Be the child. Never returns, whatever happens."""
    try:
        arrange(request_fd, answer_fd)
        _answer_all(_read_order(), jail)
        _leave(0)
    finally:
        _leave(70)


def arrange(request_fd: int, answer_fd: int) -> None:
    """Have a session of its own, the two pipes at REQUEST and ANSWER, /dev/null, and no other descriptor."""
    os.setsid()
    os.chdir("/")
    safe_request, safe_answer = os.dup(request_fd), os.dup(answer_fd)
    low = [fd for fd in (safe_request, safe_answer) if fd <= ANSWER]
    if low:  # 0, 1, 2 and the fork server's own are open, so that this cannot be
        raise RuntimeError("file descriptors are not as expected")
    os.dup2(safe_request, REQUEST)
    os.dup2(safe_answer, ANSWER)
    null = os.open(os.devnull, os.O_RDWR)  # of this attempt alone: its flags are shared by all who hold it
    for standard in range(3):
        os.dup2(null, standard)
    close_all_but(range(ANSWER + 1))
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 /dev/null, for good
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 the same
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 the same
    gc.enable()


def _read_order() -> Any:
    """The request, or the next call; None when the host asks no more."""
    head = _read_exactly(wire.LENGTH.size)
    return wire.decode_order(_read_exactly(*wire.LENGTH.unpack(head))) if head else None


def _read_exactly(count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = _read(REQUEST, min(count - len(parts), 1 << 20))
        if not part and not parts:
            return b""
        if not part:
            raise EOFError("the host is gone")
        parts += part
    return bytes(parts)


def _answer_all(request: Request, jail: Jail) -> None:
    labels = {cell.label: number for number, cell in enumerate(request.cells)}
    limits = request.limits
    max_text = limits.text
    importable = [number for number, path in enumerate(sys.path) if is_readable(path)]
    missing = confine(jail.plan, limits.memory, request.cpu_seconds)
    if any(torch_import.META_DEVICE in cell.source for cell in request.cells):
        torch_import.complete()
    model.seed_all(0)

    def progress(number: int) -> None:
        jail.progress[:4] = number.to_bytes(4, "little")

    program = Loader(request, labels, progress).load()
    _send(wire.encode(wire.LOAD_INDEX, program.report, labels, max_text))
    for index in itertools.count():
        call = _read_order()
        if call is None:
            return
        if isinstance(call, Canary):
            outcome: Outcome = try_all(call, missing, [sys.path[number] for number in importable])
        else:
            outcome = _sendable(_outcome(program, call, labels, max_text), limits.answer)
        frame = wire.encode(index, outcome, labels, max_text)
        if len(frame) > limits.answer:
            frame = wire.encode(index, _too_large(outcome), labels, max_text)
        _send(frame)


def _outcome(program: Program, call: Call, labels: Mapping[str, int], max_text: int) -> Outcome:
    try:
        if isinstance(call, TaskMatrices):
            return program.snapshots.answer(call.task)
        return model.answer(program.namespace, call, labels)
    except model.Refuse as refusal:
        return Refused(refusal.reason, refusal.detail)
    except BaseException as error:
        return values.out_of_memory(error) or values.raised(error, labels, max_text)


def _sendable(outcome: Outcome, max_bytes: int) -> Outcome:
    """The outcome, or why its arrays cannot be sent: found here, since a frame copies them three times."""
    if isinstance(outcome, Answer):
        odd = [array.dtype for array in outcome.arrays.values() if array.dtype not in wire.DTYPES]
        if odd:
            return Refused(Refusal.BAD_DTYPE, str(odd[0]))
        too_many_bytes = sum(array.nbytes for array in outcome.arrays.values()) > max_bytes
        if too_many_bytes or not wire.can_be_sent(outcome):
            return _too_large(outcome)
    return outcome


def _too_large(outcome: Outcome) -> Outcome:
    arrays = outcome.arrays if isinstance(outcome, Answer) else {}
    largest = max((array.nbytes for array in arrays.values()), default=0)
    large = [f"{name} {array.shape}" for name, array in arrays.items() if 2 * array.nbytes >= largest]
    return Refused(Refusal.TOO_LARGE, ", ".join(large[:4]))


def _send(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_write(ANSWER, view) :]
