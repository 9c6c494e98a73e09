"""README and docs: short, without a dead link, and every line that a reader would paste works."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from autograder.__main__ import COMMANDS
from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from tests.answers import upload
from tests.answers.every import BY_NAME

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"]
PAGES += [f"docs/{name}.md" for name in ("staff", "regrade", "students", "security", "development")]
UPLOADS = ROOT / "tests" / "submissions"

NOT_RUN = {
    r"\.venv/bin/pytest( -n 0)?( -k .*| tests/\w+)?": "it is these tests",
    r"bash \.ci/run": "it runs these tests",
    r"tests/pythons\.sh.*": "it runs these tests",
    r"\./setup\.sh --dev": "it made the environment that these tests run in: test_setup.py",
    r"tests/update_requirements\.sh.*": "it needs the network, and what it gives changes by the day",
    r"\.venv/bin/pip install .*": "it needs the network",
    r"\.venv/bin/python -m dask .*": "it runs until it is stopped: tests/regrade/test_cluster.py",
    r".* --scheduler .*": "it needs a scheduler: tests/regrade/test_cluster.py",
    r"\.venv/bin/python -m benchmarks\..*": "it takes minutes on a quiet machine: tests/benchmarks",
    r"\.venv/bin/python -m tests\.fuzz .*": "it takes minutes: tests/fuzz",
    r"\.venv/bin/python -m tests\.feedback\.test_catalogue": "it takes a minute",
}


class Block(NamedTuple):
    page: str
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}, {self.heading}, line {self.text.splitlines()[0]}"


def blocks(page: str, language: str) -> Iterator[Block]:
    heading = fence = ""
    lines: list[str] = []
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if fence and line == "```":
            if fence == language:
                yield Block(page, heading, language, "\n".join(lines) + "\n")
            fence = ""
        elif fence:
            lines.append(line)
        elif line.startswith("```"):
            fence, lines = line[3:] or "none", []
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def is_run(line: str) -> bool:
    return not any(re.fullmatch(pattern, line) for pattern in NOT_RUN)


COMMAND_BLOCKS = [
    block
    for page in PAGES
    for block in blocks(page, "sh")
    if any(is_run(line) for line in block.text.splitlines())
]
PATCHES = [block for page in PAGES for block in blocks(page, "diff")]


@pytest.fixture
def tree() -> Iterator[Path]:
    """A copy of the checkout that a reader works in, with the environment that is there already."""
    if not filecmp.cmp(ROOT / "requirements.txt", ROOT / ".venv" / ".ready", shallow=False):
        pytest.skip("the environment is not made from requirements.txt: ./setup.sh --dev")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place, "tree")
        left_out = shutil.ignore_patterns(".*", "__pycache__", "results.json")
        shutil.copytree(ROOT, folder, ignore=left_out)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        yield folder


def run(folder: Path, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def graded(folder: Path, name: str) -> dict[str, Any]:
    run(folder, f"./run_autograder tests/submissions/{name} --results {name}.json")
    results: dict[str, Any] = json.loads((folder / f"{name}.json").read_bytes())
    return results


def check(results: dict[str, Any], number: str) -> dict[str, Any]:
    (found,) = (test for test in results["tests"] if test["number"] == number)
    return found


def points(folder: Path) -> None:
    results = graded(folder, "perfect")
    assert (results["score"], check(results, "3.2")["score"]) == (105, 25)


def hidden(folder: Path) -> None:
    assert check(graded(folder, "perfect"), "2.4")["visibility"] == "after_due_date"


def off(folder: Path) -> None:
    results = graded(folder, "perfect")
    assert results["score"] == 95
    assert "2.5" not in {test["number"] for test in results["tests"]}


def still_right(folder: Path) -> None:
    assert graded(folder, "perfect")["score"] == 100
    assert check(graded(folder, "wrong_no_scale"), "2.2")["score"] == 0


def extra_credit(folder: Path) -> None:
    assert graded(folder, "perfect_with_optional")["score"] == 105
    without = graded(folder, "perfect")
    assert (without["score"], check(without, "5.1").get("status")) == (100, None)


def log_alone(folder: Path) -> None:
    results = graded(folder, "perfect")
    assert results["score"] == 100
    assert "your course grades the log alone" in results["output"]
    (folder / "tests" / "submissions" / "perfect" / "submission_log.json").unlink()
    assert graded(folder, "perfect")["score"] == 0


def board(folder: Path) -> None:
    results = graded(folder, "perfect")
    assert [(row["name"], row["value"], row["order"]) for row in results["leaderboard"]] == [
        ("columns of Km", 3, "asc")
    ]


def one_more(folder: Path) -> None:
    results = graded(folder, "perfect")
    assert (results["score"], check(results, "3.3")["score"]) == (105, 5)


def one_more_task(folder: Path) -> None:
    upload = folder / "tests" / "submissions" / "perfect"
    notebook = upload / "q_hand_transformer.ipynb"
    cells = json.loads(notebook.read_bytes())
    cells["cells"].append({**cells["cells"][-1], "cell_type": "code", "source": NEW_TASK})
    notebook.write_text(json.dumps(cells), encoding="utf-8")
    results = graded(folder, "perfect")
    assert (results["score"], check(results, "6.2")["score"]) == (130, 20)
    notebook.write_text(json.dumps(cells).replace("Km = 40 *", "Km = -40 *"), encoding="utf-8")
    wrong = check(graded(folder, "perfect"), "6.2")
    assert wrong["score"] < 10
    assert "the scores have the wrong sign" in wrong["output"]


NEW_TASK = """\
Km = 40 * np.array([[0, 0, 0, 1]]).T
Qm = np.array([[1, 1, 1, 0]]).T
Vm = np.eye(4, 3)
pos = np.arange(4.0)[:, None]

