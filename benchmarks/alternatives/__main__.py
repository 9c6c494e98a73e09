"""What one grade costs beside what staff would otherwise use on the same upload and tests.

    .venv/bin/python -m benchmarks.alternatives [--rounds N] [--environment DIR]

Whole commands in turn, two processors: this project; plain.py, a script of gradescope-utils that imports the
student's code in its own process; and `otter run`, which executes the notebook in a Jupyter kernel. Both
alternatives skip the cells that train, as this project does: executing the three times 10,001 steps of a
notebook would take minutes. Otter gets a copy in which these cells carry its tag `otter_ignore`, as a course
would hand the notebook out. Neither alternative asks for 2.5, and neither puts student code into a jail.

Before anything is timed, each has to give the perfect upload all points and a wrong one fewer. otter-grader
is installed into DIR, where it stays for the next time, or else into a temporary folder; if that fails, the
rest is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.alternatives import otter
from benchmarks.grading import PERFECT, UPLOADS
from benchmarks.measure import FLOOR, ROOT, Command, first_processors, grade, in_turn, ratio

WRONG = UPLOADS / "wrong_no_scale"


@dataclass(frozen=True)
class Grader:
    """command: from an upload and an empty folder, the command that writes results.json into the folder."""

    name: str
    command: Callable[[Path, Path], Command]

    def prepare(self, upload: Path, folder: Path) -> Command:
        """The same for a folder that is not there yet."""
        folder.mkdir(parents=True)
        return self.command(upload, folder)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Benchmark of one grade beside other ways to give it.")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--environment", type=Path, help="where otter-grader is, or is to be installed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graders = [Grader("this project", _project), Grader("gradescope-utils alone", _plain)]
        try:
            graders.append(_otter(options.environment or folder / "environment", folder))
        except otter.NotInstalled as error:
            print(f"otter-grader is left out, it could not be installed: {error}", flush=True)
        for grader in graders:
            print(f"{grader.name:24} {_verdicts(grader, folder)}", flush=True)
        commands = [grader.prepare(PERFECT, folder / grader.name / "timed") for grader in graders]
        floor, *found = in_turn([FLOOR, *commands], options.rounds, first_processors(2))
    print(
        f"\nimport torch: {median(floor):.2f} s\n{'':24} seconds   times import torch    times this project"
    )
    for grader, walls in zip(graders, found, strict=True):
        own = ratio(walls, found[0])
        print(f"{grader.name:24} {median(walls):7.2f}   {ratio(walls, floor)!s:20} {own}")
    return 0


def _project(upload: Path, folder: Path) -> Command:
    return grade(upload, folder / "results.json")


def _plain(upload: Path, folder: Path) -> Command:
    module = (sys.executable, "-m", "benchmarks.alternatives.plain")
    return (*module, str(upload), "--results", str(folder / "results.json"))


def _otter(environment: Path, folder: Path) -> Grader:
    """Raises NotInstalled."""
    program = otter.install(environment.resolve())
    archive = otter.generate(program, folder / "assignment")

    def command(upload: Path, into: Path) -> Command:
        notebook = otter.tagged(next(upload.glob("*.ipynb")), into / "notebook" / "homework.ipynb")
        return otter.run(program, archive, notebook, into)

    return Grader("otter run", command)


def _verdicts(grader: Grader, folder: Path) -> str:
    """What it gives a perfect and a wrong upload. Raises SystemExit if that is not all, and not fewer."""
    (perfect, full), (wrong, _) = (
        _score(grader, upload, folder / grader.name / upload.name) for upload in (PERFECT, WRONG)
    )
    said = f"perfect: {perfect:g} of {full:g}; {WRONG.name}: {wrong:g}"
    if not wrong < perfect == full:
        raise SystemExit(f"{grader.name} does not grade, so that its time says nothing: {said}")
    return said


def _score(grader: Grader, upload: Path, folder: Path) -> tuple[float, float]:
    """The points that an upload gets, and the most it can get."""
    command = grader.prepare(upload, folder)
    subprocess.run(  # noqa: S603 - commands of our own
        list(command), check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    tests = json.loads((folder / "results.json").read_text(encoding="utf-8"))["tests"]
    scored = [test for test in tests if "max_score" in test]
    return sum(test["score"] for test in scored), sum(test["max_score"] for test in scored)


if __name__ == "__main__":
    raise SystemExit(main())
