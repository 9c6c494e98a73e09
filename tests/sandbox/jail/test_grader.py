from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from autograder.sandbox.jail.confine import guard_grader


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail's layers are Linux's")
def test_a_guarded_process_is_closed_to_others_and_so_are_its_files(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        guard_grader()
        (tmp_path / "results.json").write_text("{}")
        os.write(writer, b".")
        os.read(reader, 0)
        owner = Path("/proc/self/mem").stat().st_uid
        os._exit(owner)
    status = os.waitpid(child, 0)[1]
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(status) == 0  # /proc/PID of one that is not dumpable belongs to root
    assert stat.S_IMODE((tmp_path / "results.json").stat().st_mode) == 0o600
