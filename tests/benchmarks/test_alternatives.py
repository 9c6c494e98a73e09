from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.alternatives import otter, plain
from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY
from tests.answers.right_matrices import DESIGNS

ROOT = Path(__file__).parents[2]
UPLOADS = ROOT / "tests" / "submissions"
PERFECT = UPLOADS / "perfect"
POINTS = 95
"""Of the rubric's 100: vectorized is not asked for."""


def plain_score(upload: Path, folder: Path) -> float:
    module = [sys.executable, "-m", "benchmarks.alternatives.plain"]
    command = [*module, str(upload), "--results", str(folder / "results.json")]
    subprocess.run(command, cwd=ROOT, check=True)
    return float(json.loads((folder / "results.json").read_text())["score"])


def test_the_plain_script_gives_a_perfect_upload_all_points(tmp_path: Path) -> None:
    assert plain_score(PERFECT, tmp_path) == POINTS


def test_the_plain_script_takes_points_for_a_model_without_the_scale(tmp_path: Path) -> None:
    """The log lacks what that notebook does not reach, and four checks compare the model's numbers."""
    assert plain_score(UPLOADS / "wrong_no_scale", tmp_path) == POINTS - (4 + 4) - (10 + 10 + 5 + 5)


@pytest.mark.parametrize("how", DESIGNS[COPY_FIRST.name])
def test_the_flat_matrices_of_a_log_get_their_shapes_back(how: str) -> None:
    solution = DESIGNS[COPY_FIRST.name][how]
    log = {f"attention_by_position_{name}": getattr(solution, f"{name}m").ravel().tolist() for name in "QKV"}
    assert solution.pos is not None
    found = plain.by_position(log | {"attention_by_position_pos": solution.pos.ravel().tolist()})
    assert found.Km.tolist() == solution.Km.tolist()
    assert found.pos is not None
    assert found.pos.tolist() == solution.pos.tolist()


def test_matrices_that_do_not_fit_are_refused() -> None:
    solution = SOLUTIONS[IDENTITY.name]
    log = {f"attention_by_content_{name}": getattr(solution, f"{name}m").ravel().tolist() for name in "QKV"}
    with pytest.raises(ValueError, match="reshape"):
        plain.by_content(log | {"attention_by_content_K": [1.0] * 7})


def test_otter_is_asked_the_same_for_the_same_points(tmp_path: Path) -> None:
    otter.write_tests(tmp_path / "tests")
    files = {path.stem: path.read_text() for path in (tmp_path / "tests").iterdir()}
    assert files.keys() == {name for name in vars(plain.Homework) if name.startswith("test_")}
    assert sum(getattr(plain.Homework, name).__weight__ for name in files) == POINTS
    for name, source in files.items():
        compile(source, name, "exec")
        assert f"points = {name!r}, {getattr(plain.Homework, name).__weight__}\n" in source


def test_otter_leaves_out_the_three_cells_that_train_and_no_other(tmp_path: Path) -> None:
    copy = otter.tagged(PERFECT / "q_hand_transformer.ipynb", tmp_path / "copy" / "homework.ipynb")
    cells = json.loads(copy.read_text())["cells"]
    left_out = ["".join(cell["source"]) for cell in cells if cell["metadata"].get("tags")]
    assert [source.split("(")[0] for source in left_out] == [
        "def make_batch_identity",
        "def make_batch_first",
        "def make_batch_unique",
    ]


def test_an_environment_that_is_ready_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ready.txt").write_text(otter.REQUIREMENTS.read_text())
    assert otter.install(tmp_path) == tmp_path / "bin" / "otter"
    assert [path.name for path in tmp_path.iterdir()] == ["ready.txt"]


@pytest.mark.slow
def test_a_failed_installation_says_why_and_is_not_taken_for_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text("./no-such-package\n")
    monkeypatch.setattr(otter, "REQUIREMENTS", wanted)
    with pytest.raises(otter.NotInstalled, match="no-such-package"):
        otter.install(tmp_path / "environment")
    assert not (tmp_path / "environment" / "ready.txt").exists()
