"""What the jail refuses, tried in a forked child, on each kind of machine."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import importlib
import mmap
import os
import pickle
import platform
import re
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from autograder.sandbox.jail.confine import (
    Layer,
    Plan,
    close_all_but,
    confine,
    environment_paths,
    prepare,
)
from autograder.sandbox.jail.linux import permitted_capabilities, set_capabilities
from autograder.sandbox.jail.seccomp import is_available
from tests.attacks.machines import DOCKER_CAPABILITIES, ORDINARY_USER

NO_LANDLOCK = (0, 0, 0)


@dataclass(frozen=True)
class Limits:
    """What a jail is asked to allow. landlock: False where the machine is to have none."""

    readable: tuple[str, ...]
    memory_bytes: int
    cpu_seconds: int
    landlock: bool = True


LIMITS = Limits(readable=environment_paths(), memory_bytes=256 << 20, cpu_seconds=10)
SECONDS = 20.0

PR_CAPBSET_DROP = 24

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail's layers are Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


class Machine(Enum):
    AS_IT_IS = "as it is"
    DOCKER_ROOT = "root in Docker"
    ORDINARY_USER = "an ordinary user"


@dataclass(frozen=True)
class Ending:
    """What became of the action: what it returned, or the exception's type and errno; how the child ended."""

    value: Any
    error: str
    code: int | None
    signal: int
    missing: dict[Layer, str]


def in_jail(
    action: Callable[[], Any], limits: Limits = LIMITS, machine: Machine = Machine.AS_IT_IS
) -> Ending:
    """Fork, become what the machine has, confine, and do the action; bounded in time."""
    plan = prepare(limits.readable)
    if not limits.landlock:
        plan = replace(plan, rights=NO_LANDLOCK)
    return in_jail_of(plan, action, limits, machine)


def in_jail_of(plan: Plan, action: Callable[[], Any], limits: Limits, machine: Machine) -> Ending:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads, from 3.12 on
        child = os.fork()
    if child == 0:
        _be_the_child(action, limits, machine, plan, writer)
    os.close(writer)
    raw = _read_all(reader, child)
    status = os.waitpid(child, 0)[1]
    killer = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    value, error, code, missing = pickle.loads(raw) if raw else (None, "", None, {})
    return Ending(value, error, code, killer, missing)


def _be_the_child(action: Any, limits: Limits, machine: Machine, plan: Any, writer: int) -> None:
    missing, value, error, code = {}, None, "", None
    try:
        os.setsid()
        os.chdir("/")
        _become(machine)
        close_all_but({0, 1, 2, writer})
        missing = confine(plan, limits.memory_bytes, limits.cpu_seconds)
        value = action()
    except BaseException as problem:
        error, code = type(problem).__name__, getattr(problem, "errno", None)
        if not isinstance(problem, (OSError, MemoryError)):
            traceback.print_exc()
    finally:
        os.write(writer, pickle.dumps((value, error, code, missing)))
        os._exit(0)


def _become(machine: Machine) -> None:
    if machine is Machine.DOCKER_ROOT:
        libc = ctypes.CDLL(None)
        for number in range(41):
            if not DOCKER_CAPABILITIES >> number & 1:
                libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
        set_capabilities(DOCKER_CAPABILITIES & permitted_capabilities())
    elif machine is Machine.ORDINARY_USER:
        os.setgroups([])
        os.setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
        os.setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)


