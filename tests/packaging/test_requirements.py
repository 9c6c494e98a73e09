"""The pins: whole, for every promised Python, and what the tests run with."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT, ROOT / "tests"]
PROMISED = ["3.10", "3.11", "3.12", "3.13"]


def requirements(file: Path, python: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.1",
    }
    read = [Requirement(line) for line in lines if line]
    return [one for one in read if one.marker is None or one.marker.evaluate(environment)]


@pytest.mark.parametrize("python", PROMISED)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name if folder != ROOT else "grading")
def test_each_requirement_has_one_pin_on_each_python(folder: Path, python: str) -> None:
    pins = [canonicalize_name(one.name) for one in requirements(folder / "requirements.txt", python)]
    wanted = {canonicalize_name(one.name) for one in requirements(folder / "requirements.in", python)}
    assert len(pins) == len(set(pins))
    assert wanted - set(pins) == set(), "run tests/update_requirements.sh"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name if folder != ROOT else "grading")
def test_the_tests_run_with_the_pinned_versions(folder: Path) -> None:
    pins = requirements(folder / "requirements.txt", "{}.{}".format(*sys.version_info))
    different = [
        f"{one} but {version(one.name)}"
        for one in pins
        if not one.specifier.contains(version(one.name), prereleases=True)
    ]
    assert different == [], "run ./setup.sh --dev"


def test_the_installed_packages_fit_each_other() -> None:
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "module", ["numpy.testing", "torch.testing", "scipy.linalg", "scipy.stats", "einops.layers.torch"]
)
def test_what_students_import_is_whole(module: str) -> None:
    importlib.import_module(module)


def test_the_cpu_build_needs_no_cuda_package() -> None:
    assert re.search(r"(?m)^(nvidia|cuda|triton)", (ROOT / "requirements.txt").read_text()) is None


@pytest.mark.parametrize("place", ["README.md", "setup.sh"])
def test_the_promised_pythons_are_the_same_everywhere(place: str) -> None:
    text = (ROOT / place).read_text(encoding="utf-8")
    assert f"{PROMISED[0]} to {PROMISED[-1]}" in text
    assert f'requires-python = ">={PROMISED[0]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
