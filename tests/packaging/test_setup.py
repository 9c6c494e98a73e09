"""setup.sh, with wheels made here and no network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

TORCH = """
__version__ = "{version}"
class version: cuda = {cuda!r}
class ones(list):
    def __init__(self, count): super().__init__([1.0] * count)
    def sum(self): return sum(self)
"""


def make_wheel(
    folder: Path, name: str, version: str, source: str, requires: str | None = None, more: Sequence[str] = ()
) -> None:
    """more: files beside the module, by their paths in the package."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    files = {
        f"{name}/__init__.py": source,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files |= {f"{name}/{path}": "" for path in more}
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)


def make_torch(folder: Path, version: str, cuda: str | None = None, requires: str | None = None) -> None:
    make_wheel(folder, "torch", version, TORCH.format(version=version, cuda=cuda), requires)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    for folder in ("autograder", "reference", "tests"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "setup.sh", root)
    (root / "requirements.txt").write_text("torch==9.1.0\n")
    (root / "tests" / "requirements.txt").write_text("tool==1.0\n")
    return root


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def environ(wheels: Path, **more: str) -> dict[str, str]:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    return {**os.environ, **offline, "PYTHON": sys.executable, **more}


def setup(checkout: Path, wheels: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "setup.sh", *arguments],
        cwd=wheels,
        env=environ(wheels, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def is_ready(checkout: Path) -> bool:
    return (checkout / ".venv" / ".ready").exists()


def test_dev_adds_the_tools_and_a_second_run_has_nothing_to_do(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0+cpu")
    make_wheel(wheels, "tool", "1.0", "")
    first, second = setup(checkout, wheels), setup(checkout, wheels)
    assert first.returncode == second.returncode == 0, first.stderr
    assert "nothing to do" not in first.stdout
    assert "nothing to do" in second.stdout
    assert "nothing to do" not in setup(checkout, wheels, "--dev").stdout
    assert "nothing to do" in setup(checkout, wheels, "--dev").stdout
    assert "nothing to do" in setup(checkout, wheels).stdout
    assert list((checkout / ".venv").glob("lib/*/site-packages/tool/__pycache__/*.pyc"))


def test_a_cpu_build_without_the_local_version_is_taken_after_a_look(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0")
    result = setup(checkout, wheels)
    assert result.returncode == 0, result.stderr
    assert is_ready(checkout)


def test_what_nothing_imports_is_removed(checkout: Path, wheels: Path) -> None:
    (checkout / "requirements.txt").write_text("torch==9.1.0\ntool==1.0\nnumpy==1.0\n")
    make_wheel(wheels, "numpy", "1.0", "", more=["_core/tests/_natype.py"])
    make_torch(wheels, "9.1.0+cpu")
    make_wheel(wheels, "tool", "1.0", "", more=["kept.py", "part/tests/test_part.py", "testing.py"])
    result = setup(checkout, wheels)
    assert result.returncode == 0, result.stderr
    (tool,) = (checkout / ".venv").glob("lib/*/site-packages/tool")
    assert {path.name for path in tool.rglob("*.py")} == {"__init__.py", "kept.py", "testing.py"}
    assert list((checkout / ".venv").glob("lib/*/site-packages/numpy/_core/tests/_natype.py"))


def test_a_cuda_build_is_refused_before_it_is_installed(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0", cuda="13.0", requires="nvidia-cublas")
    make_wheel(wheels, "nvidia_cublas", "1.0", "")
    result = setup(checkout, wheels)
    assert result.returncode == 1
    assert "There is no CPU build of torch 9.1.0 for Python {}.{}".format(*sys.version_info) in result.stderr
    assert "TORCH_INDEX_URL" in result.stderr
    assert not list((checkout / ".venv").glob("lib/*/site-packages/*nvidia*"))
    assert not list((checkout / ".venv").glob("lib/*/site-packages/torch"))
    assert not is_ready(checkout)


def test_a_cuda_build_is_taken_when_it_is_asked_for(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0", cuda="13.0", requires="nvidia-cublas")
    make_wheel(wheels, "nvidia_cublas", "1.0", "")
    result = setup(checkout, wheels, TORCH_BUILD="any")
    assert result.returncode == 0, result.stderr
    assert "a CUDA build takes some 5 GB" in result.stdout
    assert is_ready(checkout)


def test_a_cuda_build_in_disguise_is_refused(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0+cpu", cuda="13.0")
    result = setup(checkout, wheels)
    assert result.returncode == 1
    assert "FAILED while checking that torch works, without CUDA" in result.stderr
    assert not is_ready(checkout)


def test_a_torch_that_nobody_has_fails_with_a_reason_and_a_rerun_repairs(
    checkout: Path, wheels: Path
) -> None:
    result = setup(checkout, wheels)
    assert result.returncode == 1
    assert "No matching distribution found for torch==9.1.0" in result.stderr
    assert "Check the network" in result.stderr
    assert not is_ready(checkout)
    make_torch(wheels, "9.1.0+cpu")
    assert setup(checkout, wheels).returncode == 0
    assert is_ready(checkout)


def test_a_run_that_is_killed_leaves_nothing_that_looks_ready(checkout: Path, wheels: Path) -> None:
    make_torch(wheels, "9.1.0+cpu")
    process = subprocess.Popen(
        [checkout / "setup.sh"], env=environ(wheels), stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (checkout / ".venv" / "pyvenv.cfg").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not is_ready(checkout)
    assert setup(checkout, wheels).returncode == 0


def test_a_python_that_is_not_there_is_named(checkout: Path, wheels: Path) -> None:
    result = setup(checkout, wheels, PYTHON="/no/python3")
    assert result.returncode == 1
    assert "PYTHON=/no/python3 is no Python that runs: Python 3.10 to 3.13" in result.stderr
    assert not (checkout / ".venv").exists()


def test_an_unknown_argument_is_wrong_usage(checkout: Path, wheels: Path) -> None:
    result = setup(checkout, wheels, "--develop")
    assert (result.returncode, result.stderr) == (2, "usage: setup.sh [--dev]\n")


def fake_python(folder: Path, version: str, then: str = "exit 1", name: str = "python3") -> Path:
    """A Python of that version whose venv fails or works as the shell lines in `then` say."""
    folder.mkdir(exist_ok=True)
    python = folder / name
    cases = f'*version_info*) echo {version} ;;\n*"import venv"*) exit 0 ;;\n*) {then} ;;\n'
    python.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    python.chmod(0o755)
    return python


def only_these(folder: Path) -> str:
    """A PATH on which the shell's tools stand, and of Pythons those in folder."""
    tools = folder.with_name("tools")
    tools.mkdir()
    for name in (
        *("awk", "bash", "cmp", "cut", "df", "dirname", "du", "env", "flock", "grep", "head", "id", "mkdir"),
        *("mktemp", "paste", "rm", "sed", "sh", "sleep", "sort", "stat", "tail", "touch"),
    ):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    return f"{folder}:{tools}"


def fits_one_screen(result: subprocess.CompletedProcess[str]) -> bool:
    return len((result.stdout + result.stderr).splitlines()) <= 24


@pytest.mark.parametrize("version", ["3.8.10", "3.9.2", "3.14.0"])
def test_where_every_python_is_too_old_or_too_new_one_line_says_so(
    version: str, checkout: Path, wheels: Path, tmp_path: Path
) -> None:
    fake_python(tmp_path / "bin", version)
    result = setup(checkout, wheels, PATH=only_these(tmp_path / "bin"), PYTHON="")
    assert result.returncode == 1
    assert f"Python 3.10 to 3.13 is needed, and there is none here: python3 is {version}." in result.stderr
    assert fits_one_screen(result)
    assert not (checkout / ".venv").exists()


def test_a_full_disk_is_told_as_one(checkout: Path, wheels: Path, tmp_path: Path) -> None:
    said = "seq 500; echo 'OSError: [Errno 28] No space left on device'; exit 1"
    python = fake_python(tmp_path / "bin", "3.11.4", said)
    result = setup(checkout, wheels, PYTHON=str(python))
    assert result.returncode == 1
    assert "The disk is full: " in result.stderr
    assert "takes 900 MB" in result.stderr
    assert fits_one_screen(result)


def test_no_network_is_told_as_that(checkout: Path, wheels: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    online = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": nowhere, "TORCH_INDEX_URL": nowhere}
    result = setup(checkout, wheels, **online)
    assert result.returncode == 1
    assert f"no package index answers: neither pip's own nor {nowhere}." in result.stderr
    assert "Put right what stands above" not in result.stderr
    assert fits_one_screen(result)


def test_an_environment_that_something_else_made_is_never_deleted(checkout: Path, wheels: Path) -> None:
    (checkout / ".venv" / "lib").mkdir(parents=True)
    result = setup(checkout, wheels)
    assert result.returncode == 1
    assert "setup.sh did not make it" in result.stderr
    assert f"mv {checkout}/.venv" in result.stderr
    assert (checkout / ".venv" / "lib").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give an environment to another user")
def test_another_user_s_environment_is_never_deleted(checkout: Path, wheels: Path) -> None:
    (checkout / ".venv").mkdir()
    for name in (".ready", ".made-by-setup"):
        (checkout / ".venv" / name).write_text("another torch\n")
    os.chown(checkout / ".venv", 65534, 65534)
    result = setup(checkout, wheels)
    assert result.returncode == 1
    assert "It belongs to " in result.stderr
    assert "Copy the checkout to a folder of your own" in result.stderr
    assert (checkout / ".venv" / ".ready").is_file()
    assert fits_one_screen(result)


@pytest.mark.parametrize("script", ["setup.sh", "run_autograder"])
def test_windows_line_ends_are_named_with_the_command_that_mends_them(script: str, tmp_path: Path) -> None:
    for name in ("setup.sh", "run_autograder", "requirements.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes().replace(b"\n", b"\r\n"))
    told = subprocess.run(["bash", script], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 1
    assert "has Windows line ends. Run: sed -i" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    subprocess.run(told.stderr.partition("Run: ")[2], shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / script).read_bytes() == (ROOT / script).read_bytes()


def test_git_checks_the_scripts_out_with_their_own_line_ends_on_windows_too(tmp_path: Path) -> None:
    for command in (["init", "-q"], ["config", "core.autocrlf", "true"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    for name in (".gitattributes", "setup.sh"):
        shutil.copy(ROOT / name, tmp_path)
    for command in (["add", "."], ["checkout-index", "-f", "-a", "--prefix=out/"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    assert b"\r" not in (tmp_path / "out" / "setup.sh").read_bytes()


def test_a_long_step_is_heard_of_every_few_seconds(checkout: Path, wheels: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "bin", "3.11.4", "sleep 4; exit 1")
    result = setup(checkout, wheels, PYTHON=str(python), SETUP_TELL_SECONDS="1")
    assert result.stdout.count("MB so far") >= 2
