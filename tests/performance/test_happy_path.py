"""What grading a perfect upload costs, counted: imports and processes. Times are for benchmarks/.

A whole grade runs in an interpreter of its own. The grader is watched by an audit hook, and its fork server
by one put before its code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
UPLOADS = ROOT / "tests" / "submissions"
MODULES = Path(__file__).with_name("happy_path.txt")
"""One module of the project a line, by name. After a change that is meant:
    .venv/bin/python -m tests.performance.write_happy_path
"""
VALIDATES = {"attr", "attrs", "jsonschema", "jsonschema_specifications", "referencing", "rpds"}
GRADER_PACKAGES = {"gradescope_utils", "numpy"} | VALIDATES
FORK_SERVER_PACKAGES = {"numpy", "torch", "torchgen"}
BACKPORT = "typing_extensions"
"""Of some of these packages on some Pythons."""
of_the_cpu_build = pytest.mark.skipif(
    torch.version.cuda is not None, reason="a CUDA build, which grading never has, imports more"
)
HEAVY = {"asyncio", "concurrent.futures", "email", "http", "logging", "multiprocessing", "ssl", "xml"}
"""Of the standard library, each milliseconds to import."""

_SECONDS = 300
_STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen")

_WATCH = """
import json, os, sys, sysconfig

at_start = {name.partition(".")[0] for name in sys.modules}

def _packages():
    homes = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    tops = {name.partition(".")[0] for name, file in files.items() if (file or "").startswith(homes)}
    return sorted(tops - at_start)

def _watch(path, starts, own=os.getpid()):
    note = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event, arguments):
        if event in starts and os.getpid() == own:
            whole = "torch._meta_registrations" in sys.modules
            os.write(note, json.dumps([event, _packages(), whole]).encode() + b"\\n")

    sys.addaudithook(hook)
"""

_GRADE = (
    _WATCH
    + """
root, upload, results, starts = sys.argv[1:4] + [json.loads(sys.argv[4])]
sys.path.insert(0, root)
before = set(sys.modules)
_watch(results + ".grader", starts)
from autograder.__main__ import main
from autograder.sandbox import launch
launch._BOOTSTRAP = f"{sys.argv[5]}\\n_watch({results + '.fork_server'!r}, {starts!r})\\n" + launch._BOOTSTRAP
status = main([upload, "--results", results])
with open(results + ".modules", "w") as file:
    json.dump({"packages": _packages(), "modules": sorted(set(sys.modules) - before)}, file)
sys.exit(status)
"""
)


@dataclass(frozen=True)
class Observed:
    """One grade. modules: what the grader's process imported; packages: those of site-packages, by name.

    grader_starts, fork_server_starts: the processes that each of them started, as audit events in order.
    fork_server_packages: those of site-packages that the fork server had imported when it forked first.
    whole_torch: whether it had then imported the part of torch that the CPU has no use for.
    score: of results.json.
    """

    modules: frozenset[str]
    packages: frozenset[str]
    grader_starts: tuple[str, ...]
    fork_server_starts: tuple[str, ...]
    fork_server_packages: frozenset[str]
    whole_torch: bool
    score: float


def observe(upload: Path, folder: Path) -> Observed:
    """Grade upload into folder, which has to be empty. Raises CalledProcessError if the grader fails."""
    results = folder / "results.json"
    arguments = [str(ROOT), str(upload), str(results), json.dumps(_STARTS), _WATCH]
    subprocess.run(
        [sys.executable, "-I", "-c", _GRADE, *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=_SECONDS,
    )
    imported = json.loads(results.with_name("results.json.modules").read_text())
    grader = _notes(results.with_name("results.json.grader"))
    fork_server = _notes(results.with_name("results.json.fork_server"))
    return Observed(
        modules=frozenset(imported["modules"]),
        packages=frozenset(imported["packages"]),
        grader_starts=tuple(event for event, *_ in grader),
        fork_server_starts=tuple(event for event, *_ in fork_server),
        fork_server_packages=frozenset(fork_server[0][1]),
        whole_torch=fork_server[0][2],
        score=json.loads(results.read_text())["score"],
    )


def _notes(path: Path) -> list[tuple[str, list[str], bool]]:
    return [tuple(note) for note in map(json.loads, path.read_text().splitlines())]


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A log and a notebook with nothing wrong."""
    return observe(UPLOADS / "perfect", tmp_path_factory.mktemp("perfect"))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A wrong answer that gets a diagnosis and a picture."""
    return observe(UPLOADS / "wrong_position_soft", tmp_path_factory.mktemp("failing"))


def own(observed: Observed) -> set[str]:
    return {name for name in observed.modules if name.partition(".")[0] in ("autograder", "reference")}


def test_the_grader_imports_these_packages_and_no_others(perfect: Observed) -> None:
    assert perfect.score == 100
    assert perfect.packages - {BACKPORT} == GRADER_PACKAGES


@of_the_cpu_build
def test_the_fork_server_imports_torch_and_numpy_alone(perfect: Observed) -> None:
    assert perfect.fork_server_packages - {BACKPORT} == FORK_SERVER_PACKAGES


@of_the_cpu_build
def test_the_fork_server_leaves_out_the_part_of_torch_that_the_cpu_has_no_use_for(perfect: Observed) -> None:
    assert not perfect.whole_torch


def test_the_grader_imports_of_itself_what_is_listed(perfect: Observed) -> None:
    listed = set(MODULES.read_text(encoding="utf-8").split())
    assert own(perfect) - listed == set(), "imported though nothing is wrong with the upload"
    assert listed - own(perfect) == set(), "listed, yet not imported any more"


def test_the_grader_imports_nothing_heavy_of_the_standard_library(perfect: Observed) -> None:
    assert perfect.modules & HEAVY == set()


def test_only_a_failing_upload_imports_what_draws_and_diagnoses(perfect: Observed, failing: Observed) -> None:
    assert failing.score < 100
    assert failing.packages - perfect.packages == {"PIL"}
    assert "autograder.feedback.figures" in own(failing) - own(perfect)


@of_the_cpu_build
@pytest.mark.parametrize("upload", ["perfect", "failing"])
def test_one_fork_server_is_started_and_two_forks_of_it(upload: str, request: pytest.FixtureRequest) -> None:
    """One fork runs the student's code, the other tries out what that jail holds."""
    observed: Observed = request.getfixturevalue(upload)
    assert observed.grader_starts == ("subprocess.Popen",)
    assert observed.fork_server_starts == ("os.fork", "os.fork")
