"""`./run_autograder regrade`: arguments in; export read, what is missing graded, tables and pages out.

Exit status: 0 all graded (whatever the scores), 1 the grader failed on some submission or as a whole,
2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.errors import AutograderError, UploadError, UsageError
from autograder.progress import progress
from autograder.regrade import grades
from autograder.regrade.export import opened_zip, read_export
from autograder.regrade.output_folder import Out, grader_hash, key_of
from autograder.regrade.report import write_pages, write_report
from autograder.regrade.scores import folded, row_of, score_of_results
from autograder.regrade.types import Entry, Gathered, GraderFactory, Record, Row, Status, Task
from autograder.regrade.uploads import PLACE, digest_of, gather
from autograder.regrade.workers import real_grader, run_jobs
from autograder.sandbox.jail.confine import guard_grader

DONE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
_MENTIONED = 10
_KEY = "submission_"


@dataclass(frozen=True)
class Outcome:
    """rows: as the tables show them. graded: how many were graded in this run, of total."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    total: int
    graded: int
    written: tuple[Path, ...]


def main(argv: Sequence[str] | None = None, factory: GraderFactory = real_grader) -> int:
    """Run one regrade and give its exit status. factory: another grader than the real one."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    guard_grader()  # names and emails are in this process's memory
    try:
        outcome = regrade(options, factory)
    except KeyboardInterrupt:
        command = shlex.join(["./run_autograder", "regrade", *arguments])
        return _told(
            INTERRUPTED,
            f"\nStopped. What is graded is kept in {options.output}; go on with the same command:\n  "
            f"{command}",
        )
    except UsageError as error:
        return _told(USAGE, f"run_autograder regrade: {error}")
    except AutograderError as error:
        return _told(FAULT, f"run_autograder regrade: the grader itself failed: {error}")
    except OSError as error:
        return _told(
            FAULT,
            f"run_autograder regrade: {error}. What is graded is kept in {options.output}. Make room, or "
            "mend what the error names, and go on with the same command.",
        )
    if options.format == "json":
        print(json.dumps(grades.as_json(outcome.rows, outcome.notes), ensure_ascii=False, indent=1))
    else:
        _print_summary(outcome)
    return FAULT if any(row.status is Status.FAULT for row in outcome.rows) else DONE


def _told(status: int, text: str) -> int:
    print(text, file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_autograder regrade",
        description="Grade a whole class again, and show whose grade moves and why. Stop it whenever you "
        "like: the same command goes on where it was.",
    )
    add = parser.add_argument
    add("export", type=Path, metavar="EXPORT", help="Gradescope's export (zip or folder), or any folder "
        "or zip with one folder or file per submission")  # fmt: skip
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for report.html, grades.csv, "
        "pages/, results/")  # fmt: skip
    add("--jobs", type=_positive, default=_cores(), metavar="N", help="workers (default: %(default)s, the "
        "cores)")  # fmt: skip
    add("--only", nargs="+", default=[], metavar="WHO", help="these alone: an id, submission_<id>, a student "
        "number, an email or a name; the class's own tables stay as they are")  # fmt: skip
    add("--changed-only", action="store_true", help="show only submissions whose score changed, and the "
        "grader's faults, in tables beside the class's")  # fmt: skip
    add("--against", type=Path, metavar="OTHER_OUT", help="compare with what another regrade gave, not "
        "with the scores in the export")  # fmt: skip
    add("--csv", choices=("canvas", "gradescope"), help="write the grades in that system's columns, too")
    add(
        "--assignment", default="Transformer from Scratch", metavar="NAME", help="the column for --csv canvas"
    )
    add("--folders-only", action="store_true", help="leave out files that lie beside the folders")
    add("--format", choices=("text", "json"), default="text", help="of what is printed at the end")
    add("--anonymous", action="store_true", help="no names, student numbers or emails anywhere: ids alone")
    add("--scheduler", metavar="ADDRESS", help="hand the work to the Dask scheduler at tcp://HOST:8786")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, got {text}")
    return int(text)


def _cores() -> int:
    """The cores this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def regrade(options: argparse.Namespace, factory: GraderFactory) -> Outcome:
    """Grade what has no result that stands, then write the tables and pages.

    Raises UsageError for a wrong command line and SandboxFault if no worker can start; KeyboardInterrupt
    leaves everything that is graded in its place.
    """
    export_path, root = options.export, options.output
    if export_path.resolve() in (root.resolve(), *root.resolve().parents):
        raise UsageError(f"{root} lies inside the submissions: choose an OUT elsewhere.")
    export = read_export(export_path, folders_only=options.folders_only)
    entries = _chosen(export.entries, options.only)
    if options.against is not None:
        entries = _against(options.against, entries)
    with Out.hold(root) as out:
        entries, graded = _grade(entries, out, options, factory)
        rows = tuple(row_of(entry, out) for entry in entries)
        if options.changed_only:
            rows = tuple(row for row in rows if row.change or row.status is Status.FAULT)
        asked = [name for name in ("only", "changed_only") if getattr(options, name)]
        notes = export.notes
        if asked:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
            told = f"these tables hold {len(rows)} of {len(export.entries)} submissions, as {flags} asked for"
            notes = (told, *notes)
        written = _write(rows, notes, out, options, ".partial" if asked else "")
    return Outcome(rows, notes, len(entries), graded, written)


