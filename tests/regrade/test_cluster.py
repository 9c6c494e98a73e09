"""The same submissions on a Dask cluster of two worker processes on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.regrade.exports import write_plain, zipped
from tests.regrade.fakes import main

pytest.importorskip("distributed", reason="Dask is an optional requirement")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def dask(*arguments: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Its address, and its processes, the scheduler last."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    scheduler = dask(
        "scheduler", "--host", "127.0.0.1", "--port", address.rsplit(":", 1)[1], "--no-dashboard"
    )
    options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--no-nanny")
    started = [dask("worker", address, *options) for _ in range(workers)]
    try:
        yield address, [*started, scheduler]
    finally:
        for process in (*started, scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def contents(out: Path) -> dict[str, bytes]:
    """All but OUT/state, whose keys hold the hash of the grader, fake here and real there."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent.name != "state")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def on_cluster(export: Path, out: Path, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.regrade", str(export), "-o", str(out), "--scheduler", address]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_a_cluster_that_loses_a_worker_half_way_gives_the_same_bytes(tmp_path: Path) -> None:
    uploads = {str(100 + i): {"log": str(i), "sleeps": "0.2"} for i in range(30)}
    folder = write_plain(tmp_path / "export", uploads)
    export = zipped(folder, tmp_path / "export.zip")
    local = [sys.executable, "-m", "tests.regrade", str(folder), "-o", str(tmp_path / "local")]
    subprocess.run(local, cwd=ROOT, check=True, capture_output=True, timeout=300)
    with cluster(2) as (address, workers):
        process = on_cluster(export, tmp_path / "OUT", address)
        half_way(tmp_path / "OUT")
        os.killpg(workers[0].pid, signal.SIGKILL)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()
    assert contents(tmp_path / "OUT") == contents(tmp_path / "local")


def half_way(out: Path) -> None:
    """Waits until some of the thirty results are there."""
    deadline = time.monotonic() + 240
    while len(list(out.glob("results/*.json"))) < 8 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert 8 <= len(list(out.glob("results/*.json"))) < 30


def test_a_scheduler_that_is_lost_is_told_and_the_next_run_goes_on(tmp_path: Path) -> None:
    export = write_plain(
        tmp_path / "export", {str(100 + i): {"log": str(i), "sleeps": "0.2"} for i in range(30)}
    )
    with cluster(2) as (address, processes):
        process = on_cluster(export, tmp_path / "OUT", address)
        half_way(tmp_path / "OUT")
        os.killpg(processes[-1].pid, signal.SIGKILL)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 1
    assert b"connection to the scheduler is lost" in told
    assert b"Traceback" not in told
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "OUT" / "results").iterdir()}
    with cluster(1) as (address, _):
        process = on_cluster(export, tmp_path / "OUT", address)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told.decode()
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "OUT" / "results").iterdir()}
    assert len(now) == 30
    assert kept.items() <= now.items()


def test_an_address_where_nobody_answers_is_wrong_usage(tmp_path: Path) -> None:
    export = write_plain(tmp_path / "export", {"1": {"log": "1"}})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    process = on_cluster(export, tmp_path / "OUT", address)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 2
    assert b"No Dask scheduler answers" in told


def test_without_dask_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export = write_plain(tmp_path / "export", {"1": {"log": "1"}})
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = [str(export), "-o", str(tmp_path / "OUT"), "--scheduler", "tcp://127.0.0.1:1"]
    assert main(arguments) == 2
    assert "requirements-dask.txt" in capsys.readouterr().err
