"""Hostile code against the sandbox, on each kind of machine. One row of a table, one test.

After every attack an honest program gets the answers it got before, no process is left, and no file.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox.calls import Answer, Ended, Outcome, Raised, Refused
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.sandbox.isolation import hide_from_other_users

from .base import CALLS, LEAK, LIMITS, MARK, WRONG_FORWARD, Row, World, body, program
from .machines import MACHINES, ORDINARY_USER, Machine, fork_server_on

HERE = Path(__file__).resolve().parents[2]
FURNITURE = {"metadata.json", "results.json", "source"}
STORES = ("/tmp", "/dev/shm", "/var/tmp")
SECRET = "secret: somebody's address"
X86_ONLY = ("call(", "prot=7")

pytestmark = pytest.mark.slow

SPYING: Mapping[str, Mapping[str, str]] = {
    "the results, forged": {
        "write results.json": "open(RESULTS, 'w').write('{}'); leak()",
        "append to results.json": "os.open(RESULTS, os.O_APPEND | os.O_WRONLY); leak()",
        "truncate results.json": "os.truncate(RESULTS, 0); leak()",
        "rename results.json": "os.rename(RESULTS, RESULTS + MARK); leak()",
        "remove results.json": "os.unlink(RESULTS); leak()",
        "make results.json first": "open(RESULTS + MARK, 'x'); leak()",
        "put a link in its place": "os.symlink('/dev/null', RESULTS + MARK); leak()",
        "make its folder mine": "os.chmod(os.path.dirname(RESULTS), 0o777); leak()",
    },
    "the grader's files": {
        "read the submission's metadata": "leak(open(SECRET).read())",
        "read results.json": "leak(open(RESULTS).read())",
        "list the folder of the results": "leak(os.listdir(FOLDER))",
        "import the reference": """
            sys.path.insert(0, REPOSITORY)
            import reference.transformer as t; leak(vars(t)['__file__'])""",
        "import the checks": """
            sys.path.insert(0, REPOSITORY)
            import autograder.checks as c; leak(vars(c)['__file__'])""",
        "import the settings": "import autograder.settings as s; leak(vars(s)['OTHER_SIZES_SEED'])",
        "read the grader's environment": "leak(open(f'/proc/{GRADER}/environ').read())",
        "find a secret in the environment": """
            if any('secret' in v for v in os.environ.values()): leak(dict(os.environ))""",
        "open a file by the grader's descriptors": "leak(os.listdir(f'/proc/{GRADER}/fd'))",
        "use a descriptor that was left open": """
            for fd in range(5, 256):
                try: os.fstat(fd)
                except OSError: continue
                here = f'/proc/self/fd/{fd}'
                if not any(os.path.isdir(p) and os.path.samefile(p, here) for p in sys.path): leak(fd)
                for name, flags in ((MARK, os.O_CREAT | os.O_WRONLY), ('../' * 20 + SECRET, os.O_RDONLY)):
                    try: os.open(name, flags, dir_fd=fd)
                    except OSError: continue
                    leak(fd, name)""",
    },
    "the grader's memory": {
        "read the fork server's memory": "leak(os.open(f'/proc/{os.getppid()}/mem', os.O_RDONLY))",
        "write the fork server's memory": "leak(os.open(f'/proc/{os.getppid()}/mem', os.O_RDWR))",
        "read the grader's memory": "leak(os.open(f'/proc/{GRADER}/mem', os.O_RDONLY))",
        "copy from the fork server's memory": """
            b = ctypes.create_string_buffer(16); v = struct.pack('PN', ctypes.addressof(b), 16)
            leak(call(310, os.getppid(), v, 1, v, 1, 0))""",
        "copy into the fork server's memory": """
            b = ctypes.create_string_buffer(16); v = struct.pack('PN', ctypes.addressof(b), 16)
            leak(call(311, os.getppid(), v, 1, v, 1, 0))""",
        "trace the fork server": "leak(call(101, 0x4206, os.getppid(), 0, 0))",
        "take a descriptor of the fork server": "leak(call(438, call(434, os.getppid(), 0), 3, 0))",
    },
    "signals and limits at the grader": {
        "kill the fork server": "os.kill(os.getppid(), signal.SIGTERM); leak()",
        "kill the grader": "os.kill(GRADER, 0); leak()",
        "kill everybody": "os.kill(-1, 0); leak()",
        "signal the fork server's thread": "leak(call(234, os.getppid(), os.getppid(), 0))",
        "queue a signal for the grader": "leak(call(129, GRADER, 0, b'\\0' * 128))",
        "have the kernel signal the grader": "import fcntl; fcntl.fcntl(4, 8, GRADER); leak()",
        "limit the grader": "resource.prlimit(GRADER, resource.RLIMIT_CPU, (1, 1)); leak()",
        "slow the grader": "os.setpriority(os.PRIO_PROCESS, GRADER, 19); leak()",
        "pin the grader": "os.sched_setaffinity(GRADER, {0}); leak()",
        "raise its own limits": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); leak()",
        "raise its own limit on files": "resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); leak()",
    },
    "the network": {
        "open a TCP socket": "socket.socket(); leak()",
        "open a datagram socket": "socket.socket(type=socket.SOCK_DGRAM); leak()",
        "open a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); leak()",
        "open a netlink socket": "socket.socket(16, socket.SOCK_RAW, 0); leak()",
        "listen on an abstract socket": "socket.socket(socket.AF_UNIX).bind('\\0' + MARK); leak()",
        "fetch a page": "import urllib.request; leak(urllib.request.urlopen('http://127.0.0.1:9'))",
        "fetch a model": "leak(torch.hub.load_state_dict_from_url('http://127.0.0.1:9/x.pt'))",
    },
    "processes": {
        "fork": """
            pid = os.fork()
            if pid: leak()
            os._exit(0)""",
        "a fork bomb": """
            while True:
                if os.fork() == 0: time.sleep(60)
                leak()""",
        "a grandchild that is a daemon": """
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0: time.sleep(600)
                os._exit(0)
            leak()""",
        "run a command": "import subprocess; leak(subprocess.run(['id'], capture_output=True))",
        "run a shell": "if os.system('true') == 0: leak()",
        "become another program": "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
        "spawn": "leak(os.posix_spawn('/bin/true', ['true'], {}))",
        "clone by hand": """
            p = call(56, 17, 0, 0, 0, 0)
            if p: leak()
            os._exit(0)""",
        "a worker of a data loader": """
            from torch.utils.data import DataLoader
            leak(list(DataLoader([1, 2], num_workers=1, timeout=1)))""",
        "leave the session": "os.setsid(); leak()",
    },
    "a store that outlives the attempt": {
        "a file in /tmp": "open('/tmp/' + MARK, 'w').write('x'); leak()",
        "a file in shared memory": "open('/dev/shm/' + MARK, 'w').write('x'); leak()",
        "an unnamed file": "import tempfile; tempfile.TemporaryFile(); leak()",
        "fill the disk": """
            f = open('/tmp/' + MARK, 'wb')
            while True: f.write(bytes(2**20)); leak()""",
        "SysV shared memory": "leak(call(29, 0x5EED, 4096, 0o1666))",
        "SysV semaphores": "leak(call(64, 0x5EED, 1, 0o1666))",
        "SysV messages": "leak(call(68, 0x5EED, 0o1666))",
        "POSIX messages": "leak(call(240, b'attack\\0', 0o102, 0o600, None))",
        "a keyring": "leak(call(248, b'user\\0', b'attack\\0', b'x', 1, -4))",
        "a file in memory": "leak(call(319, b'attack\\0', 0))",
        "shared tensors": "leak(torch.ones(4).share_memory_())",
    },
    "the kernel": {
        "io_uring": "leak(call(425, 8, ctypes.create_string_buffer(120)))",
        "a user namespace": "leak(call(272, 0x10000000))",
        "a namespace for a thread": "leak(call(56, 0x10000000 | 17, 0, 0, 0, 0))",
        "change root": "os.chroot('/tmp'); leak()",
        "mount": "leak(call(165, b'x\\0', b'/tmp\\0', b'tmpfs\\0', 0, None))",
        "bpf": "leak(call(321, 0, ctypes.create_string_buffer(128), 128))",
        "userfaultfd": "leak(call(323, 0))",
        "perf events": "leak(call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))",
        "another personality": "leak(call(135, 0x0040000))",
        "become root": """
            os.setresuid(0, 0, 0)
            if os.getuid() == 0 and os.path.exists(SECRET): leak()""",
        "outlive the parent": "leak(call(157, 1, 0, 0, 0, 0))",
        "load a library of mine": """
            open('/tmp/' + MARK + '.so', 'wb').write(b'\\x7fELF')
            leak(ctypes.CDLL('/tmp/' + MARK + '.so'))""",
    },
    "hunting in the process": {
        "modules that know what is right": """
            known = [m for m in sys.modules if m.startswith(('reference', 'autograder'))]
            if known: leak(known)""",
        "functions of the reference by gc": """
            names = {getattr(o, '__module__', None) for o in gc.get_objects() if callable(o)}
            graders = ['autograder.' + n for n in ('checks', 'settings', 'feedback', 'results')]
            graders = ('reference', *graders)
            known = [n for n in names if isinstance(n, str) and n.startswith(graders)]
            if known: leak(known)""",
        "expected values in the frames above": """
            frame = sys._getframe()
            while frame:
                if any('expect' in n for n in frame.f_locals): leak(frame)
                frame = frame.f_back""",
        "seeds of the hidden cases by gc": """
            if any(isinstance(o, dict) and 20232 in o.values() for o in gc.get_objects()): leak()""",
        "its own command line": """
            line = open('/proc/self/cmdline').read()
            if REPOSITORY in line: leak(line)""",
    },
}
SPIES = tuple(
    Row(family, name, textwrap.dedent(code).strip())
    for family, attacks in SPYING.items()
    for name, code in attacks.items()
)
"""Attacks that want something which is not theirs. Each calls `leak` if it gets it; its model is honest.

