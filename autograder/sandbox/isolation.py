"""How far this machine isolates the student's code: found by trying, from inside a real jail.

The host makes one call, a `canary`, in an attempt without a program; there `try_all` tries what the jail
forbids, and `read_findings` takes what comes back. A probe that succeeds does no harm. `doctor` and the line
for staff in every result say what was found.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from autograder.sandbox.calls import Answer, Canary, Outcome
from autograder.sandbox.jail.confine import DESCRIPTORS, Layer
from autograder.sandbox.jail.linux import syscall

_ROOT: Final = Path(__file__).resolve().parents[2]
_OF_THE_GRADER: Final = ("autograder/settings.py", "reference/solutions.py")
_OF_OTHERS: Final = 0o077
_PTRACE_SEIZE: Final = 0x4206
_BYTES_READ: Final = 16
_IMPORTS: Final = "IMPORTS"


class Probe(Enum):
    """Something forbidden that is tried in the jail; the value says what the code could do if it is open."""

    READ_SECRET = "read the grader's files"  # noqa: S105  (words for staff, no secret)
    READ_UPLOADS = "read uploads that every user may read (chmod 700 their folder)"
    WRITE_RESULTS = "write results.json"
    SOCKET = "open a network connection"
    FORK = "start processes"
    SIGNAL_PARENT = "send signals to the grader"
    PARENT_MEMORY = "read the grader's memory"


class ProbeResult(Enum):
    """What became of a probe. UNKNOWN: it could not be tried."""

    HELD = "held"
    OPEN = "OPEN"
    UNKNOWN = "not known"


class Level(Enum):
    """FULL: every probe was held. NONE: not one was. REDUCED: anything between."""

    FULL = "full"
    REDUCED = "reduced"
    NONE = "none"


@dataclass(frozen=True)
class Isolation:
    """What a jail on this machine holds.

    findings: what became of each probe; empty if none could be run. missing_layers: of the jail, each with
    the reason. imports: code in the jail can import the environment's modules, as honest code may have to.
    """

    findings: Mapping[Probe, ProbeResult]
    missing_layers: Mapping[Layer, str]
    imports: bool

    @property
    def level(self) -> Level:
        """In one word."""
        held = list(self.findings.values()).count(ProbeResult.HELD)
        return Level.FULL if held == len(Probe) else Level.REDUCED if held else Level.NONE

    @property
    def missing(self) -> tuple[str, ...]:
        """What does not hold, in words: first what is open, then what could not be tried."""
        if not self.findings:
            return ("the probes could not be run",)
        words = {ProbeResult.OPEN: "student code can ", ProbeResult.UNKNOWN: "not known: "}
        found = self.findings.items()
        return tuple(words[each] + probe.value for each in words for probe, its in found if its is each)

    @property
    def line(self) -> str:
        """For the staff's output of every result: "isolation: reduced (student code can ...)"."""
        line = f"isolation: {self.level.value}"
        return line if self.level is Level.FULL else f"{line} ({'; '.join(self.missing)})"


# --- The host's side. ---


@contextmanager
def canary(uploads: Sequence[Path]) -> Iterator[Canary]:
    """A call that tries what a jail forbids, while there is something to try it on.

    uploads: those that are there, or the folder of all; none: one such as anybody would unpack is made.
    """
    with tempfile.TemporaryDirectory(prefix="canary-") as name:
        folder = Path(name)
        secret, results, upload = folder / "secret", folder / "results.json", folder / "uploads" / "upload"
        secret.touch(0o600)
        results.touch(0o600)
        upload.parent.mkdir()
        upload.touch()
        for path, mode in ((folder, 0o711), (upload.parent, 0o755), (upload, 0o644)):
            path.chmod(mode)
        yield Canary(
            secrets=(str(secret), *(str(_ROOT / name) for name in _OF_THE_GRADER)),
            results=str(results),
            uploads=tuple(str(_file_in(path)) for path in uploads) or (str(upload),),
            processes=(os.getpid(),),
        )


def read_findings(outcome: Outcome) -> Isolation:
    """What a canary came to: what it does not tell is not held."""
    if not isinstance(outcome, Answer):
        return Isolation({}, {}, imports=False)
    words = {key: said for key, _, said in (name.partition(" ") for name in outcome.arrays)}
    results = ProbeResult.__members__
    findings = {each: results.get(words.get(each.name, ""), ProbeResult.UNKNOWN) for each in Probe}
    missing = {layer: words[layer.name] for layer in Layer if layer.name in words}
    return Isolation(findings, missing, _IMPORTS in words)


