"""`./run_autograder regrade`: arguments in, OUT and an exit status out.

Exit status: 0 all graded (whatever the scores), 1 the grader failed on some submission or as a whole,
2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder.errors import AutograderError, UsageError
from autograder.regrade.grader import real_grader
from autograder.regrade.run import Options, Outcome, regrade
from autograder.regrade.table import as_json
from autograder.regrade.types import GraderFactory, Status
from autograder.sandbox.jail.confine import guard_grader

DONE, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130
_MENTIONED = 10


def main(argv: Sequence[str] | None = None, factory: GraderFactory = real_grader) -> int:
    """Run one regrade and give its exit status. factory: another grader than the real one."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parsed = _parser().parse_args(arguments)
    options = Options(
        export=parsed.export,
        out=parsed.output,
        jobs=parsed.jobs,
        only=tuple(parsed.only or ()),
        changed_only=parsed.changed_only,
        anonymous=parsed.anonymous,
        scheduler=parsed.scheduler,
    )
    guard_grader()  # names and emails are in this process's memory
    try:
        outcome = regrade(options, factory)
    except KeyboardInterrupt:
        command = shlex.join(["./run_autograder", "regrade", *arguments])
        print(
            f"\nStopped. What is graded is kept in {options.out}; go on with the same command:\n  {command}",
            file=sys.stderr,
        )
        return INTERRUPTED
    except UsageError as error:
        print(f"run_autograder regrade: {error}", file=sys.stderr)
        return USAGE
    except AutograderError as error:
        print(f"run_autograder regrade: the grader itself failed: {error}", file=sys.stderr)
        return FAULT
    except OSError as error:
        print(
            f"run_autograder regrade: {error}. What is graded is kept in {options.out}; once that is mended, "
            "go on with the same command.",
            file=sys.stderr,
        )
        return FAULT
    if parsed.format == "json":
        print(json.dumps(as_json(outcome.rows, outcome.notes), ensure_ascii=False, indent=1))
    else:
        _print_summary(outcome, options)
    return FAULT if any(row.status is Status.FAULT for row in outcome.rows) else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_autograder regrade",
        description="Grade a whole class again, and show whose grade moves and why. Stop it whenever you "
        "like: the same command goes on where it was.",
    )
    add = parser.add_argument
    add("export", type=Path, metavar="EXPORT", help="Gradescope's export (zip or folder), or any folder "
        "or zip with one folder or file per submission")  # fmt: skip
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for results/, grades.csv, "
        "report.html")  # fmt: skip
    add(
        "--jobs",
        type=_positive,
        default=_cores(),
        metavar="N",
        help="workers (default: %(default)s, the cores)",
    )
    add("--only", nargs="+", metavar="ID", help="these submissions alone; grades.csv and report.html then "
        "hold no others, until it is run without this")  # fmt: skip
    add("--changed-only", action="store_true", help="show only submissions whose score changed, and the "
        "grader's faults")  # fmt: skip
    add("--format", choices=("text", "json"), default="text", help="of what is printed at the end")
    add("--anonymous", action="store_true", help="no names, student numbers or emails anywhere: ids alone")
    add("--scheduler", metavar="ADDRESS", help="hand the work to the Dask scheduler at tcp://HOST:8786")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number, at least 1, got {text}")
    return int(text)


def _cores() -> int:
    """The cores this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_summary(outcome: Outcome, options: Options) -> None:
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
    print(f"See {options.out / 'report.html'} and {options.out / 'grades.csv'}.")