def _write(
    rows: tuple[Row, ...], notes: tuple[str, ...], out: Out, options: argparse.Namespace, part: str
) -> tuple[Path, ...]:
    """part: goes into the names of tables that are not of the whole class, so that they replace none."""
    report, table = out.root / f"report{part}.html", out.root / f"grades{part}.csv"
    write_pages(rows, out, report.name, anonymous=options.anonymous)
    grades.write_grades(rows, table, anonymous=options.anonymous)
    written = [report, table]
    if options.csv is not None:
        written.append(out.root / f"{options.csv}{part}.csv")
    if options.csv == "canvas":
        grades.write_canvas(rows, written[-1], options.assignment)
    elif options.csv == "gradescope":
        grades.write_gradescope(rows, written[-1])
    write_report(rows, notes, report, anonymous=options.anonymous)
    return tuple(written)


def _chosen(entries: tuple[Entry, ...], only: Sequence[str]) -> list[Entry]:
    """The entries that are asked for. Raises UsageError for a word that names none, or several."""
    if not only:
        return list(entries)
    chosen: set[str] = set()
    for word in only:
        exact = [entry.id for entry in entries if word in _names_of(entry)]
        like = exact or [
            entry.id for entry in entries if any(folded(word) in folded(one.name) for one in entry.submitters)
        ]
        if not like:
            raise UsageError(f"--only names submissions that the export does not have: {word}")
        if len(like) > 1 and not exact:
            listed = ", ".join(like[:_MENTIONED])
            raise UsageError(f"--only {word} may be any of {len(like)} submissions: give one of {listed}")
        chosen.update(like)
    return [entry for entry in entries if entry.id in chosen]


def _names_of(entry: Entry) -> set[str]:
    people = (text for one in entry.submitters for text in (one.name, one.sid, one.email))
    return {entry.id, f"{_KEY}{entry.id}", entry.folder, *people} - {""}


def _against(other: Path, entries: list[Entry]) -> list[Entry]:
    """The entries with what another regrade gave as what was before."""
    if not (other / "results").is_dir():
        raise UsageError(f"--against {other}: that is no OUT of a regrade, it has no folder results")
    found = []
    for entry in entries:
        path = other / "results" / f"{entry.id}.json"
        try:
            before = score_of_results(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            before = None
        found.append(replace(entry, before=before))
    return found


def _grade(
    entries: list[Entry], out: Out, options: argparse.Namespace, factory: GraderFactory
) -> tuple[list[Entry], int]:
    """Grade what has to be; gives the entries, with the damage met on the way, and how many were graded."""
    damage: dict[str, str] = {}
    grader = grader_hash()
    graded = 0
    with ExitStack() as stack:
        done = stack.enter_context(progress(len(entries), "Regrading"))
        archive = stack.enter_context(opened_zip(options.export)) if options.export.is_file() else None

        def tasks() -> Iterator[Task]:
            """What has to be graded, found out one by one as workers get free."""
            for entry in entries:
                upload, place = entry.upload, out.workdir / entry.id / PLACE
                if upload is not None:
                    try:
                        gathered = isinstance(upload, Gathered)
                        path = gather(upload, place, archive) if isinstance(upload, Gathered) else upload.path
                        key = key_of(digest_of(path), grader)
                    except UploadError as error:
                        damage[entry.id] = str(error)
                    else:
                        if not out.stands(entry.id, key):
                            yield Task(entry.id, key, path)
                            continue
                    if gathered:
                        shutil.rmtree(place.parent, ignore_errors=True)
                done(False)

        finished = stack.enter_context(closing(_runner(options, factory, out, grader)(tasks())))
        for record in finished:
            out.keep(record)
            shutil.rmtree(out.workdir / record.id, ignore_errors=True)
            graded += 1
            done(True)
    return [replace(entry, damage=damage.get(entry.id, entry.damage)) for entry in entries], graded


def _runner(
    options: argparse.Namespace, factory: GraderFactory, out: Out, grader: str
) -> Callable[[Iterable[Task]], Generator[Record, None, None]]:
    if options.scheduler is None:
        return lambda tasks: run_jobs(tasks, factory, jobs=options.jobs, workdir=out.workdir)
    # Imported here: Dask is an optional requirement.
    from autograder.regrade.cluster import run_on_cluster

    address = options.scheduler
    return lambda tasks: run_on_cluster(tasks, factory, address=address, grader=grader)


def _print_summary(outcome: Outcome) -> None:
    odd = [row for status in Status for row in outcome.rows if row.status is status is not Status.GRADED]
    for row in odd[:_MENTIONED]:
        print(f"{row.status.value}: {row.entry.id}" + (f": {'; '.join(row.reasons)}" if row.reasons else ""))
    if len(odd) > _MENTIONED:
        print(f"and {len(odd) - _MENTIONED} more, in the report")
    for note in outcome.notes[:_MENTIONED]:
        print(f"note: {note}")
    changes = [row.change for row in outcome.rows if row.change]
    up = sum(change > 0 for change in changes)
    print(
        f"{outcome.total} submissions, {outcome.graded} graded now; the others stood or were skipped. "
        f"{len(changes)} scores changed: {up} up, {len(changes) - up} down."
    )
    print(f"See {', '.join(map(str, outcome.written))}.")