def _read_all(reader: int, child: int) -> bytes:
    raw = b""
    while True:
        if not select.select([reader], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
        piece = os.read(reader, 1 << 16)
        raw += piece
        if not piece:
            os.close(reader)
            return raw


def syscall(number: int, *arguments: int) -> int:
    """A raw call by its number on x86-64."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(*(ctypes.c_long(value) for value in (number, *arguments))))
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


FORBIDDEN = {
    "open a socket": socket.socket,
    "open a pair of sockets": socket.socketpair,
    "fork": os.fork,
    "fork by vfork and exec": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", "0"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "signal its group": lambda: os.kill(0, 0),
    "read the parent's memory": lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR),
    "write a file": lambda: os.open("/tmp/jail-test", os.O_WRONLY | os.O_CREAT),
    "write in shared memory": lambda: os.open("/dev/shm/jail-test", os.O_RDWR | os.O_CREAT),
    "make a folder": lambda: Path("/tmp/jail-test").mkdir(),
    "make an unnamed file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR),
    "change root": lambda: os.chroot("/"),
    "become root": lambda: os.setuid(0),
    "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    "change the parent's limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
    "pin the parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "slow the parent": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "send signals by a pipe": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid()),
    "leave its session": lambda: os.setpgid(0, os.getppid()),
    "lock memory": lambda: syscall(151, 1),
}
_NUMBERS = """
ptrace 101 process_vm_readv 310 process_vm_writev 311 pidfd_open 434 pidfd_send_signal 424 pidfd_getfd 438
unshare 272 setns 308 mount 165 umount2 166 pivot_root 155 open_tree 428 move_mount 429 fsopen 430
mount_setattr 442 add_key 248 request_key 249 keyctl 250 shmget 29 semget 64 msgget 68 mq_open 240 bpf 321
io_uring_setup 425 io_setup 206 perf_event_open 298 userfaultfd 323 memfd_create 319 memfd_secret 447
kexec_load 246 kexec_file_load 320 init_module 175 finit_module 313 delete_module 176 swapon 167 quotactl
179 reboot 169 sethostname 170 acct 163 name_to_handle_at 303 open_by_handle_at 304 kcmp 312 personality
135 vfork 58 execveat 322 modify_ldt 154 iopl 172 sync 162 seccomp 317 landlock_restrict_self 446
fanotify_init 300 splice 275 vmsplice 278 syslog 103
"""
BY_NUMBER = {name: int(number) for name, number in re.findall(r"([a-z_0-9]+)\s(\d+)", _NUMBERS)}
"""System calls of x86-64."""


def outcome(action) -> str:
    try:
        action()
    except (OSError, ValueError):
        return "refused"
    return "open"


def error_number(number: int) -> int | None:
    try:
        syscall(number, 0, 0, 0, 0, 0, 0)
    except OSError as error:
        return error.errno
    return None


pytestmark = [linux_only, pytest.mark.skipif(not is_available(), reason="no filters of system calls here")]

MACHINES = [
    pytest.param(Machine.AS_IT_IS, id="as it is"),
    pytest.param(Machine.DOCKER_ROOT, id="root in Docker", marks=root_only),
    pytest.param(Machine.ORDINARY_USER, id="ordinary user", marks=root_only),
]
WITHOUT_LANDLOCK = replace(LIMITS, landlock=False)
EVERYWHERE = [
    pytest.param(limits, machine.values[0], id=f"{machine.id}, {words} Landlock", marks=machine.marks)
    for machine in MACHINES
    for limits, words in ((LIMITS, "with"), (WITHOUT_LANDLOCK, "without"))
]
X86 = platform.machine() == "x86_64"


@pytest.mark.parametrize(("limits", "machine"), EVERYWHERE)
def test_every_way_out_is_refused_with_an_error(limits, machine):
    def try_all() -> dict[str, str]:
        return {name: outcome(action) for name, action in FORBIDDEN.items() if X86 or name != "lock memory"}

    outcomes = in_jail(try_all, limits, machine).value
    assert len(outcomes) >= len(FORBIDDEN) - 1
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "refused"} == {}


@pytest.mark.skipif(not X86, reason="the numbers are those of x86-64")
def test_calls_that_python_lacks_are_refused_by_number():
    def try_all() -> dict[str, int | None]:
        return {name: error_number(number) for name, number in BY_NUMBER.items()}

    outcomes = in_jail(try_all).value
    assert {name for name, code in outcomes.items() if code != errno.EPERM} == set()


@pytest.mark.skipif(not X86, reason="the numbers are those of x86-64")
def test_calls_unknown_here_look_as_if_the_kernel_lacked_them():
    def try_all() -> list[int | None]:
        return [error_number(number) for number in (435, 467, 0x4000_0000 + 39, 999)]

    assert in_jail(try_all).value == [errno.ENOSYS] * 4


@pytest.mark.skipif(not X86, reason="needs the gate of another architecture")
def test_a_call_through_the_gate_of_another_architecture_kills():
    def call_as_32_bit() -> None:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

    assert in_jail(call_as_32_bit).signal == signal.SIGSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_files_outside_the_environment_cannot_be_read(machine):
    places = ("/etc/passwd", "/proc/self/status", f"/proc/{os.getpid()}/cmdline", "/tmp", __file__)

    def try_all() -> list[str]:
        return [outcome(lambda place=place: os.open(place, os.O_RDONLY)) for place in places]

    assert in_jail(try_all, LIMITS, machine).value == ["refused"] * len(places)


@root_only
def test_without_landlock_the_files_of_the_grader_are_still_closed_to_the_jails_user():
    with tempfile.NamedTemporaryFile(prefix="secret-") as secret:
        ending = in_jail(lambda: Path(secret.name).read_bytes(), WITHOUT_LANDLOCK, Machine.DOCKER_ROOT)
    assert (ending.error, ending.code) == ("PermissionError", errno.EACCES)


@root_only
def test_root_becomes_a_user_without_groups_or_capabilities_of_its_own():
    def identity() -> tuple[int, ...]:
        return (*os.getresuid(), *os.getresgid(), len(os.getgroups()), permitted_capabilities())

    open_environment = replace(LIMITS, readable=("/usr/lib",))
    ids = in_jail(identity, open_environment, Machine.DOCKER_ROOT).value
    assert len(set(ids[:6])) == 1
    assert ids[0] > 60_000
    assert ids[6:] == (0, 0)


@root_only
def test_two_jails_are_different_users():
    assert in_jail(os.getuid).value != in_jail(os.getuid).value


@root_only
def test_an_environment_in_roots_home_can_be_imported_from_and_nothing_else_read():
    home = Path(tempfile.mkdtemp(prefix="home-"))
    module = home / "environment" / "module.py"
    module.parent.mkdir()
    module.write_text("")
    secret = home / "secret"
    secret.write_text("")
    limits = replace(LIMITS, readable=(str(module.parent),))

    def read_both() -> tuple[str, str]:
        return outcome(module.read_bytes), outcome(secret.read_bytes)

    try:
        assert in_jail(read_both, limits, Machine.DOCKER_ROOT).value == ("open", "refused")
        assert in_jail(read_both, replace(limits, landlock=False)).value == ("refused", "refused")
    finally:
        for path in (module, module.parent, secret, home):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(("limits", "machine"), EVERYWHERE)
def test_honest_work_is_allowed(limits, machine):
    def work() -> list[bool]:
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(True))
        thread.start()
        thread.join()
        os.kill(os.getpid(), 0)
        os.sched_setaffinity(0, os.sched_getaffinity(0))
        time.sleep(0.001)
        return [*seen, not os.isatty(1), len(os.urandom(4)) == 4, len(list(Path("/usr/lib").iterdir())) > 0]

    assert in_jail(work, limits, machine).value == [True, True, True, True]


def test_memory_ends_with_an_error_that_python_reports():
    assert in_jail(lambda: len(bytearray(1 << 30))).error == "MemoryError"


def test_shared_memory_counts_as_memory():
    assert in_jail(lambda: len(mmap.mmap(-1, 1 << 30))).error in {"OSError", "MemoryError"}


def test_processor_time_ends_with_a_signal_that_cannot_be_ignored():
    def spin() -> None:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True:
            pass

    ending = in_jail(spin, replace(LIMITS, cpu_seconds=1))
    assert ending.signal == signal.SIGKILL


def test_the_number_of_open_files_is_limited():
    ending = in_jail(lambda: [os.dup(1) for _ in range(1000)])
    assert (ending.error, ending.code) == ("OSError", errno.EMFILE)


@root_only
def test_the_number_of_threads_is_limited(monkeypatch):
    def start_many() -> int:
        gate = threading.Event()
        threads = [threading.Thread(target=gate.wait, daemon=True) for _ in range(500)]
        started = 0
        try:
            for thread in threads:
                thread.start()
                started += 1
        except RuntimeError:
            pass
        return started

    monkeypatch.setattr("autograder.sandbox.jail.confine._PROCESSES", 8)
    assert in_jail(start_many, replace(LIMITS, memory_bytes=4 << 30)).value < 8


def test_a_jail_whose_parent_is_gone_is_gone_too():
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        plan = prepare(LIMITS.readable)
        if os.fork() == 0:
            confine(plan, LIMITS.memory_bytes, LIMITS.cpu_seconds)
            os.write(writer, b".")
        os.close(writer) if os.getpid() == plan.parent else None
        time.sleep(60)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"."
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    assert os.read(reader, 1) == b""  # the last holder of the pipe is gone
    os.close(reader)


@pytest.mark.parametrize(
    ("lacking", "layer"), [({"rights": NO_LANDLOCK}, Layer.FILES), ({"program": ()}, Layer.SYSTEM_CALLS)]
)
def test_a_layer_that_the_system_lacks_is_reported(lacking, layer):
    plan = replace(prepare(LIMITS.readable), **lacking)
    missing = in_jail_of(plan, lambda: None, LIMITS, Machine.AS_IT_IS).missing
    assert missing[layer] == "this system does not have it"


def test_a_layer_that_the_system_refuses_is_reported_with_its_words(monkeypatch):
    monkeypatch.setattr("os.setgroups", lambda groups: os.close(-1))
    missing = in_jail(lambda: None, LIMITS).missing
    why = "Bad file descriptor (EBADF)" if os.geteuid() == 0 else "only root can do it"
    assert missing[Layer.USER] == why


def test_a_system_that_is_not_linux_has_limits_and_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("autograder.sandbox.jail.linux.ON_LINUX", False)
    monkeypatch.delattr("os.setresuid")
    ending = in_jail(lambda: resource.getrlimit(resource.RLIMIT_FSIZE))
    assert ending.value == (0, 0)
    assert ending.missing.keys() == set(Layer) - {Layer.RESOURCES}


@root_only
@pytest.mark.parametrize("machine", [Machine.AS_IT_IS, Machine.DOCKER_ROOT])
def test_no_layer_but_landlocks_is_missing_where_everything_is_there(machine):
    ending = in_jail(lambda: True, LIMITS, machine)
    assert ending.value
    assert ending.missing.keys() <= {Layer.FILES, Layer.NETWORK, Layer.SCOPES}


@root_only
def test_modules_in_a_folder_that_only_root_may_enter_can_still_be_imported(tmp_path, monkeypatch):
    """Without Landlock; and nothing beside them can be read by the way they came."""
    closed = tmp_path / "closed"
    (closed / "packages" / "held").mkdir(parents=True)
    (closed / "packages" / "held" / "__init__.py").write_text("")
    (closed / "packages" / "held" / "later.py").write_text("VALUE = 7")
    (closed / "secret").write_text("")
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(str(closed / "packages"))
    importlib.import_module("held")
    limits = replace(LIMITS, readable=(*LIMITS.readable, str(closed / "packages")), landlock=False)

    def action():
        way = next(entry for entry in sys.path if entry.startswith("/proc/self/fd/"))
        refused = 0
        for path in (str(closed / "secret"), f"{way}/../secret"):
            try:
                Path(path).read_text()
            except PermissionError:
                refused += 1
        return importlib.import_module("held.later").VALUE, refused

    ending = in_jail(action, limits, Machine.DOCKER_ROOT)
    assert ending.value == (7, 2)
    assert Layer.USER not in ending.missing


@root_only
def test_an_environment_that_only_root_can_read_is_refused_with_what_to_do(tmp_path, monkeypatch):
    closed = tmp_path / "packages"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("autograder.sandbox.jail.linux.handled_rights", lambda: (0, 0, 0))
    with pytest.raises(PermissionError, match=f"chmod -R o.rX {closed}"):
        prepare((str(closed),))
