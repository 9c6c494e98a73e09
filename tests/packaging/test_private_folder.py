"""The checkout in a folder that only its owner may enter, as root's home is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ("tests/test_grade_submissions.py", "tests/test_command.py")
pytestmark = pytest.mark.slow


def link(source: str, target: str) -> None:
    """One more name for a file of the environment, which has 0.8 GB; a copy where there can be none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout with its environment, in a folder of mode 0700."""
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("the tests run in another environment than the checkout's")
    folder = tmp_path_factory.mktemp("private")
    folder.chmod(0o700)
    leave = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder / "checkout", ignore=leave)
    shutil.copytree(ROOT / ".venv", folder / "checkout" / ".venv", symlinks=True, copy_function=link)
    return folder / "checkout"


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=900)


def test_readme_s_first_command_grades_there(private: Path) -> None:
    ran = run(private, "./run_autograder", "tests/submissions/perfect")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Score: 100 of 100" in ran.stdout


def test_a_module_that_is_imported_late_is_there_as_it_is_elsewhere(private: Path, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    shutil.copytree(ROOT / "tests" / "submissions" / "perfect", upload)
    notebook = json.loads((upload / "q_hand_transformer.ipynb").read_text(encoding="utf-8"))
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"].insert(0, {**cell, "source": "import sympy\nassert sympy.Integer(2) + 2 == 4\n"})
    for source in notebook["cells"]:
        source.pop("id", None)
    (upload / "q_hand_transformer.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    at = str(tmp_path / "results.json")
    graded = [run(root, "./run_autograder", str(upload), "--results", at) for root in (private, ROOT)]
    texts = [ran.stdout.partition("\n")[2].partition("results:")[0] for ran in graded]
    assert texts[0] == texts[1]


def test_the_suite_s_core_passes_there(private: Path) -> None:
    ran = run(private, ".venv/bin/python", "-m", "pytest", "-n", "0", "-q", "-x", *CORE)
    assert ran.returncode == 0, ran.stdout[-3000:]
