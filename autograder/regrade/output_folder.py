"""OUT, the folder of a regrade: what is already there, and what lands in it.

    OUT/results/<id>.json   the submission's results.json, the bytes that it gets alone
    OUT/state/<id>.json     a `Record` without its results: under which key it was graded, and more
    OUT/pages/<id>.html     the submission's page
    OUT/grades.csv, OUT/report.html

A result counts only if its record holds the key of the same upload and the same grader, no fault,
and the hash of the result as it stands. A file is written beside its place and moved there, the
record after the result; so whenever a run is killed, even by a power cut that loses half of what was
written, the next run takes what is whole and grades the rest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from autograder.errors import UsageError
from autograder.regrade.types import Record
from autograder.results.schema import replace
from autograder.version import PROJECT, fingerprint

_FORMAT: Final = "3"
"""Changes when a `Record` comes to mean something else."""


def grader_hash() -> str:
    """A hash of all that a grade depends on besides the upload: the grader's files, and Python's version."""
    told = f"{_FORMAT} {platform.python_version()} {fingerprint(PROJECT)}"
    return hashlib.sha256(told.encode()).hexdigest()


class Out:
    """The folder OUT, held by one regrade at a time; use it as `with Out.hold(path) as out`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.results = root / "results"
        self.pages = root / "pages"
        self.workdir = root / "work"
        self._state = root / "state"

    @classmethod
    @contextmanager
    def hold(cls, root: Path) -> Iterator[Out]:
        """Make the folder and keep every other regrade out of it.

        Raises UsageError if it cannot be written to, or another regrade holds it.
        """
        out = cls(root)
        with ExitStack() as stack:
            try:
                for folder in (out.results, out.pages, out._state):
                    folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((root / ".lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                told = f"Another regrade is writing to {root}. Wait for it, or use another -o."
                raise UsageError(told) from error
            except OSError as error:
                told = f"Cannot write to {root}: {error.strerror or error}. Choose another -o."
                raise UsageError(told) from error
            shutil.rmtree(out.workdir, ignore_errors=True)  # what a killed run left
            out.workdir.mkdir()
            stack.callback(shutil.rmtree, out.workdir, ignore_errors=True)
            yield out

    def record(self, id: str) -> Record | None:  # noqa: A002 - it is an id everywhere else
        """The record of a submission, if it and the result it speaks of are whole."""
        try:
            data = json.loads((self._state / f"{id}.json").read_bytes())
            digest = data.pop("results_sha256")
            data["results"] = (self.results / f"{id}.json").read_bytes() if digest else None
            return Record(**data) if _sha256(data["results"]) == digest else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def stands(self, id: str, key: str) -> bool:  # noqa: A002 - as above
        """Whether there is nothing to grade: same upload, same grader, a result without a fault."""
        record = self.record(id)
        return record is not None and record.key == key and not record.faults

    def keep(self, record: Record) -> None:
        """Write down what came of a submission. Raises OSError if the disk is full or gone."""
        path = self.results / f"{record.id}.json"
        if record.results is None:
            path.unlink(missing_ok=True)
        else:
            replace(path, record.results)
        data = {**asdict(record), "results": None, "results_sha256": _sha256(record.results)}
        text = json.dumps(data, ensure_ascii=False, indent=1)
        replace(self._state / f"{record.id}.json", text.encode("utf-8", "replace"))


def _sha256(results: bytes | None) -> str:
    return "" if results is None else hashlib.sha256(results).hexdigest()
