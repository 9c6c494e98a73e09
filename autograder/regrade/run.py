"""The regrade, on one screen: export in, what is missing graded, tables out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.errors import UploadError, UsageError
from autograder.regrade.export import read_export
from autograder.regrade.jobs import run_jobs
from autograder.regrade.progress import Progress, shown
from autograder.regrade.report import write_report
from autograder.regrade.rows import row_of
from autograder.regrade.state import Out, grader_hash, key_of
from autograder.regrade.table import write_table
from autograder.regrade.types import Done, Entry, GraderFactory, Row, Status, Task
from autograder.regrade.uploads import digest_of


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see its help."""

    export: Path
    out: Path
    jobs: int = 1
    only: tuple[str, ...] = ()
    changed_only: bool = False
    anonymous: bool = False
    scheduler: str | None = None


@dataclass(frozen=True)
class Outcome:
    """rows: as the tables show them. graded: how many were graded in this run, of total."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    total: int
    graded: int


def regrade(options: Options, factory: GraderFactory) -> Outcome:
    """Grade what has no result that stands, then write grades.csv and report.html.

    Raises UsageError for a wrong command line and SandboxFault if no worker can start;
    KeyboardInterrupt leaves everything that is graded in its place.
    """
    if options.export.resolve() in (options.out.resolve(), *options.out.resolve().parents):
        raise UsageError(f"{options.out} lies inside the submissions: choose an OUT elsewhere.")
    export = read_export(options.export)
    entries = _chosen(export.entries, options.only)
    with Out.hold(options.out) as out:
        entries, graded = _grade(entries, out, options, factory)
        rows = tuple(row_of(entry, out) for entry in entries)
        if options.changed_only:
            rows = tuple(row for row in rows if row.change or row.status is Status.FAULT)
        notes = (*_narrowed(options, len(rows), len(export.entries)), *export.notes)
        write_table(rows, out.root / "grades.csv", anonymous=options.anonymous)
        write_report(rows, notes, out.root / "report.html", anonymous=options.anonymous)
    return Outcome(rows, notes, len(entries), graded)


def _narrowed(options: Options, shown: int, total: int) -> Iterator[str]:
    """Says that the tables are not of the whole class: a gradebook must not take them for it."""
    asked = [
        name for name, given in (("--only", options.only), ("--changed-only", options.changed_only)) if given
    ]
    if asked:
        yield f"these tables hold {shown} of {total} submissions, as {' and '.join(asked)} asked for"


def _chosen(entries: tuple[Entry, ...], only: tuple[str, ...]) -> list[Entry]:
    unknown = set(only) - {entry.id for entry in entries}
    if unknown:
        raise UsageError(
            f"--only names submissions that the export does not have: {', '.join(sorted(unknown))}"
        )
    return [entry for entry in entries if not only or entry.id in only]


def _grade(
    entries: list[Entry], out: Out, options: Options, factory: GraderFactory
) -> tuple[list[Entry], int]:
    """Grade what has to be; gives the entries, with the damage met on the way, and how many were graded."""
    damage: dict[str, str] = {}
    grader = grader_hash()
    graded = 0
    with shown(len(entries)) as progress:
        tasks = _tasks(entries, out, grader, damage, progress)
        with closing(_runner(options, factory, out, grader)(tasks)) as finished:
            for done in finished:
                out.keep(done)
                graded += 1
                progress.done(graded=True)
    return [replace(entry, damage=damage.get(entry.id, entry.damage)) for entry in entries], graded


def _tasks(
    entries: list[Entry], out: Out, grader: str, damage: dict[str, str], progress: Progress
) -> Iterator[Task]:
    """What has to be graded, found out one by one as workers get free."""
    for entry in entries:
        if entry.upload is not None:
            try:
                key = key_of(digest_of(entry.upload), grader)
            except UploadError as error:
                damage[entry.id] = str(error)
            else:
                if not out.stands(entry.id, key):
                    yield Task(entry.id, key, entry.upload)
                    continue
        progress.done(graded=False)


def _runner(
    options: Options, factory: GraderFactory, out: Out, grader: str
) -> Callable[[Iterable[Task]], Generator[Done, None, None]]:
    if options.scheduler is None:
        return lambda tasks: run_jobs(tasks, factory, jobs=options.jobs, room=out.work)
    # Imported here: Dask is an optional requirement.
    from autograder.regrade.cluster import run_on_cluster

    address = options.scheduler
    return lambda tasks: run_on_cluster(tasks, factory, address=address, grader=grader)
