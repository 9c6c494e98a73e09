"""Hostile code against the sandbox, on each kind of machine. One row of a table, one test.

After every attack an honest program gets the answers it got before, no process is left, and no file.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from autograder.sandbox.calls import Answer, Ended, Outcome, Raised, Refused
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.sandbox.isolation import hide_from_other_users

from .cheats import CHEATS
from .endings import ENDINGS
from .machines import MACHINES, ORDINARY_USER, Machine, fork_server_on
from .rows import CALLS, LEAK, LIMITS, MARK, WRONG_FORWARD, Row, World, program
from .spies import SPIES

HERE = Path(__file__).resolve().parents[2]
FURNITURE = {"metadata.json", "results.json", "source"}
STORES = ("/tmp", "/dev/shm", "/var/tmp")
SECRET = "secret: somebody's address"
X86_ONLY = ("call(", "prot=7")

pytestmark = pytest.mark.slow


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
