"""The edge: arguments in, exit status and a table out. `./run_autograder --help` lists the commands.

Exit status: 0 graded (whatever the score), 1 the grader itself failed and gives no verdict, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from autograder.errors import FAULT, GRADED, INTERRUPTED, USAGE, AutograderError, UsageError
from autograder.sandbox.launch import launch

COMMANDS: Final = {
    "grade": ("autograder.__main__", "grade one submission; this word may be left out"),
    "regrade": ("autograder.regrade.cli", "grade a whole class again, and show whose grade moves and why"),
    "explain": ("autograder.explain", "write one upload's page for a regrade request"),
    "compare": ("autograder.compare", "train the student's model on each task, and draw what it learns"),
    "bundle": ("autograder.bundle", "write the zip to upload to Gradescope"),
    "kit": ("autograder.kit", "write what students may run themselves before they upload"),
    "doctor": ("autograder.doctor", "say what this machine can isolate, and what it cannot"),
}
"""Per command, the module whose `main(arguments)` runs it, and its line in the list."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["-h"], ["--help"], ["--version"]):
        return _about(arguments[0])
    command = arguments.pop(0) if arguments[:1] and arguments[0] in COMMANDS else "grade"
    return exit_status(lambda: _grade(arguments) if command == "grade" else _module(command).main(arguments))


def exit_status(command: Callable[[], int]) -> int:
    """The exit status of a command; what it raises on purpose is told in one line."""
    try:
        return command()
    except UsageError as error:
        told, status = str(error), USAGE
    except AutograderError as error:
        told, status = str(error), FAULT
    except KeyboardInterrupt:
        told, status = "interrupted", INTERRUPTED
    print(f"run_autograder: {told}", file=sys.stderr)
    return status


def _about(option: str) -> int:
    from autograder.version import version_line

    parser = argparse.ArgumentParser(
        prog="run_autograder",
        usage="%(prog)s [COMMAND] ...",
        description='The autograder of "Implement Transformer from Scratch".',
        epilog="Each command has its own --help. Exit status: 0 done, 1 the grader failed, 2 wrong usage.",
    )
    parser.add_argument(
        "--version", action="version", version=version_line(), help="say which grader this is"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (_, line) in COMMANDS.items():
        commands.add_parser(name, help=line)
    parser.parse_args([option])
    return GRADED


def _module(command: str) -> Any:
    try:
        return importlib.import_module(COMMANDS[command][0])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "autograder":
            raise
        raise UsageError(
            f"{command} is not in the bundle, which holds what grading needs: run it from the checkout"
        ) from error


def _grade(arguments: list[str]) -> int:
    """Grade one submission."""
    home = Path(os.environ.get("AUTOGRADER_HOME", "/autograder"))
    parser = argparse.ArgumentParser(
        prog="run_autograder grade",
        description="Grade one submission. Without SUBMISSION: as Gradescope does, from "
        f"{home}/submission into {home}/results/results.json.",
    )
    parser.add_argument("submission", nargs="?", type=Path, help="a folder, .ipynb, .py, .json or .zip")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where results.json goes")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report for a person too")
    options = parser.parse_args(arguments)
    on_gradescope = options.submission is None
    upload = home / "submission" if on_gradescope else options.submission
    default = home / "results" / "results.json" if on_gradescope else Path("results.json")
    if on_gradescope and not upload.is_dir():
        raise UsageError(
            f"name a submission: a folder, .ipynb, .py, .json or .zip (there is no {upload}, "
            "which is where Gradescope puts one), or a command (see --help)"
        )
    if not os.path.lexists(upload):
        from difflib import get_close_matches

        near = get_close_matches(str(upload), COMMANDS, n=1)
        meant = f". Did you mean the command {near[0]}?" if near else ""
        raise UsageError(f"there is no {upload}: name a folder, .ipynb, .py, .json or .zip{meant}")

    # One upload leaves little garbage; looking for it, and once more as Python ends, costs a twentieth.
    gc.disable()
    try:
        launched = launch()  # imports torch, while the rest of the grader is imported here
        from autograder.grade import grade_command
        from autograder.sandbox.isolation import hide_gradescope

        if on_gradescope:
            hide_gradescope(home)
        return grade_command(upload, options.results or default, options.html, launched)
    finally:
        gc.freeze()
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
