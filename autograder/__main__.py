"""The edge: arguments in, exit status and a table out.

    python -m autograder [SUBMISSION] [--results FILE] [--html FILE]
    python -m autograder regrade | bundle | doctor | compare ...

Exit status: 0 graded (whatever the score), 1 the grader itself failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autograder.errors import AutograderError, UsageError
from autograder.sandbox.launch import launch

GRADED, FAULT, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command: Callable[[list[str]], int] = _grade
    if arguments and arguments[0] in COMMANDS:
        command = COMMANDS[arguments.pop(0)]
    try:
        return command(arguments)
    except UsageError as error:
        print(f"run_autograder: {error}", file=sys.stderr)
        return USAGE
    except AutograderError as error:
        print(f"run_autograder: {error}", file=sys.stderr)
        return FAULT
    except KeyboardInterrupt:
        print("run_autograder: interrupted", file=sys.stderr)
        return INTERRUPTED


def _grade(arguments: list[str]) -> int:
    home = Path(os.environ.get("AUTOGRADER_HOME", "/autograder"))
    parser = argparse.ArgumentParser(
        prog="run_autograder",
        description="Grade one submission. Without SUBMISSION: as Gradescope does, from "
        f"{home}/submission into {home}/results/results.json.",
        epilog="Other commands: regrade, bundle, doctor, compare (each with --help).",
    )
    parser.add_argument("submission", nargs="?", type=Path, help="a folder, .ipynb, .py, .json or .zip")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where results.json goes")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report for a person too")
    options = parser.parse_args(arguments)
    on_gradescope = options.submission is None
    upload = home / "submission" if on_gradescope else options.submission
    results = options.results or (
        home / "results" / "results.json" if on_gradescope else Path("results.json")
    )
    if on_gradescope and not upload.is_dir():
        raise UsageError(
            f"name a submission: a folder, .ipynb, .py, .json or .zip (there is no {upload}, "
            "which is where Gradescope puts one)"
        )
    if not os.path.lexists(upload):
        raise UsageError(f"there is no {upload}: name a folder, .ipynb, .py, .json or .zip")

    with _no_collector():
        launched = launch()  # imports torch, while the rest of the grader is imported here
        from autograder.command import grade_command
        from autograder.sandbox.isolation import hide_gradescope

        if on_gradescope:
            hide_gradescope(home)
        return grade_command(upload, results, options.html, launched)


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """One upload leaves little garbage; looking for it, and once more as Python ends, costs a twentieth."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _bundle(arguments: list[str]) -> int:
    from autograder.bundle import build

    parser = argparse.ArgumentParser(
        prog="run_autograder bundle", description="Write the zip to upload to Gradescope."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.zip")
    options = parser.parse_args(arguments)
    names = build(options.output, Path(__file__).resolve().parent.parent)
    print(f"{options.output}: {len(names)} files, {options.output.stat().st_size:,} bytes")
    return GRADED


def _regrade(arguments: list[str]) -> int:
    from autograder.regrade.cli import main as regrade

    return regrade(arguments)


def _compare(arguments: list[str]) -> int:
    from autograder.compare.cli import main as compare

    return compare(arguments)


def _doctor(arguments: list[str]) -> int:
    from autograder.doctor import describe, examine

    argparse.ArgumentParser(
        prog="run_autograder doctor", description="What this machine can isolate, and what it cannot."
    ).parse_args(arguments)
    print(describe(examine()))
    return GRADED


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "bundle": _bundle,
    "compare": _compare,
    "doctor": _doctor,
    "regrade": _regrade,
}


if __name__ == "__main__":
    sys.exit(main())
