"""`run_autograder bundle`: the zip that a course uploads to Gradescope, or the folder for its manual Docker.

Gradescope wants `setup.sh` and `run_autograder` at the root of the zip, unpacks it into /autograder/source
while it builds the image, and runs `setup.sh` there. What is packed has graded a perfect upload first. The
zip is deterministic: the same sources give the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from autograder.errors import GraderFault, UsageError, writing
from autograder.version import PROJECT, grading_files, version_line

SCRIPTS: Final = ("run_autograder", "setup.sh")
PERFECT: Final = "tests/submissions/perfect"
_WHOLE: Final = (*SCRIPTS, "LICENSE", "requirements.txt", "autograder/__main__.py", "reference/__init__.py")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold, given to every member."""
_REGULAR: Final = 0o100000
_TRIAL_SECONDS: Final = 600
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from autograder.__main__ import main; sys.exit(main())"
)
DOCKERFILE: Final = """\
# docker build --platform linux/amd64 -t USER/NAME:TAG . && docker push USER/NAME:TAG
FROM gradescope/autograder-base:ubuntu-22.04
COPY source /autograder/source
RUN cp /autograder/source/run_autograder /autograder/ && mkdir -p /autograder/submission /autograder/results
RUN bash /autograder/source/setup.sh
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises UsageError and GraderFault."""
    parser = argparse.ArgumentParser(
        prog="run_autograder bundle",
        description="Grade a perfect upload with what is packed, then write the zip to upload to Gradescope.",
    )
    add_output(parser, "autograder.zip")
    parser.add_argument(
        "--docker", type=Path, metavar="DIR",
        help="instead of a zip, a new folder with the Dockerfile of an image to push yourself",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    write, target = (write_docker, options.docker) if options.docker else (write_zip, options.output)
    names, points = write(target, PROJECT)
    written = [target] if target.is_file() else [target / "source" / name for name in names]
    size = sum(file.stat().st_size for file in written)
    print(f"{target}: {len(names)} files, {size:,} bytes, {points:g} points in total, {version_line()}")
    return 0


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option for the zip to write."""
    parser.add_argument("-o", "--output", type=_zip, default=default, metavar="FILE.zip",
                        help="default: %(default)s")  # fmt: skip


def _zip(name: str) -> Path:
    path = Path(name)
    if path.is_dir() or path.suffix.lower() != ".zip":
        what = "a folder" if path.is_dir() else "no zip"
        raise UsageError(f"{path} is {what}: name the zip to write, such as {path.with_suffix('.zip')}")
    return path


def write_zip(destination: Path, root: Path) -> tuple[list[str], float]:
    """Write the zip of the sources in root; give the names of its files and the points of all checks.

    destination is replaced in one step, or left as it was. Raises UsageError if it cannot be written or
    root is not a whole checkout, GraderFault with the reason if what is packed does not grade.
    """
    beside = destination.absolute().parent
    with (
        writing(f"{destination} cannot be written"),
        tempfile.TemporaryDirectory(dir=beside, prefix=".bundle-") as folder,
    ):
        partial = Path(folder, "bundle.zip")
        names = pack(partial, root)
        points = try_out(partial, root, Path(folder))
        partial.replace(destination)
    return names, points


def write_docker(folder: Path, root: Path) -> tuple[list[str], float]:
    """Write a Dockerfile and the tree it copies into folder, new or empty; otherwise as `write_zip`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something already: name a new or an empty folder")
    with tempfile.TemporaryDirectory(prefix="bundle-") as place, writing(f"{folder} cannot be written"):
        names, points = write_zip(Path(place, "bundle.zip"), root)
        shutil.unpack_archive(Path(place, "bundle.zip"), folder / "source")
        for script in SCRIPTS:
            (folder / "source" / script).chmod(0o755)
        (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    return names, points


def pack(bundle: Path, root: Path) -> list[str]:
    """Zip what grading needs and give the sorted names. Raises UsageError if root is no whole checkout."""
    missing = [name for name in (*_WHOLE, PERFECT) if not (root / name).exists()]
    if missing:
        raise UsageError(f"{root} is not a whole checkout of the autograder: it has no {missing[0]}")
    names = sorted([*SCRIPTS, "LICENSE", *grading_files(root)])
    write_files(bundle, {name: (root / name).read_bytes() for name in names})
    return names


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip that depends on nothing but these names and contents. Raises UsageError if it cannot."""
    with writing(f"{path} cannot be written"), zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(files.items()):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3  # Unix, on every machine: the mode counts
            member.external_attr = (_REGULAR | (0o755 if name in SCRIPTS else 0o644)) << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED, 9)


def try_out(bundle: Path, root: Path, folder: Path) -> float:
    """Grade root's perfect upload with what is in the bundle; give the points of all checks together.

    folder: where to unpack and write. Raises GraderFault with the reason if anything goes wrong in it, or
    if a check fails the upload.
    """
    shutil.unpack_archive(bundle, folder / "trial")
    results = folder / "results.json"
    command = [sys.executable, "-I", "-X", "utf8", "-c", _START, str(folder / "trial")]
    done = subprocess.run(  # noqa: S603 our own interpreter, our own arguments
        [*command, str(root / PERFECT), "--results", str(results)],
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=_TRIAL_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0 or not results.is_file():
        reason = done.stderr.strip()
        raise GraderFault(f"nothing was written: {PERFECT} cannot be graded with these sources.\n{reason}")
    tests: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8"))["tests"]
    failed = [
        f"  {test.get('number', test['name'])}: {test.get('score', 0):g} of {test.get('max_score', 0):g}, "
        + test.get("output", "").partition("\n")[0]
        for test in tests
        if test.get("status") == "failed"
    ]
    if failed:
        first = f"nothing was written: {PERFECT} has to pass every check, and fails these."
        raise GraderFault("\n".join([first, *failed, done.stderr.strip()]).rstrip())
    return float(sum(test.get("max_score", 0) for test in tests))