A module that cannot be imported gets a stand-in: only a real one has what `vars` is asked for. The folders
of the environment may be open, where modules are imported by way of their descriptors.
"""

_WRONG = body(WRONG_FORWARD)
_OUT = _WRONG.replace("return ", "out = ")
_FRAME = "b'AGF1' + bytes([{kind}]) + struct.pack('<II', {index}, len(p)) + p"
_ONES = "struct.pack('<BBQQ', 1, 2, 5, 2) + np.ones((5, 2), 'f4').tobytes()"


def _sends(array: str, kind: str = "2", index: str = "0", then: str = "") -> str:
    """A forward that writes an answer of its own into the pipe, and goes on."""
    answer = f"p = struct.pack('<IH', 1, 6) + b'output' + {array}"
    return f"{answer}\nos.write(4, {_FRAME.format(kind=kind, index=index)})\n{then}\n{_WRONG}"


PATCHES = {
    "np.allclose says yes": "np.allclose = lambda *a, **k: True",
    "np.isclose says yes": "np.isclose = lambda a, b, **k: np.ones(np.shape(a), bool)",
    "torch.allclose says yes": "torch.allclose = lambda *a, **k: True",
    "torch.equal says yes": "torch.equal = torch.Tensor.equal = lambda *a: True",
    "every seed is the same": "torch.manual_seed = np.random.seed = random.seed = lambda s: None",
    "json gives what I like": "json.loads = json.load = lambda *a, **k: {'score': 100}",
    "NumPy's testing agrees": "np.testing.assert_allclose = lambda *a, **k: None",
    "assertions are off": "import builtins; builtins.AssertionError = type('E', (BaseException,), {})",
    "os.write is mine": "os.write = lambda fd, data: len(data)",
    "struct is mine": "struct.pack = struct.Struct.pack = None",
    "softmax is mine": "torch.softmax = lambda s, dim: torch.ones_like(s)",
    "random numbers are mine": "torch.randn = lambda *a, **k: torch.zeros(*a)",
    "zeros become what they are compared with": "torch.Tensor.numpy = lambda self: np.zeros((5, 2))",
    "poisoned modules": "sys.modules['numpy'] = sys.modules['torch'] = sys.modules['math'] = None",
}
LIES = {
    "a tensor equal to everything": (
        "class T(torch.Tensor):\n    __eq__ = lambda s, o: True\n    __sub__ = __rsub__ = lambda s, o: 0\n"
        "    __hash__ = None",
        f"{_OUT}\nreturn out.as_subclass(T)",
    ),
    "a tensor that answers for torch": (
        "class T(torch.Tensor):\n    @classmethod\n    def __torch_function__(c, f, t, a=(), k=None):\n"
        "        return torch.zeros(5, 2)",
        f"{_OUT}\nreturn out.as_subclass(T)",
    ),
    "a class that calls itself a tensor": ("class T: __class__ = torch.Tensor", "return T()"),
}
NO_TENSORS = {
    "an object that becomes an array": (
        "class A:\n    shape = (5, 2)\n    def __array__(s, *a, **k): return np.zeros((5, 2))",
        "return A()",
    ),
    "an array equal to everything": (
        "class A(np.ndarray):\n    __eq__ = lambda s, o: True",
        "return np.zeros((5, 2)).view(A)",
    ),
    "an object that pickles itself into code": (
        "class P:\n    def __reduce__(s): return (os._exit, (0,))",
        "return P()",
    ),
    "an array of objects": ("", "return np.array([object()] * 10)"),
}
SHAPES = {
    "a scalar that broadcasts": "out.mean()",
    "one row that broadcasts": "out[:1]",
    "an empty output": "out[:0]",
    "not a number": "out * math.nan",
    "infinity": "out * math.inf",
    "complex numbers": "out.to(torch.complex64)",
    "booleans": "out > 0",
    "a sparse tensor": "out.to_sparse()",
    "a tensor of nothing": "out.to('meta')",
    "a tensor of 64 dimensions": "out.reshape(5, 2, *[1] * 62)",
    "strides of zero that stand for terabytes": "torch.zeros(1).expand(2**40)",
}
FRAMES = {
    "an answer of its own, in time": _sends(_ONES),
    "the same answer again and again": _sends(
        _ONES, then=f"os.write(4, {_FRAME.format(kind='2', index='0')})"
    ),
    "another end of the pipe": f"os.dup2(os.pipe()[1], 4)\n{_WRONG}",
}
GARBAGE = {
    "an answer to a later call": _sends(_ONES, index="2"),
    "an answer cut short": _sends(_ONES, then="os._exit(0)").replace("len(p))", "len(p) + 9)"),
    "an answer that is too long": _sends(_ONES).replace("len(p))", "2**32 - 1)"),
    "more numbers than were sent": _sends(_ONES.replace("5, 2) +", "500, 2) +", 1)),
    "a shape that overflows": _sends("struct.pack('<BBQQ', 1, 2, 2**63, 2**63)"),
    "a dtype that is none": _sends("struct.pack('<BBQ', 99, 1, 0)"),
    "a kind that is none": _sends(_ONES, kind="77"),
    "noise": f"os.write(4, os.urandom(4000))\n{_WRONG}",
    "a report of loading, again": _sends("b''", kind="1", index="2**32 - 1"),
}
TIMES = {
    "right on the second call only": (
        "seen = []",
        f"seen.append(1)\n{_OUT}\nreturn out if len(seen) < 99 else out * 0",
    ),
    "an answer from a cache of an earlier attempt": (
        "store = '/dev/shm/attack-left-this'",
        f"try:\n    return torch.tensor(json.load(open(store)))\nexcept OSError: pass\n{_WRONG}",
    ),
}
CHEATS = (
    *(Row("what compares, patched", name, code) for name, code in PATCHES.items()),
    *(Row("objects that lie", name, *attack) for name, attack in LIES.items()),
    *(Row("objects that lie", name, *attack, ("NOT_A_TENSOR",)) for name, attack in NO_TENSORS.items()),
    *(Row("shapes and numbers that lie", name, "", f"{_OUT}\nreturn {x}") for name, x in SHAPES.items()),
    *(Row("frames, forged", name, "", forward) for name, forward in FRAMES.items()),
    *(Row("frames, forged", name, "", forward, ("GARBAGE",)) for name, forward in GARBAGE.items()),
    *(Row("right at other times only", name, *attack) for name, attack in TIMES.items()),
)
"""Attacks that want a wrong answer to count. The model is wrong, its scores are not scaled, and stays so."""

_TOO_LONG = ("CPU_TIME", "WALL_TIME")
"""Which of the two comes first, on a machine that is busy with other things, is chance."""
_OUT_OF_MEMORY = ("MEMORY", "MemoryError", "OSError", "SIGNAL")
LEAVING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "os._exit": ("os._exit(0)", ("EXIT",)),
    "sys.exit": ("sys.exit(0)", ("SystemExit",)),
    "an interrupt from the keyboard": ("raise KeyboardInterrupt", ("KeyboardInterrupt",)),
    "closing the channel": ("os.close(4)", ("EXIT", "GARBAGE", "NOT_A_TENSOR")),
    "killing itself": ("os.kill(os.getpid(), 9)", ("SIGNAL",)),
}
WAITING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "a loop": ("while True: pass", _TOO_LONG),
    "sleep": ("time.sleep(60)", ("WALL_TIME",)),
    "stopping itself": ("os.kill(os.getpid(), 19); time.sleep(60)", ("WALL_TIME",)),
    "a loop that ignores signals": (
        "for n in set(range(1, 32)) - {9, 19}: signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
        _TOO_LONG,
    ),
    "a lock that nobody opens": ("threading.Lock().acquire() and threading.Event().wait()", ("WALL_TIME",)),
    "reading what never comes": ("os.read(os.pipe()[0], 1)", ("WALL_TIME",)),
    "a number that takes for ever": ("10 ** 10 ** 9", (*_TOO_LONG, *_OUT_OF_MEMORY)),
    "a text that takes for ever": (
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        (*_TOO_LONG, "E"),
    ),
}
EATING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "memory on the heap": ("bytearray(2**31)", _OUT_OF_MEMORY),
    "memory in small pieces": (
        "x = []\nwhile True: x.append(bytearray(2**20))",
        (*_OUT_OF_MEMORY, *_TOO_LONG),
    ),
    "memory in a tensor": ("torch.ones(2**29)", _OUT_OF_MEMORY),
    "memory in a shared map": ("mmap.mmap(-1, 2**31)", _OUT_OF_MEMORY),
    "threads": (
        "for _ in range(5000): threading.Thread(target=time.sleep, args=(60,)).start()",
        ("RuntimeError", *_TOO_LONG, *_OUT_OF_MEMORY),
    ),
    "open files": ("while True: os.dup(1)", ("OSError",)),
    "pipes": ("while True: os.pipe()", ("OSError",)),
    "a flood in the answer": ("return torch.zeros(3000, 3000)", ("TOO_LARGE",)),
    "a flood in the channel": ("while True: os.write(4, bytes(2**16))", ("GARBAGE",)),
    "a flood in an exception": ("raise ValueError('x' * 10**8)", ("ValueError",)),
    "a flood in an exception's name": ("raise type('X' * 10**6, (Exception,), {})", ("X",)),
}
CRASHING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "recursion": ("return self.forward(seq)", ("RecursionError",)),
    "recursion without a limit": (
        "sys.setrecursionlimit(2**30)\nf = lambda x: [*map(f, [x])]\nf(0)",
        ("RecursionError", *_TOO_LONG, *_OUT_OF_MEMORY),
    ),
    "a segmentation fault": ("ctypes.string_at(0)", ("SIGNAL",)),
    "an abort": ("os.abort()", ("SIGNAL",)),
    "a foreign architecture": (
        "m = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
        ("FORBIDDEN", "SIGNAL"),
    ),
}
ENDINGS = (
    *(Row("leaving", name, "", forward, ends) for name, (forward, ends) in LEAVING.items()),
    *(Row("never coming back", name, "", forward, ends) for name, (forward, ends) in WAITING.items()),
    *(Row("eating what there is", name, "", forward, ends) for name, (forward, ends) in EATING.items()),
    *(Row("crashing", name, "", forward, ends) for name, (forward, ends) in CRASHING.items()),
    Row("leaving", "exiting when the program is loaded", after="sys.exit('done')", ends=("Answer",)),
    Row("leaving", "work at exit", "import atexit; atexit.register(time.sleep, 60)", ends=("Answer",)),
    Row(
        "leaving",
        "a thread that lives on",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        ends=("Answer",),
    ),
    Row(
        "eating what there is",
        "a flood of prints",
        after="for _ in range(200): print('x' * 10**6)",
        ends=("Answer",),
    ),
    Row("eating what there is", "a flood of statements that fail", after="1/0\n" * 3000, ends=("Answer",)),
)
"""Attacks that want the grader to stop, wait, or run out of something. The model's forward does it."""


