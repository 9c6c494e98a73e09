"""The kit for students: the same words as the grader's, and nothing in it that is secret."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder import settings
from autograder.errors import GraderFault, UsageError
from autograder.grade import grade
from autograder.kit import kit_files, main
from autograder.sandbox.host import ForkServer
from autograder.table import table
from reference import cases

ROOT = Path(__file__).parents[2]
UPLOADS = ROOT / "tests" / "submissions"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    assert main(["-o", str(folder / "check.zip")]) == 0
    with zipfile.ZipFile(folder / "check.zip") as archive:
        archive.extractall(folder)
    return folder / "check"


def check(kit: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", kit / "check.py", *arguments],
        capture_output=True, text=True, timeout=300, env={"COLUMNS": "100"}, cwd=cwd,
    )  # fmt: skip


def numbers_in(text: str) -> list[str]:
    return re.findall(r"\d+\.?\d*", text)


@pytest.mark.parametrize("name", ["perfect", "wrong_no_scale", "wrong_content_overflow", "blank"])
def test_the_kit_says_what_the_grader_says(
    name: str, kit: Path, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    told = check(kit, UPLOADS / name)
    assert (told.returncode, told.stderr) == (0, "")
    results = grade(UPLOADS / name, fork_server).results
    results["tests"] = [test for test in results["tests"] if test["number"] != "2.4"]
    wanted = table({**results, "output": ""}).splitlines()[:-1]
    assert [line for line in wanted if line not in told.stdout.splitlines()] == []
    assert "Not checked here, but on Gradescope: 2.4" in told.stdout
    assert " 2.4 " not in told.stdout.partition("Score:")[0]


def test_a_notebook_is_checked_with_the_log_beside_it(kit: Path, tmp_path: Path) -> None:
    shutil.copytree(UPLOADS / "perfect", tmp_path / "mine")
    before = (tmp_path / "mine" / "submission_log.json").read_bytes()
    told = check(kit, tmp_path / "mine" / "q_hand_transformer.ipynb", cwd=tmp_path / "mine")
    assert "Score: 95 of 95" in told.stdout
    assert (
        tmp_path / "mine" / "submission_log.json"
    ).read_bytes() == before  # what the notebook writes is not
    (tmp_path / "mine" / "submission_log.json").unlink()
    assert (
        "There is no submission_log.json" in check(kit, tmp_path / "mine" / "q_hand_transformer.ipynb").stdout
    )


def test_a_missing_notebook_is_wrong_usage(kit: Path) -> None:
    told = check(kit, "missing.ipynb")
    assert told.returncode == 2
    assert "there is no missing.ipynb" in told.stderr


def test_no_solution_is_in_it(kit: Path) -> None:
    solutions = (ROOT / "reference" / "solutions.py").read_text(encoding="utf-8")
    lines = {line.strip() for line in solutions.splitlines() if len(line.strip()) > 40}
    lines -= {line for line in lines if line.startswith(("from ", "import "))}
    held = {path: path.read_text(encoding="utf-8") for path in kit.rglob("*.py")}
    assert [path for path, text in held.items() if any(line in text for line in lines)] == []
    models = [
        ast.unparse(node)
        for text in held.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith("nn.Module") for base in node.bases)
    ]
    assert models
    assert [model for model in models if "nn.Linear" in model or "@" in model] == []


def test_no_hidden_seed_and_no_hidden_size_is_in_it(kit: Path) -> None:
    hidden = [f'"{pattern}"' for pattern in cases.OTHER_SIZES]
    assert any(size in (ROOT / "reference" / "cases.py").read_text(encoding="utf-8") for size in hidden)
    for path in kit.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert str(settings.OTHER_SIZES_SEED) not in numbers_in(text)
        assert [size for size in hidden if size in text] == []
    held = ast.parse((kit / "reference" / "cases.py").read_text(encoding="utf-8"))
    values = {
        node.targets[0].id: ast.unparse(node.value)
        for node in held.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert values["OTHER_SIZES"] == "()"


def test_a_check_that_staff_hide_is_not_in_it(tmp_path: Path) -> None:
    for folder in ("autograder", "reference"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    file = tmp_path / "autograder" / "checks" / "pytorch_transformer.py"
    text = file.read_text(encoding="utf-8")
    name = re.search(r'@number\("2\.2"\).*?def (\w+)', text, re.DOTALL)
    assert name is not None
    start, end = text.rindex("@", 0, name.start() + 1), name.end()
    hidden = text[start:end].replace('@visibility("visible")', '@visibility("after_due_date")')
    file.write_text(text[:start] + hidden + text[end:], encoding="utf-8")
    assert f"def {name[1]}".encode() not in kit_files(tmp_path)["autograder/checks/pytorch_transformer.py"]


def test_a_secret_that_is_not_where_it_is_looked_for_stops_the_kit(tmp_path: Path) -> None:
    for folder in ("autograder", "reference"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    file = tmp_path / "autograder" / "settings.py"
    file.write_text(file.read_text(encoding="utf-8").replace("OTHER_SIZES_SEED", "SEED_OF_OTHERS"))
    with pytest.raises(GraderFault, match="no kit was written"):
        kit_files(tmp_path)


def test_another_ending_than_zip_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no zip"):
        main(["-o", str(tmp_path / "check.tar")])
