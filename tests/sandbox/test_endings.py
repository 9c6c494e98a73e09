"""However a child ends, that is one outcome of one call, and the next call is answered in a new fork."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autograder.assignment import Task
from autograder.sandbox import wire
from autograder.sandbox.calls import (
    Answer,
    Call,
    Cell,
    End,
    Ended,
    Gradients,
    LoadReport,
    Outcome,
    Raised,
    Refused,
    StatementFate,
    TaskMatrices,
    Transcript,
)
from autograder.sandbox.host import Allowance, ForkServer
from tests.sandbox.model import HONEST, IMPATIENT, SHORT, TRIGGER, program


def run(
    fork_server: ForkServer, action: str, calls: tuple[Call, ...] = (HONEST, TRIGGER, HONEST)
) -> Transcript:
    limits = IMPATIENT if "sleep(60)" in action else SHORT
    return fork_server.run(program(action), calls, limits)


def is_honest(outcome: Outcome) -> bool:
    return isinstance(outcome, Answer) and np.array_equal(outcome.arrays["output"], np.ones((2, 2)))


KILLED_BY_ITSELF = [
    ("ctypes.string_at(0)", Ended(End.SIGNAL, "SIGSEGV")),
    ("os._exit(0)", Ended(End.EXIT, "exit status 0")),
    ("os._exit(3)", Ended(End.EXIT, "exit status 3")),
    ("os.abort()", Ended(End.SIGNAL, "SIGABRT")),
    ("while True: pass", Ended(End.CPU_TIME, "1 s")),
    ("time.sleep(60)", Ended(End.WALL_TIME, "2 s")),
    ("os.kill(os.getpid(), 19); time.sleep(60)", Ended(End.WALL_TIME, "2 s")),
    ("torch.ones(3 * 2**28)", Ended(End.MEMORY, "torch could not allocate memory")),
    ("bytearray(3 * 2**30)", Ended(End.MEMORY, "MemoryError")),
    ("__import__('numpy').ones(3 * 2**27)", Ended(End.MEMORY, "MemoryError")),
]


@pytest.mark.parametrize(
    ("action", "ending"), KILLED_BY_ITSELF, ids=[case[0][:30] for case in KILLED_BY_ITSELF]
)
def test_an_attempt_that_dies_costs_one_call(fork_server: ForkServer, action: str, ending: Ended) -> None:
    got = run(fork_server, action)
    assert isinstance(got.load, LoadReport)
    assert got.outcomes[1] == ending
    assert is_honest(got.outcomes[0])
    assert is_honest(got.outcomes[2])


RAISING = [
    ("sys.exit('done')", "SystemExit", "done"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    ("raise GeneratorExit", "GeneratorExit", ""),
    ("input()", "EOFError", "EOF when reading a line"),
    ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd", ""),
    ("raise type('Long', (Exception,), {'__str__': lambda self: 'x' * 10**8})", "Long", "x" * SHORT.text),
    ("raise ValueError('\\ud800 and \\x00')", "ValueError", "? and \\x00"),
    ("raise ValueError(hex(id(object())))", "ValueError", "0x…"),
    ("raise ExceptionGroup('two', [ValueError()])", "ExceptionGroup", "two (1 sub-exception)"),
]


@pytest.mark.parametrize(
    ("action", "name", "message"), RAISING, ids=[case[1] + case[2][:9] for case in RAISING]
)
def test_what_is_raised_is_told_and_costs_one_call(
    fork_server: ForkServer, action: str, name: str, message: str
) -> None:
    if name == "ExceptionGroup" and sys.version_info < (3, 11):
        pytest.skip("exception groups came with Python 3.11")
    got = run(fork_server, action)
    raised = got.outcomes[1]
    assert isinstance(raised, Raised)
    assert (raised.type_name, raised.message) == (name, message)
    assert raised.trace[-1].text.startswith(action[:20])
    assert is_honest(got.outcomes[0])
    assert is_honest(got.outcomes[2])


def test_endless_recursion_is_told_in_a_few_lines(fork_server: ForkServer) -> None:
    got = run(fork_server, "return self.forward(seq)")
    raised = got.outcomes[1]
    assert isinstance(raised, Raised)
    assert raised.type_name == "RecursionError"
    assert 2 <= len(raised.trace) <= 8


def test_prints_cost_nothing_and_go_nowhere(fork_server: ForkServer) -> None:
    got = run(fork_server, "for _ in range(1000): print('x' * 100_000)")
    assert isinstance(got.outcomes[1], Answer)


def frame(kind: int, index: int, length: int, payload: bytes) -> str:
    return f"os.write(4, {struct.pack('<4sBII', b'AGF1', kind, index, length) + payload!r})"


GARBAGE = {
    "noise": "os.write(4, b'x' * 1000)",
    "a flood": "while True: os.write(4, b'AGF1' * 10_000)",
    "a frame of another call": frame(wire.REFUSED, 7, 3, bytes(3)),
    "a second load report": frame(wire.LOAD, wire.LOAD_INDEX, 9, bytes(9)),
    "a frame longer than allowed": frame(wire.ANSWER, 1, 2**32 - 1, b""),
    "a frame that claims a giant array": frame(wire.ANSWER, 1, 25, b"\1\0\0\0\0\0\1\2" + b"\xff" * 17),
    "half a frame": "os.write(4, b'AGF1\\x02\\x01'), os._exit(0)",
    "a refusal that is none": frame(wire.REFUSED, 1, 3, b"\xff\0\0"),
}


@pytest.mark.parametrize("action", GARBAGE.values(), ids=GARBAGE)
def test_garbage_in_the_channel_ends_the_attempt(fork_server: ForkServer, action: str) -> None:
    got = run(fork_server, action)
    ending = got.outcomes[1]
    assert isinstance(ending, Ended)
    assert ending.reason is End.GARBAGE
    assert is_honest(got.outcomes[0])
    assert is_honest(got.outcomes[2])


def test_a_forged_answer_stands_for_its_own_call_and_no_other(fork_server: ForkServer) -> None:
    forged = frame(wire.REFUSED, 1, 3, bytes(3))
    got = run(fork_server, f"while True: {forged}", (HONEST, TRIGGER, HONEST, HONEST))
    assert isinstance(got.outcomes[1], Refused)
    assert got.outcomes[2] == Ended(End.GARBAGE, "a frame came out of turn")
    assert is_honest(got.outcomes[3])


def test_closing_the_channel_is_an_exit(fork_server: ForkServer) -> None:
    got = run(fork_server, "os.close(4)")
    ending = got.outcomes[1]
    assert isinstance(ending, Ended)
    assert is_honest(got.outcomes[2])


def test_after_enough_dead_attempts_the_calls_left_are_not_run(fork_server: ForkServer) -> None:
    got = run(fork_server, "os._exit(1)", (TRIGGER,) * 5 + (HONEST,))
    reasons = [outcome.reason for outcome in got.outcomes if isinstance(outcome, Ended)]
    assert reasons == [End.EXIT] * 3 + [End.NOT_RUN] * 3


def test_a_thread_that_lives_on_is_gone_with_the_child(fork_server: ForkServer) -> None:
    got = run(fork_server, "threading.Thread(target=time.sleep, args=(600,)).start()")
    assert isinstance(got.outcomes[1], Answer)
    assert is_honest(got.outcomes[2])


def test_a_fork_leaves_no_process_behind(fork_server: ForkServer) -> None:
    action = "\n            ".join(
        ["try:", "    if os.fork() == 0: os.setsid(), time.sleep(600), os._exit(0)", "except OSError: pass"]
    )
    got = run(fork_server, action)
    assert isinstance(got.outcomes[1], Answer)
    assert descendants(fork_server_pid(fork_server)) == []


def test_a_statement_that_hangs_and_will_not_stop_is_left_out_the_next_time(fork_server: ForkServer) -> None:
    stubborn = (
        "if True:\n    import signal\n    signal.signal(signal.SIGPROF, signal.SIG_IGN)\n    while True: pass"
    )
    got = fork_server.run(program(beside=stubborn), [HONEST], SHORT)
    assert isinstance(got.load, LoadReport)
    ended = [item for item in got.load.statements if item.fate is StatementFate.ENDED]
    assert [item.error for item in ended] == [Raised("CPU_TIME", "0.5 s")]
    assert is_honest(got.outcomes[0])


def test_a_statement_that_sleeps_is_left_out_the_next_time(fork_server: ForkServer) -> None:
    got = fork_server.run(program(beside="x = __import__('time').sleep(600)"), [HONEST], IMPATIENT)
    assert isinstance(got.load, LoadReport)
    assert is_honest(got.outcomes[0])


@pytest.mark.parametrize(
    ("leaving", "told"),
    [
        ("os._exit(0)", Raised("SystemExit", "os._exit(0)")),
        ("os.kill(os.getpid(), 9)", Raised("SystemExit", "os.kill(os.getpid(), 9)")),
        ("__import__('signal').raise_signal(9)", Raised("SystemExit", "signal.raise_signal(9)")),
        ("ctypes.string_at(0)", Raised("SIGNAL", "SIGSEGV")),
    ],
)
def test_a_statement_that_ends_the_process_costs_only_itself(
    fork_server: ForkServer, leaving: str, told: object
) -> None:
    got = fork_server.run(program(beside=f"{leaving}\nx = []\nx.append(1)\nassert x == [1]"), [HONEST], SHORT)
    assert isinstance(got.load, LoadReport)
    (statement,) = got.load.statements
    error = statement.error
    assert error is not None
    assert told in (error.type_name, Raised(error.type_name, error.message))
    assert is_honest(got.outcomes[0])


def test_a_program_that_dies_at_every_load_ends_with_that(fork_server: ForkServer) -> None:
    deadly = "@lambda f: ctypes.string_at(0)\ndef f(): pass\n"
    got = fork_server.run(program(beside=3 * deadly), [HONEST], SHORT)
    assert got.load == Ended(End.SIGNAL, "SIGSEGV")
    assert got.outcomes == (Ended(End.NOT_RUN),)


def test_the_same_program_gives_the_same_transcript(fork_server: ForkServer) -> None:
    beside = "import random\nTO_SAVE = {'a', 'b', 'c'}\nraise ValueError(str(TO_SAVE) + str(random.random()))"
    runs = [repr(fork_server.run(program(beside=beside), [HONEST, TRIGGER])) for _ in range(2)]
    with ForkServer() as another:
        runs.append(repr(another.run(program(beside=beside), [HONEST, TRIGGER])))
    assert runs[0] == runs[1] == runs[2]


def test_nothing_of_one_run_is_seen_in_the_next(fork_server: ForkServer) -> None:
    fork_server.run(
        program(beside="import builtins, torch\nbuiltins.secret = 1\ntorch.softmax = None"), [HONEST]
    )
    got = fork_server.run(program(beside="secret"), [HONEST])
    assert isinstance(got.load, LoadReport)
    assert got.load.statements[0].error is not None
    assert got.load.statements[0].error.type_name == "NameError"


def test_the_grader_cannot_be_imported(fork_server: ForkServer) -> None:
    for name in ("reference", "autograder", "autograder.checks", "autograder.settings"):
        got = fork_server.run(program(beside=f"import {name}"), [])
        assert isinstance(got.load, LoadReport)
        assert got.load.absent == (name.partition(".")[0],)


def test_many_runs_leak_neither_descriptors_nor_memory(fork_server: ForkServer) -> None:
    fork_server.run(program(), [HONEST])
    pid = fork_server_pid(fork_server)
    before = open_files(os.getpid()), open_files(pid), memory_kib(pid)
    for _ in range(100):
        fork_server.run(program(), [])
    assert (open_files(os.getpid()), open_files(pid)) == before[:2]
    assert memory_kib(pid) - before[2] < 1024
    assert descendants(pid) == []


def test_the_fork_server_goes_when_the_grader_is_killed() -> None:
    script = (
        "from autograder.sandbox.host import ForkServer; import time\n"
        "fork_server = ForkServer(); fork_server.run([], [])\n"
        "print(fork_server._launched.process.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as grader:
        assert grader.stdout is not None
        pid = int(grader.stdout.readline())
        grader.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_a_fork_server_that_was_killed_is_named_as_the_graders_fault_and_replaced() -> None:
    from autograder.errors import SandboxFault

    with ForkServer() as fork_server:
        fork_server.run(program(), [HONEST])
        os.kill(fork_server_pid(fork_server), 9)
        with pytest.raises(SandboxFault):
            fork_server.run(program(), [HONEST])
        assert is_honest(fork_server.run(program(), [HONEST]).outcomes[0])


def fork_server_pid(fork_server: ForkServer) -> int:
    assert fork_server._launched is not None
    return fork_server._launched.process.pid


def descendants(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory_kib(pid: int) -> int:
    return next(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line[:5] == "VmRSS"
    )


def test_all_attempts_of_an_upload_share_one_allowance_by_the_clock(fork_server: ForkServer) -> None:
    slow = program("time.sleep(2)")
    allowance = Allowance(wall_left=3.0)
    got = fork_server.run(slow, [HONEST, TRIGGER, TRIGGER, HONEST], SHORT, allowance=allowance)
    used_up = Ended(End.USED_UP, "3 s")
    assert [type(outcome) for outcome in got.outcomes[:2]] == [Answer, Answer]
    assert got.outcomes[2:] == (used_up, used_up)
    again = fork_server.run(program(), [HONEST], SHORT, allowance=allowance)
    assert again == Transcript(used_up, (used_up,))


def test_all_attempts_of_an_upload_share_one_allowance_of_cpu_time(fork_server: ForkServer) -> None:
    burn = "def burn():\n    while time.process_time() < 0.5: pass\n    os._exit(1)"
    dies = program("burn()", burn)
    allowance = Allowance(cpu_left=0.7)
    got = fork_server.run(dies, [TRIGGER, TRIGGER, TRIGGER, TRIGGER], SHORT, allowance=allowance)
    used_up = Ended(End.USED_UP, "0.7 s of CPU time")
    assert got.outcomes[0] == Ended(End.EXIT, "exit status 1")
    assert got.outcomes[2:] == (used_up, used_up)


_LOOK_AROUND = """
import gc, select
def look_around():
    waiting = select.select([3], [], [], 0.2)[0]
    kinds = {type(held).__name__ for held in gc.get_objects()}
    frame = sys._getframe()
    while frame is not None:
        kinds |= {type(held).__name__ for held in frame.f_locals.values()}
        frame = frame.f_back
    raise ValueError(f"{len(waiting)} {sorted(kinds & {'Forward', 'Gradients', 'Sizes'})}")
