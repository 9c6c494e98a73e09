"""What making the environment costs beside pip, what it is made of, and how large the bundle is.

    .venv/bin/python -m benchmarks.environment

Unpacks a bundle into empty folders, as Gradescope does, and runs its setup.sh in them; in turn with that, has
pip alone install the same packages into an environment made for it. The first of each is not counted: it
warms pip's cache. All that setup.sh takes longer than pip is its own, the making of the environment included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path

from autograder.bundle import pack
from benchmarks.measure import ROOT

ADDED_SECONDS, BUNDLE_KB = 10, 200
"""The most that setup.sh may add to pip's time, and the most that the bundle may hold."""
SHOWN = 8


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.zip"
        pack(bundle, ROOT)
        print(f"bundle: {bundle.stat().st_size / 1e3:.0f} kB   target {BUNDLE_KB}")
        for turn in ("cold", "warm"):
            root = Path(folder) / turn
            with zipfile.ZipFile(bundle) as archive:
                archive.extractall(root)
            whole = _seconds(["bash", str(root / "setup.sh")])
            pip = _pip_alone(root / ".venv", Path(folder) / f"{turn}-by-hand")
        print(f"setup.sh: {whole:.1f} s; pip alone: {pip:.1f} s", flush=True)
        print(f"  added to pip's time    {whole - pip:5.1f} s   target {ADDED_SECONDS}")
        _print_sizes(root / ".venv")
    return 0


def _pip_alone(made: Path, by_hand: Path) -> float:
    """Seconds in which pip installs what was made into an empty environment."""
    packages = distributions(path=[_site(made)])
    wanted = [f"{package.metadata['Name']}=={package.version}" for package in packages]
    subprocess.run([sys.executable, "-m", "venv", str(by_hand)], check=True)  # noqa: S603 - our own interpreter
    pip = [str(by_hand / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    return _seconds([*pip, *wanted])


def _seconds(command: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(  # noqa: S603 - our own script, and pip
        command,
        env={**os.environ, "PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - started


def _print_sizes(venv: Path) -> None:
    """The environment's size, by package."""
    sizes = {package.metadata["Name"]: _size(package) for package in distributions(path=[_site(venv)])}
    whole = sum(path.lstat().st_size for path in venv.rglob("*") if path.is_file())
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:SHOWN]
    print(f"environment: {whole / 1e6:.0f} MB, {len(sizes)} packages: ", end="")
    print(", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest))


def _size(package: Distribution) -> int:
    """Bytes of a package's files that are there, and of their bytecode."""
    files = [Path(str(file.locate())) for file in package.files or ()]
    compiled = [Path(cache_from_source(file)) for file in files if file.suffix == ".py"]
    return sum(file.stat().st_size for file in (*files, *compiled) if file.is_file())


def _site(venv: Path) -> str:
    return sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)})


if __name__ == "__main__":
    raise SystemExit(main())
