"""Every result says which grader gave it."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from autograder.version import VERSION, fingerprint, version_line

ROOT = Path(__file__).parents[1]


def test_the_changelog_and_pyproject_name_the_version() -> None:
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"\n## [{VERSION}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_result_holds_the_version_for_programs_and_at_the_foot_of_its_output(
    fork_server: ForkServer,
) -> None:
    results = grade(ROOT / "tests" / "submissions" / "wrong_no_scale", fork_server).results
    assert results["extra_data"]["version"] == version_line()
    assert results["output"].endswith(f"\nGraded by {version_line()}.")
    assert re.fullmatch(r"autograder \d+\.\d+\.\d+ \([0-9a-f]{12}\)", version_line())


def test_one_changed_byte_anywhere_in_the_grader_changes_the_fingerprint(tmp_path: Path) -> None:
    for folder in ("autograder", "reference"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    assert fingerprint(tmp_path) == fingerprint(ROOT)
    for name in ("requirements.txt", "autograder/settings.py", "reference/tasks.py"):
        before = fingerprint(tmp_path)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-1] + b" ")
        assert fingerprint(tmp_path) != before


def test_a_page_for_staff_is_no_other_grader(tmp_path: Path) -> None:
    for folder in ("autograder", "reference"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "autograder" / "regrade" / "cli.py").write_text("")
    assert fingerprint(tmp_path) == fingerprint(ROOT)


def test_the_fingerprint_costs_next_to_nothing() -> None:
    fingerprint(ROOT)
    times = []
    for _ in range(20):
        started = time.process_time()
        fingerprint(ROOT)
        times.append(time.process_time() - started)
    assert min(times) < 0.02
