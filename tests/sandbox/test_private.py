from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from autograder.sandbox.isolation import hide_from_other_users, hide_gradescope

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


def test_what_is_hidden_is_its_owners_alone(tmp_path: Path) -> None:
    folder, file, absent = tmp_path / "folder", tmp_path / "file", tmp_path / "absent"
    folder.mkdir(mode=0o755)
    file.write_text("")
    file.chmod(0o664)
    hide_from_other_users([folder, absent, file])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_on_gradescope_everything_but_the_environment_is_closed_to_others(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for path in (tmp_path / "submission", tmp_path / "results", source / "autograder", source / ".venv"):
        path.mkdir(parents=True, mode=0o755)
    (tmp_path / "submission_metadata.json").write_text("{}")
    hide_gradescope(tmp_path)
    closed = {path.name for path in tmp_path.rglob("*") if not stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert closed == {"submission", "results", "submission_metadata.json", "autograder"}