"""


def test_a_call_is_nowhere_before_it_is_asked(fork_server: ForkServer) -> None:
    later = Gradients(HONEST.sizes, HONEST.weights, HONEST.seq, np.ones((2, 2)))
    cells = [*program("look_around()", _LOOK_AROUND), Cell("cell 3", "look_around()")]
    got = fork_server.run(cells, [TRIGGER, later], SHORT)
    assert isinstance(got.load, LoadReport)
    [failed] = got.load.statements
    assert failed.error is not None
    assert failed.error.message == "0 []"
    assert isinstance(got.outcomes[0], Raised)
    assert got.outcomes[0].message == "0 ['Forward', 'Sizes']"


_FORGE = """
import struct
def frame(kind, index, payload):
    return struct.pack("<4sBII", b"AGF1", kind, index, len(payload)) + payload
def matrix(name, columns):
    return struct.pack("<H", 2) + name + struct.pack("<BB2Q", 2, 2, 1, columns) + bytes(8 * columns)
data = LOAD
data += frame(2, 0, struct.pack("<I", 3) + matrix(b"Km", COLUMNS) + matrix(b"Qm", 1) + matrix(b"Vm", 1))
while data: data = data[os.write(4, data):]
time.sleep(60)
"""


@pytest.mark.parametrize(("columns", "taken"), [(SHORT.items, True), (SHORT.items + 1, False)])
def test_forged_matrices_are_held_to_their_size(fork_server: ForkServer, columns: int, taken: bool) -> None:
    load = wire.encode(wire.LOAD_INDEX, LoadReport((), (), definitions_only=False), {}, 100)
    cells = program(beside=_FORGE.replace("COLUMNS", str(columns)).replace("LOAD", repr(load)))
    [outcome] = fork_server.run(cells, [TaskMatrices(Task.CONTENT)], IMPATIENT).outcomes
    if taken:
        assert isinstance(outcome, Answer)
    else:
        assert outcome == Ended(End.GARBAGE, "the answer has not the form of its call")


def test_what_an_attempt_does_to_its_standard_files_is_gone_with_it(fork_server: ForkServer) -> None:
    look = "raise ValueError(str([fcntl.fcntl(n, fcntl.F_GETFL) & os.O_APPEND for n in range(3)]))"
    sets = "import fcntl\nfor n in range(3): fcntl.fcntl(n, fcntl.F_SETFL, os.O_APPEND)"
    fork_server.run(program(beside=sets), [HONEST], SHORT)
    got = fork_server.run(program(beside=f"import fcntl\n{look}"), [HONEST], SHORT)
    assert isinstance(got.load, LoadReport)
    assert [report.error.message for report in got.load.statements if report.error] == ["[0, 0, 0]"]
