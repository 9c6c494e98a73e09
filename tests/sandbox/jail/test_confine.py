"""What the jail refuses, tried in a forked child, on each kind of machine."""

from __future__ import annotations

import ctypes
import errno
import importlib
import mmap
import os
import platform
import resource
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.sandbox.jail.confine import Layer, confine, prepare
from autograder.sandbox.jail.linux import permitted_capabilities
from autograder.sandbox.jail.seccomp import is_available

from .forbidden import BY_NUMBER, FORBIDDEN, error_number, outcome
from .jail import LIMITS, Machine, in_jail, linux_only, root_only

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
def test_the_number_of_threads_is_limited():
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

    few = replace(LIMITS, processes=8, memory_bytes=4 << 30)
    assert in_jail(start_many, few).value < 8


def test_a_jail_whose_parent_is_gone_is_gone_too():
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        plan = prepare(LIMITS)
        if os.fork() == 0:
            confine(LIMITS, plan)
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
    ("switch", "layer"),
    [("user", Layer.USER), ("landlock", Layer.FILES), ("system_calls", Layer.SYSTEM_CALLS)],
)
def test_a_layer_that_was_turned_off_is_reported(switch, layer):
    confinement = in_jail(lambda: None, replace(LIMITS, **{switch: False})).confinement
    assert confinement is not None
    assert layer not in confinement.held
    assert "turned off" in next(short.why for short in confinement.missing if short.layer is layer)


def test_a_system_that_is_not_linux_has_limits_and_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("autograder.sandbox.jail.linux.ON_LINUX", False)
    monkeypatch.delattr("os.setresuid")
    ending = in_jail(lambda: resource.getrlimit(resource.RLIMIT_FSIZE))
    assert ending.value == (0, 0)
    assert ending.confinement.held == (Layer.RESOURCES,)


@root_only
@pytest.mark.parametrize("machine", [Machine.AS_IT_IS, Machine.DOCKER_ROOT])
def test_no_layer_but_landlocks_is_missing_where_everything_is_there(machine):
    confinement = in_jail(lambda: None, LIMITS, machine).confinement
    assert confinement is not None
    landlocks = {Layer.FILES, Layer.NETWORK, Layer.SCOPES}
    assert {short.layer for short in confinement.missing} <= landlocks


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
    assert Layer.USER in ending.confinement.held


@root_only
def test_an_environment_that_only_root_can_read_is_refused_with_what_to_do(tmp_path, monkeypatch):
    closed = tmp_path / "packages"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("autograder.sandbox.jail.linux.handled_rights", lambda: (0, 0, 0))
    with pytest.raises(PermissionError, match=f"chmod -R o.rX {closed}"):
        prepare(replace(LIMITS, readable=(str(closed),)))
