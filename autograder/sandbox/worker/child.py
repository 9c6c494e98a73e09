"""One attempt: reads a request, loads the program, answers the calls in order, and leaves.

The contract with the host: file descriptor REQUEST gives the request and then call after call, and ANSWER
takes a LOAD frame and then one frame per call (see `wire`). The child is confined before any student code
runs. How it ends otherwise is for the host to see.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from mmap import mmap
from typing import Final, NoReturn

from autograder.sandbox import wire
from autograder.sandbox.calls import Answer, Call, Canary, Outcome, Refusal, Refused, RunLimits, TaskMatrices
from autograder.sandbox.isolation import is_readable, try_all
from autograder.sandbox.jail.confine import Plan, close_all_but, confine
from autograder.sandbox.wire import Request
from autograder.sandbox.worker import model, torch_import, values
from autograder.sandbox.worker.loader import LoadedProgram

REQUEST: Final = 3
ANSWER: Final = 4
_write = os.write
_leave = os._exit


def run_child(request_fd: int, answer_fd: int, plan: Plan, progress: mmap) -> NoReturn:
    """Be the child, confined by plan; progress: memory shared with the fork server, for the number of the
    statement that runs. Never returns, whatever happens."""
    try:
        arrange(request_fd, answer_fd)
        _answer_all(plan, progress)
        _leave(0)
    finally:
        _leave(70)


def arrange(request_fd: int, answer_fd: int) -> None:
    """Have a session of its own, the two pipes at REQUEST and ANSWER, /dev/null, and no other descriptor."""
    os.setsid()
    os.chdir("/")
    # Copies first, above both numbers: either may be the other's.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, ANSWER + 1) for fd in (request_fd, answer_fd)]
    for copy, number in zip(copies, (REQUEST, ANSWER), strict=True):
        os.dup2(copy, number)
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


def _answer_all(plan: Plan, progress: mmap) -> None:
    orders = wire.read_orders(open(REQUEST, "rb", closefd=False))  # noqa: SIM115 until the child ends
    request: Request = next(orders)
    limits = request.limits
    importable = [number for number, path in enumerate(sys.path) if is_readable(path)]
    missing = confine(plan, limits.memory, request.cpu_seconds)
    if any(torch_import.META_DEVICE in cell.source for cell in request.cells):
        torch_import.complete()
    model.seed_all(0)
    program = LoadedProgram(request, progress)
    _send(wire.encode(wire.LOAD_INDEX, program.load(), program.labels, limits.text))
    for index, call in enumerate(orders):
        if isinstance(call, Canary):
            outcome: Outcome = try_all(call, missing, [sys.path[number] for number in importable])
        else:
            outcome = answer(program, call, limits)
        frame = wire.encode(index, outcome, program.labels, limits.text)
        if len(frame) > limits.answer:
            frame = wire.encode(index, _too_large(outcome), program.labels, limits.text)
        _send(frame)


def answer(program: LoadedProgram, call: Call, limits: RunLimits) -> Outcome:
    """What comes of a call. Whether its arrays can be sent is seen here, since a frame copies them thrice."""
    try:
        if isinstance(call, TaskMatrices):
            return program.snapshots.answer(call.task)
        made = model.call_model(program.names, call, program.labels)
    except model.Refuse as refusal:
        return Refused(*refusal.args)
    except BaseException as error:
        return values.out_of_memory(error) or values.raised(error, program.labels, limits.text)
    arrays = made.arrays.values()
    odd = [array.dtype for array in arrays if array.dtype not in wire.DTYPES]
    if odd:
        return Refused(Refusal.BAD_DTYPE, str(odd[0]))
    readable = len(arrays) <= wire.MAX_ARRAYS and all(array.ndim <= wire.MAX_DIMENSIONS for array in arrays)
    fits = readable and sum(array.nbytes for array in arrays) <= limits.answer
    return made if fits else _too_large(made)


def _too_large(outcome: Outcome) -> Refused:
    arrays = outcome.arrays if isinstance(outcome, Answer) else {}
    largest = max((array.nbytes for array in arrays.values()), default=0)
    large = [f"{name} {array.shape}" for name, array in arrays.items() if 2 * array.nbytes >= largest]
    return Refused(Refusal.TOO_LARGE, ", ".join(large[:4]))


def _send(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_write(ANSWER, view) :]
