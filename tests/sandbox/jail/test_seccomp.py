"""The filter of system calls: its numbers by the kernel's headers, its program by a small interpreter."""

from __future__ import annotations

import errno
import re
import shutil
import struct
import subprocess

import pytest

from autograder.sandbox.jail.linux import Lacking
from autograder.sandbox.jail.seccomp import assemble, compile_filter
from autograder.sandbox.jail.syscalls import AARCH64, NEWEST, X86_64

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
TABLES = {"x86_64": X86_64, "aarch64": AARCH64}
I386 = 0x40000003
PID = 4711
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

HEADERS = {
    "x86_64": "#include <asm/unistd_64.h>\n",
    "aarch64": "#define __BITS_PER_LONG 64\n#define __ARCH_WANT_RENAMEAT\n#define __ARCH_WANT_NEW_STAT\n"
    "#define __ARCH_WANT_SET_GET_RLIMIT\n#define __ARCH_WANT_SYS_CLONE3\n#include <asm-generic/unistd.h>\n",
}
CLONE_OF_A_THREAD = 0x003D0F00
CLONE_OF_A_PROCESS = 0x01200011


def headers_say(machine: str) -> dict[str, int]:
    """The numbers of every call in this machine's kernel headers; empty where there are none."""
    if shutil.which("gcc") is None:
        return {}
    command = ["gcc", "-E", "-P", "-"]
    source = HEADERS[machine]
    macros = subprocess.run([*command, "-dM"], input=source, capture_output=True, text=True, check=False)
    names = re.findall(r"#define __NR_(\w+) ", macros.stdout)
    wanted = source + "".join(f"NUMBER_{name} = __NR_{name}\n" for name in names)
    expanded = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
    return {name: int(n) for name, n in re.findall(r"NUMBER_(\w+) = (\d+)", expanded.stdout)}


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the program answers, by an interpreter of the few BPF instructions it is made of."""
    data = struct.pack("<IIQ6Q", number, arch or ARCH[machine], 0, *(*arguments, *[0] * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", assemble(compile_filter(machine), PID)))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x06:
            return constant
        else:
            holds = {
                0x15: accumulator == constant,
                0x25: accumulator > constant,
                0x35: accumulator >= constant,
            }
            at += if_true if holds[code] else if_false


def refused(code: int) -> int:
    return ERRNO | code


@pytest.mark.parametrize("machine", TABLES)
def test_every_number_is_the_one_in_the_kernels_headers(machine):
    official = headers_say(machine)
    if not official:
        pytest.skip("no kernel headers here")
    wrong = {name: n for name, n in TABLES[machine].items() if official.get(name, n) != n}
    assert wrong == {}
    assert len(TABLES[machine].keys() & official.keys()) > 130


@pytest.mark.parametrize("machine", TABLES)
def test_no_number_stands_for_two_calls(machine):
    numbers = list(TABLES[machine].values())
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) <= NEWEST


@pytest.mark.parametrize("machine", TABLES)
def test_computing_is_allowed_and_what_is_not_named_is_refused(machine):
    table = TABLES[machine]
    for name in ("read", "write", "mmap", "futex", "exit_group", "rt_sigreturn", "getrandom", "futex_waitv"):
        assert verdict(machine, table[name]) == ALLOW
    for number in range(NEWEST + 1):
        if number not in table.values():
            assert verdict(machine, number) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", TABLES)
def test_a_foreign_architecture_is_killed_and_a_number_of_the_future_is_unknown(machine):
    assert verdict(machine, 20, arch=I386) == KILL
    assert verdict(machine, NEWEST + 1) == refused(errno.ENOSYS)
    assert verdict(machine, 0x40000000) == refused(errno.ENOSYS)
    assert verdict(machine, TABLES[machine]["clone3"]) == refused(errno.ENOSYS)


@pytest.mark.parametrize("machine", TABLES)
def test_clone_makes_threads_only(machine):
    clone = TABLES[machine]["clone"]
    assert verdict(machine, clone, CLONE_OF_A_THREAD) == ALLOW
    assert verdict(machine, clone, CLONE_OF_A_PROCESS) == refused(errno.EPERM)
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, CLONE_OF_A_THREAD | namespace) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", TABLES)
def test_signals_and_limits_reach_the_process_itself_only(machine):
    table = TABLES[machine]
    for name in ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        assert verdict(machine, table[name], PID) == ALLOW
        for other in (0, 1, PID - 1, 0xFFFFFFFF):
            assert verdict(machine, table[name], other) == refused(errno.EPERM)
    for name in ("prlimit64", "sched_setaffinity"):
        assert [verdict(machine, table[name], who) for who in (0, PID)] == [ALLOW, ALLOW]
        assert verdict(machine, table[name], 1) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", TABLES)
def test_a_file_opens_for_reading_only(machine):
    openat = TABLES[machine]["openat"]
    o_cloexec = 0o2000000
    assert verdict(machine, openat, 0, 0, o_cloexec) == ALLOW
    for flags in (0o1, 0o2, 0o3, 0o100, 0o1000, 0o2 | o_cloexec):
        assert verdict(machine, openat, 0, 0, flags) == refused(errno.EROFS)
    assert verdict(machine, TABLES[machine]["unlinkat"]) == refused(errno.EROFS)


@pytest.mark.parametrize("machine", TABLES)
def test_the_kernel_is_not_told_to_signal_others_or_to_change_the_process(machine):
    table = TABLES[machine]
    f_setown, f_setsig, f_setown_ex = 8, 10, 15
    for command in (f_setown, f_setsig, f_setown_ex):
        assert verdict(machine, table["fcntl"], 0, command) == refused(errno.EPERM)
    pdeathsig, dumpable, ptracer, tiocsti, fiosetown = 1, 4, 0x59616D61, 0x5412, 0x8901
    for option in (pdeathsig, dumpable, ptracer):
        assert verdict(machine, table["prctl"], option) == refused(errno.EPERM)
    for request in (tiocsti, fiosetown):
        assert verdict(machine, table["ioctl"], 0, request) == refused(errno.ENOTTY)


def test_an_architecture_that_is_not_known_is_lacking():
    with pytest.raises(Lacking):
        compile_filter("riscv64")
