"""One whole grade in an interpreter of its own, watched: what it imports, and what it starts.

Nothing here is timed. The grader is watched by an audit hook, and its fork server by one put before its code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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