def _file_in(path: Path) -> Path:
    """A file of an upload or of a folder of them; the path itself where there is none among the first."""
    found = (Path(folder, name) for folder, _, names in os.walk(path.absolute()) for name in names)
    return next(found, path.absolute())


# --- Inside the jail. ---


def try_all(targets: Canary, missing: Mapping[Layer, str], importable: Iterable[str]) -> Answer:
    """What comes of every probe, tried on these and on the jail's parent, for `read_findings`. Never raises.

    importable: folders that modules could be imported from before the jail was entered.
    """
    results, processes = targets.results, (os.getppid(), *targets.processes)
    attempts: dict[Probe, tuple[Callable[[], object], ...]] = {
        Probe.READ_SECRET: tuple(partial(_read, path) for path in targets.secrets),
        Probe.READ_UPLOADS: tuple(partial(_read, path) for path in targets.uploads),
        Probe.WRITE_RESULTS: (
            lambda: os.open(results, os.O_WRONLY | os.O_APPEND),
            lambda: Path(results).rename(results),
            lambda: Path(f"{results}.new").touch(exist_ok=False),
        ),
        Probe.SOCKET: (lambda: socket.socket(socket.AF_INET), lambda: socket.socket(socket.AF_UNIX)),
        Probe.FORK: (_fork,),
        Probe.SIGNAL_PARENT: tuple(partial(os.kill, process, 0) for process in processes),
        Probe.PARENT_MEMORY: (
            *(partial(os.open, f"/proc/{process}/mem", os.O_RDONLY) for process in processes),
            *(partial(_copy_memory, process) for process in processes),
            # Seized, a process is not stopped, and let go when this one ends.
            *(partial(syscall, "ptrace", _PTRACE_SEIZE, process, 0, 0) for process in processes),
        ),
    }
    said = [f"{probe.name} {_found(ways).name}" for probe, ways in attempts.items()]
    said += [f"{layer.name} {why}" for layer, why in missing.items()]
    if all(map(is_readable, importable)):
        said.append(_IMPORTS)
    return Answer(dict.fromkeys(said, np.zeros(0)))


def is_readable(path: str) -> bool:
    """Whether code can read there: a file or a folder."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _found(ways: Sequence[Callable[[], object]]) -> ProbeResult:
    """OPEN if one way works, HELD if the kernel refuses all."""
    found = ProbeResult.HELD
    for way in ways:
        try:
            way()
        except OSError:
            continue
        except Exception:
            found = ProbeResult.UNKNOWN
        else:
            return ProbeResult.OPEN
    return found


def _read(path: str) -> None:
    """By its name, or by way of a folder that is open here."""
    opened = [way for way in sys.path if way.startswith(DESCRIPTORS)]
    ways = [path, *(f"{way}/{os.path.relpath(path, os.path.realpath(way))}" for way in opened)]
    if not any(map(is_readable, ways)):
        raise PermissionError(path)


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _copy_memory(process: int) -> None:
    """Copy from an address that is mapped here, and thus in the process this one was forked from."""
    here, source = ctypes.create_string_buffer(_BYTES_READ), ctypes.create_string_buffer(_BYTES_READ)
    local = struct.pack("@PN", ctypes.addressof(here), _BYTES_READ)
    remote = struct.pack("@PN", ctypes.addressof(source), _BYTES_READ)
    syscall("process_vm_readv", process, local, 1, remote, 1, 0)


# --- Where a jail of another user, but no Landlock, is all there is. ---


def hide_from_other_users(paths: Iterable[Path]) -> None:
    """Take what is at these paths from all but its owner, where this process is root; else do nothing.

    For what Landlock does not hide where there is none. Of a folder, its own bits are enough. Never raises.
    """
    if os.geteuid() != 0:
        return
    for path in paths:
        with suppress(OSError):
            path.chmod(path.stat().st_mode & 0o7777 & ~_OF_OTHERS)


def hide_gradescope(home: Path) -> None:
    """Hide the upload, its metadata, the results and the grader's source. home: /autograder.

    The environment inside the source stays open: the student's code imports from it.
    """
    source = home / "source"
    mine = [path for path in source.iterdir() if path.name != ".venv"] if source.is_dir() else []
    names = ("submission", "results", "submission_metadata.json")
    hide_from_other_users([*(home / name for name in names), *mine])
