"""otter-grader: an environment of its own, and the assignment that asks what plain.py asks.

Nothing of it is a dependency of this project. Otter takes torch and NumPy from this project's environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.alternatives.plain import Homework, trains
from benchmarks.measure import ROOT, Command

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_TEST = """\
import json
from otter.test_files import test_case
from benchmarks.alternatives.plain import Homework

OK_FORMAT = False
name, points = {name!r}, {points}

@test_case()
def check(PytorchTransformer, TO_SAVE):
    Homework.model, Homework.log = PytorchTransformer, json.loads(json.dumps(TO_SAVE))
    Homework({name!r}).debug()
"""


class NotInstalled(Exception):
    """otter-grader could not be installed; the message is pip's."""


def install(folder: Path) -> Path:
    """The `otter` of an environment in folder, which is made there unless it is ready from another time.

    Raises NotInstalled.
    """
    command, ready = folder / "bin" / "otter", folder / "ready.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return command
    python = folder / "bin" / "python"
    _run([sys.executable, "-m", "venv", str(folder)])
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    ours = f"{sysconfig.get_path('purelib')}\n{ROOT}\n"
    Path(site, "project.pth").write_text(ours, encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "-r", str(REQUIREMENTS)])
    ready.write_text(wanted, encoding="utf-8")
    return command


def write_tests(folder: Path) -> None:
    """A test file of Otter for each check of plain.py, with its points."""
    folder.mkdir(parents=True)
    for name in sorted(vars(Homework)):
        if name.startswith("test_"):
            points = getattr(Homework, name).__weight__
            (folder / f"{name}.py").write_text(_TEST.format(name=name, points=points), encoding="utf-8")


def generate(otter: Path, folder: Path) -> Path:
    """The autograder.zip of the assignment, made in folder."""
    write_tests(folder / "tests")
    archive = folder / "autograder.zip"
    _run([str(otter), "generate", "-t", str(folder / "tests"), "-o", str(archive), "--no-requirements"])
    return archive


def tagged(notebook: Path, copy: Path) -> Path:
    """A copy of a notebook in which the cells that train carry the tag by which Otter leaves cells out."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in document["cells"]:
        if cell["cell_type"] == "code" and trains("".join(cell["source"])):
            cell["metadata"]["tags"] = ["otter_ignore"]
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps(document), encoding="utf-8")
    return copy


def run(otter: Path, archive: Path, notebook: Path, folder: Path) -> Command:
    """The command that grades a notebook and writes results.json into folder."""
    return (str(otter), "run", "-a", str(archive), "-o", str(folder), "--no-logo", str(notebook))


def _run(command: list[str]) -> None:
    """Raises NotInstalled, with the last that the command said, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotInstalled(said[-1])