@dataclass(frozen=True)
class Arena:
    """A machine, with a sandbox on it and things worth stealing.

    honest: what an honest program gets there. idle: the processes that are there between two runs.
    """

    fork_server: ForkServer
    world: World
    honest: tuple[Outcome, ...]
    idle: set[int]


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: machine.value)
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    folder = Path(tempfile.mkdtemp(prefix="autograder-"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADERS_TOKEN", SECRET)
        try:
            world = _furnish(folder, request.param)
            with fork_server_on(request.param) as fork_server:
                honest = fork_server.run(program(world, Row("", "")), CALLS).outcomes
                yield Arena(fork_server, world, honest, processes_below(os.getpid()))
        finally:
            shutil.rmtree(folder)


def _furnish(folder: Path, machine: Machine) -> World:
    """The grader's things, as `guard_grader` and `hide_from_other_users` leave them."""
    secret, results, source = folder / "metadata.json", folder / "results.json", folder / "source"
    secret.write_text(SECRET)
    results.write_text('{"score": 0}')
    for package in ("autograder", "reference"):
        shutil.copytree(HERE / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    hide_from_other_users([folder, secret, results, source])
    if machine is Machine.ORDINARY_USER:  # whose grader it is then, too
        for path in (folder, *folder.rglob("*")):
            os.chown(path, ORDINARY_USER, ORDINARY_USER)
    return World(os.getpid(), str(folder), str(secret), str(results), str(source))


def named(rows: tuple[Row, ...]) -> list[object]:
    here = platform.machine() == "x86_64"
    return [
        pytest.param(row, id=f"{row.family}: {row.name}")
        for row in rows
        if here or not any(mark in row.code + row.forward for mark in X86_ONLY)
    ]


@pytest.mark.parametrize("row", named(SPIES))
def test_a_spy_gets_nothing_and_changes_nothing(arena: Arena, row: Row) -> None:
    transcript = arena.fork_server.run(program(arena.world, as_one_statement(row)), CALLS)
    assert LEAK not in repr(transcript)
    assert SECRET not in repr(transcript)
    assert same(transcript.outcomes, arena.honest)
    unharmed(arena)


@pytest.mark.parametrize("row", named(CHEATS))
def test_a_wrong_answer_stays_wrong(arena: Arena, row: Row) -> None:
    transcript = arena.fork_server.run(program(arena.world, row, WRONG_FORWARD), CALLS, LIMITS)
    right = [is_right(got, honest) for got, honest in zip(transcript.outcomes, arena.honest, strict=True)]
    assert right == [False] * len(CALLS)
    assert not row.ends or ending(transcript.outcomes[0]) in row.ends
    unharmed(arena)


@pytest.mark.parametrize("row", named(ENDINGS))
def test_an_attempt_that_will_not_end_well_ends(arena: Arena, row: Row) -> None:
    endless = not {"CPU_TIME", "WALL_TIME"}.isdisjoint(row.ends)
    limits = replace(LIMITS, call_cpu=0.3) if endless else DEFAULT_LIMITS
    transcript = arena.fork_server.run(program(arena.world, row), CALLS[:1], limits)
    assert ending(transcript.outcomes[0]) in row.ends
    assert len(repr(transcript)) < 2_000_000
    unharmed(arena)


def test_a_model_that_is_right_from_its_second_call_on_is_wrong_on_the_first(arena: Arena) -> None:
    late = "seen.append(1)\nscores = self.Qm(seq) @ self.Km(seq).T\nreturn scores @ self.Vm(seq)"
    row = Row("", "", "seen = []", late)
    first = arena.fork_server.run(program(arena.world, row), CALLS).outcomes[0]
    assert not is_right(first, arena.honest[0])


def test_what_an_attempt_leaves_in_memory_the_next_does_not_find(arena: Arena) -> None:
    leave = Row(
        "", "", "import builtins; builtins.left = torch.left = sys.left = 1; os.environ['left'] = '1'"
    )
    arena.fork_server.run(program(arena.world, leave), CALLS[:1])
    look = Row(
        "",
        "",
        "import builtins\nfor o in (builtins, torch, sys):\n    if hasattr(o, 'left'): leak(o)\n"
        "if 'left' in os.environ: leak(os.environ)",
    )
    assert LEAK not in repr(arena.fork_server.run(program(arena.world, look), CALLS[:1]).load)


def test_hostile_text_comes_back_as_text_and_bounded(arena: Arena) -> None:
    text = "<script>alert(1)</script>\\x1b[31m\\u202e\\0\\ud800" + "y" * 100_000
    row = Row("", "", forward=f"raise ValueError('{text}')")
    outcome = arena.fork_server.run(program(arena.world, row), CALLS[:1]).outcomes[0]
    assert isinstance(outcome, Raised)
    assert len(outcome.message) <= LIMITS.text
    assert outcome.message.startswith("<script>")


def test_a_leak_would_be_seen(arena: Arena) -> None:
    transcript = arena.fork_server.run(program(arena.world, Row("", "", "leak(1)")), CALLS[:1])
    assert LEAK in repr(transcript.load)
    right = arena.fork_server.run(program(arena.world, Row("", "")), CALLS)
    assert all(is_right(got, honest) for got, honest in zip(right.outcomes, arena.honest, strict=True))


def unharmed(arena: Arena) -> None:
    """After the attack: the same answers for the honest, no process left, no file left."""
    again = arena.fork_server.run(program(arena.world, Row("", "")), CALLS)
    assert same(again.outcomes, arena.honest)
    assert Path(arena.world.results).read_text() == '{"score": 0}'
    assert processes_below(os.getpid()) <= arena.idle
    stores = [Path(store) for store in STORES if Path(store).is_dir()]
    assert [path for store in stores for path in store.iterdir() if MARK in path.name] == []
    assert {path.name for path in Path(arena.world.folder).iterdir()} == FURNITURE
    if (segments := Path("/proc/sysvipc/shm")).exists():
        assert str(0x5EED) not in segments.read_text().split()


def as_one_statement(row: Row) -> Row:
    """So that `leak` is not reached when what comes before it fails: the loader would go on with it."""
    return replace(row, code="def attack():\n" + textwrap.indent(row.code, "    ") + "\nattack()")


def ending(outcome: Outcome) -> str:
    """The name of how a call ended: an `End`, a refusal, an exception (its initial, if long), or Answer."""
    if isinstance(outcome, (Ended, Refused)):
        return outcome.reason.name
    if isinstance(outcome, Raised):
        return outcome.type_name if len(outcome.type_name) < 40 else outcome.type_name[0]
    return "Answer"


def same(got: tuple[Outcome, ...], honest: tuple[Outcome, ...]) -> bool:
    return len(got) == len(honest) and all(map(is_right, got, honest))


def is_right(got: Outcome, honest: Outcome) -> bool:
    if not (isinstance(got, Answer) and isinstance(honest, Answer)):
        return False
    return got.arrays.keys() == honest.arrays.keys() and all(
        np.array_equal(got.arrays[name], honest.arrays[name]) for name in honest.arrays
    )


def processes_below(pid: int) -> set[int]:
    """Every process of which pid is an ancestor."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
    below = {pid}
    for _ in range(8):
        below |= {child for child, parent in parents.items() if parent in below}
    return below - {pid}