def generate_test_cases_last(tokens, max_len):
    seq = random.choices(tokens, k=np.random.randint(1, max_len))
    return np.array(seq), np.array([seq[-1]] * len(seq))

for i in range(10):
    seq, expected = generate_test_cases_last(list(np.eye(3)), 5)
"""
EFFECTS: dict[str, Callable[[Path], None]] = {
    "Points": points,
    "Hide a check until the due date": hidden,
    "Switch a check off": off,
    "Seeds": still_right,
    "Tolerances": still_right,
    "Extra credit": extra_credit,
    "The log alone": log_alone,
    "A leaderboard": board,
    "Add a check": one_more,
    "Add a task": one_more_task,
}


@pytest.mark.slow
@pytest.mark.parametrize("block", COMMAND_BLOCKS, ids=str)
def test_a_reader_can_paste_the_commands(block: Block, tree: Path) -> None:
    # What a reader replaces by a name of their own is there under that name.
    if "SUBMISSION" in block.text:
        shutil.copytree(UPLOADS / "wrong_no_scale", tree / "SUBMISSION")
    if "EXPORT" in block.text:
        for name in ("perfect", "wrong_no_scale"):
            shutil.copytree(UPLOADS / name, tree / "EXPORT" / name)
    if "check/check.py" in block.text:
        run(tree, "./run_autograder kit && .venv/bin/python -m zipfile -e check.zip .")
        shutil.copytree(UPLOADS / "perfect", tree, dirs_exist_ok=True)
    run(tree, "\n".join(line for line in block.text.splitlines() if is_run(line)))


@pytest.mark.slow
@pytest.mark.parametrize("block", PATCHES, ids=str)
def test_a_change_that_is_shown_applies_and_grades(block: Block, tree: Path) -> None:
    apply(tree, block)
    EFFECTS[block.heading](tree)


def apply(folder: Path, block: Block) -> None:
    Path(folder, "change.diff").write_text(block.text, encoding="utf-8")
    run(folder, "git apply --recount change.diff")


@pytest.mark.slow
def test_a_newcomer_makes_four_changes_and_a_bundle(tree: Path) -> None:
    wanted = ["Points", "Hide a check until the due date", "Switch a check off", "Add a check"]
    for block in PATCHES:
        if block.heading in wanted:
            apply(tree, block)
    assert graded(tree, "perfect")["score"] == 105
    assert "105 points" in run(tree, "./run_autograder bundle -o autograder.zip")


def test_what_is_not_run_still_stands_in_a_page() -> None:
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.text.splitlines()]
    assert [pattern for pattern in NOT_RUN if not any(re.fullmatch(pattern, line) for line in lines)] == []


def test_every_module_that_is_run_is_there() -> None:
    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"python -m ((?:tests|benchmarks|autograder)[.\w]*)", pages))
    files = {name: ROOT / name.replace(".", "/") for name in named}
    assert named
    assert [
        n
        for n, f in files.items()
        if not f.with_suffix(".py").is_file() and not (f / "__main__.py").is_file()
    ] == []


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?m)^\./run_autograder ([a-z]+) ", readme))
    assert named == COMMANDS.keys() - {"grade"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        if not name.startswith("https://") and not (
            file.exists() and (not anchor or anchor in anchors(file))
        ):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:autograder|reference|tests|docs|benchmarks)/[\w./*]*)`", text)
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


SLIPS = {
    "the square root of `qk_dim` is missing": "no scale",
    "softmax over the wrong axis": "softmax over queries",
    "a mask, as in GPT": "causal mask",
    "dropout": "dropout",
    "positions put on the left of the input": "positions prepended",
    "a batch axis is left on the output": "returns a batch",
    "a bias in `Km`, `Qm` or `Vm`": "bias left on",
    "other names than `Km`, `Qm`, `Vm`": "other layer names",
    "a syntax error in the class": "syntax error in the class",
    "a loop over queries or keys": "loop over queries",
    "weights that cannot be trained": "frozen values",
    "attention by content is on the right tokens, but too soft": "content soft",
    "attention by position is on the right tokens, but too soft": "position soft",
    "the content part is left blank": "content blank",
}


def slips() -> list[tuple[str, int]]:
    rows = re.findall(r"(?m)^\| ([^|]+) \| (\d+) \| ", (ROOT / "docs" / "students.md").read_text("utf-8"))
    return [(slip, int(lost)) for slip, lost in rows]


@pytest.mark.parametrize(("slip", "lost"), slips())
def test_a_slip_costs_what_students_are_told(
    slip: str, lost: int, fork_server: ForkServer, tmp_path: Path
) -> None:
    upload.write(upload.log_and_notebook(BY_NAME[SLIPS[slip]]), tmp_path / "upload")
    assert round(100 - grade(tmp_path / "upload", fork_server).results["score"]) == lost


def test_every_slip_that_is_told_has_an_answer_that_makes_it() -> None:
    assert [slip for slip, _ in slips()] == list(SLIPS)
