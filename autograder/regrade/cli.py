"""`./run_autograder regrade`: arguments in; export read, what is missing graded, tables and pages out."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from autograder.errors import FAULT, GRADED, INTERRUPTED, GraderFault, UploadError, UsageError
from autograder.regrade import grades
from autograder.regrade.export import opened_zip, read_export
from autograder.regrade.output_folder import Out, grader_hash
from autograder.regrade.report import write_pages, write_report
from autograder.regrade.scores import folded, moved, row_of, score_of_results
from autograder.regrade.types import Entry, GraderFactory, GradingTask, Row, Score, Status
from autograder.regrade.uploads import carried, digest_of
from autograder.regrade.workers import cluster, graded, local_workers, real_grader
from autograder.sandbox.jail.confine import guard_grader

_MENTIONED = 10


def main(arguments: Sequence[str], factory: GraderFactory = real_grader) -> int:
    """Run one regrade and give its exit status. factory: another grader than the real one.

    Raises UsageError for a wrong command line, and GraderFault; what is graded by then stays in its place.
    """
    options = _parser().parse_args(arguments)
    guard_grader()  # names and emails are in this process's memory
    kept = f"What is graded is kept in {options.output}"
    try:
        rows = regrade(options, factory)
    except KeyboardInterrupt:
        command = shlex.join(["./run_autograder", "regrade", *arguments])
        print(f"\nStopped. {kept}; go on with the same command:\n  {command}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        mend = "Make room, or mend what the error names, and go on with the same command."
        raise GraderFault(f"{error}. {kept}. {mend}") from error
    return FAULT if any(row.status is Status.FAULT for row in rows) else GRADED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_autograder regrade",
        description="Grade a whole class again, and show whose grade moves and why. Stop it whenever you "
        "like: the same command goes on where it was.",
    )
    # A container may have fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    add = parser.add_argument
    add("export", type=Path, metavar="EXPORT", help="Gradescope's export (zip or folder), or any folder "
        "or zip with one folder or file per submission")  # fmt: skip
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for report.html, grades.csv, "
        "pages/, results/")  # fmt: skip
    add("--jobs", type=_positive, default=cores, metavar="N", help="workers (default: %(default)s, the "
        "cores)")  # fmt: skip
    add("--only", nargs="+", default=[], metavar="WHO", help="these alone: an id, submission_<id>, a student "
        "number, an email or a name; the class's own tables stay as they are")  # fmt: skip
    add("--changed-only", action="store_true", help="show only submissions whose score changed, and the "
        "grader's faults, in tables beside the class's")  # fmt: skip
    add("--against", type=Path, metavar="OTHER_OUT", help="compare with what another regrade gave, not "
        "with the scores in the export")  # fmt: skip
    add("--csv", choices=("canvas", "gradescope"), help="write the grades in that system's columns, too")
    add("--assignment", default="Transformer from Scratch", metavar="NAME", help="the column for --csv "
        "canvas")  # fmt: skip
    add("--folders-only", action="store_true", help="leave out files that lie beside the folders")
    add("--format", choices=("text", "json"), default="text", help="of what is printed at the end")
    add("--anonymous", action="store_true", help="no names, student numbers or emails anywhere: ids alone")
    add("--scheduler", metavar="ADDRESS", help="hand the work to the Dask scheduler at tcp://HOST:8786")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, got {text}")
    return int(text)


def regrade(options: argparse.Namespace, factory: GraderFactory) -> Sequence[Row]:
    """Grade what has no result that stands, write tables and pages, and print what came of it."""
    export_path, root = options.export, options.output
    if export_path.resolve() in (root.resolve(), *root.resolve().parents):
        raise UsageError(f"{root} lies inside the submissions: choose an OUT elsewhere.")
    export = read_export(export_path, folders_only=options.folders_only)
    entries = _chosen(export.entries, options.only)
    if options.against is not None:
        entries = _against(options.against, entries)
    with Out.hold(root) as out:
        entries, graded = _grade(entries, out, options, factory)
        rows = [row_of(entry, out) for entry in entries]
        if options.changed_only:
            rows = [row for row in rows if row.change or row.status is Status.FAULT]
        notes = list(export.notes)
        asked = ["--only"] * bool(options.only) + ["--changed-only"] * options.changed_only
        if asked:
            told = f"{len(rows)} of {len(export.entries)} submissions, as {' and '.join(asked)} asked for"
            notes.insert(0, f"these tables hold {told}")
        written = _write(rows, notes, out, options, ".partial" if asked else "")
    if options.format == "json":
        print(json.dumps(grades.as_json(rows, notes), ensure_ascii=False, indent=1))
    else:
        _print_summary(rows, notes, f"{len(entries)} submissions, {graded} graded now", written)
    return rows


def _write(
    rows: Sequence[Row], notes: Sequence[str], out: Out, options: argparse.Namespace, part: str
) -> list[Path]:
    """part: goes into the names of tables that are not of the whole class, so that they replace none."""
    report, table = out.root / f"report{part}.html", out.root / f"grades{part}.csv"
    write_pages(rows, out, report.name, anonymous=options.anonymous)
    grades.write_grades(rows, table, anonymous=options.anonymous)
    write_report(rows, notes, report, anonymous=options.anonymous)
    if options.csv is None:
        return [report, table]
    other = out.root / f"{options.csv}{part}.csv"
    if options.csv == "canvas":
        grades.write_canvas(rows, other, options.assignment)
    else:
        grades.write_gradescope(rows, other)
    return [report, table, other]


def _chosen(entries: Sequence[Entry], only: Sequence[str]) -> list[Entry]:
    """The entries that are asked for. Raises UsageError for a word that names none, or several."""
    names = {
        entry.id: {entry.id, f"submission_{entry.id}", entry.folder, *chain(*entry.submitters)} - {""}
        for entry in entries
    }
    people = {entry.id: folded("\n".join(one.name for one in entry.submitters)) for entry in entries}
    chosen: set[str] = set()
    for word in only:
        exact = [one for one, known in names.items() if word in known]
        found = exact or [one for one, known in people.items() if folded(word) in known]
        if not found:
            raise UsageError(f"--only names submissions that the export does not have: {word}")
        if not exact and len(found) > 1:
            which = f"{len(found)} submissions: give one of {', '.join(found[:_MENTIONED])}"
            raise UsageError(f"--only {word} may be any of {which}")
        chosen.update(found)
    return [entry for entry in entries if entry.id in chosen or not only]


def _against(other: Path, entries: list[Entry]) -> list[Entry]:
    """The entries with what another regrade gave as what was before."""
    if not (other / "results").is_dir():
        raise UsageError(f"--against {other}: that is no OUT of a regrade, it has no folder results")

    def before(entry: Entry) -> Score:
        with suppress(OSError, ValueError):
            return score_of_results(json.loads((other / "results" / f"{entry.id}.json").read_bytes()))
        return Score()

    return [replace(entry, before=before(entry)) for entry in entries]


def _grade(
    entries: Sequence[Entry], out: Out, options: argparse.Namespace, factory: GraderFactory
) -> tuple[list[Entry], int]:
    """Grade what has to be; gives the entries, with the damage met on the way, and how many were graded."""
    damage: dict[str, str] = {}
    grader = grader_hash()
    count = 0
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=len(entries), desc="Regrading", unit="upload", mininterval=1))
        archive = stack.enter_context(opened_zip(options.export)) if options.export.is_file() else None

        def tasks() -> Iterator[GradingTask]:
            """What has to be graded, found out one by one as workers get free."""
            for entry in entries:
                if entry.upload is not None:
                    try:
                        key = f"{digest_of(carried(entry.upload, archive))} {grader}"
                    except UploadError as error:
                        damage[entry.id] = str(error)
                    else:
                        if not out.stands(entry.id, key):
                            yield GradingTask(entry.id, key, carried(entry.upload, archive))
                            continue
                bar.update()

        if options.scheduler is None:
            workers = local_workers(factory, options.jobs, out.workdir)
        else:
            workers = cluster(factory, options.scheduler, grader)
        for record in stack.enter_context(closing(graded(tasks(), workers))):
            out.keep(record)
            count += 1
            bar.update()
    return [replace(entry, damage=damage.get(entry.id, entry.damage)) for entry in entries], count


def _print_summary(rows: Sequence[Row], notes: Sequence[str], told: str, written: Sequence[Path]) -> None:
    odd = [row for status in Status for row in rows if row.status is status is not Status.GRADED]
    for row in odd[:_MENTIONED]:
        print(f"{row.status.value}: {row.entry.id}" + (f": {'; '.join(row.reasons)}" if row.reasons else ""))
    if len(odd) > _MENTIONED:
        print(f"and {len(odd) - _MENTIONED} more, in the report")
    for note in notes[:_MENTIONED]:
        print(f"note: {note}")
    print(f"{told}; the others stood or were skipped. {' '.join(moved(rows))}.")
    print(f"See {', '.join(map(str, written))}.")
