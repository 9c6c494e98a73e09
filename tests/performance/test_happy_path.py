"""What grading a perfect upload costs, counted: imports and processes. Times are for benchmarks/."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.performance.observed import ROOT, Observed, observe

UPLOADS = ROOT / "tests" / "submissions"
MODULES = Path(__file__).with_name("happy_path.txt")
"""One module of the project a line, by name. After a change that is meant:
    .venv/bin/python -m tests.performance.write_happy_path
"""
VALIDATES = {"attr", "attrs", "jsonschema", "jsonschema_specifications", "referencing", "rpds"}
GRADER_PACKAGES = {"gradescope_utils", "numpy"} | VALIDATES
FORK_SERVER_PACKAGES = {"numpy", "torch", "torchgen"}
BACKPORT = "typing_extensions"
"""Of some of these packages on some Pythons."""
of_the_cpu_build = pytest.mark.skipif(
    torch.version.cuda is not None, reason="a CUDA build, which grading never has, imports more"
)
HEAVY = {"asyncio", "concurrent.futures", "email", "http", "logging", "multiprocessing", "ssl", "xml"}
"""Of the standard library, each milliseconds to import."""


@pytest.fixture(scope="module")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A log and a notebook with nothing wrong."""
    return observe(UPLOADS / "perfect", tmp_path_factory.mktemp("perfect"))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A wrong answer that gets a diagnosis and a picture."""
    return observe(UPLOADS / "wrong_position_soft", tmp_path_factory.mktemp("failing"))


def own(observed: Observed) -> set[str]:
    return {name for name in observed.modules if name.partition(".")[0] in ("autograder", "reference")}


def test_the_grader_imports_these_packages_and_no_others(perfect: Observed) -> None:
    assert perfect.score == 100
    assert perfect.packages - {BACKPORT} == GRADER_PACKAGES


@of_the_cpu_build
def test_the_fork_server_imports_torch_and_numpy_alone(perfect: Observed) -> None:
    assert perfect.fork_server_packages - {BACKPORT} == FORK_SERVER_PACKAGES


@of_the_cpu_build
def test_the_fork_server_leaves_out_the_part_of_torch_that_the_cpu_has_no_use_for(perfect: Observed) -> None:
    assert not perfect.whole_torch


def test_the_grader_imports_of_itself_what_is_listed(perfect: Observed) -> None:
    listed = set(MODULES.read_text(encoding="utf-8").split())
    assert own(perfect) - listed == set(), "imported though nothing is wrong with the upload"
    assert listed - own(perfect) == set(), "listed, yet not imported any more"


def test_the_grader_imports_nothing_heavy_of_the_standard_library(perfect: Observed) -> None:
    assert perfect.modules & HEAVY == set()


def test_only_a_failing_upload_imports_what_draws_and_diagnoses(perfect: Observed, failing: Observed) -> None:
    assert failing.score < 100
    assert failing.packages - perfect.packages == {"PIL"}
    assert "autograder.feedback.figures" in own(failing) - own(perfect)


@of_the_cpu_build
@pytest.mark.parametrize("upload", ["perfect", "failing"])
def test_one_fork_server_is_started_and_two_forks_of_it(upload: str, request: pytest.FixtureRequest) -> None:
    """One fork runs the student's code, the other tries out what that jail holds."""
    observed: Observed = request.getfixturevalue(upload)
    assert observed.grader_starts == ("subprocess.Popen",)
    assert observed.fork_server_starts == ("os.fork", "os.fork")
