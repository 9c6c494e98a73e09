from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder.doctor import describe_isolation
from autograder.errors import SandboxFault
from autograder.sandbox.host import ForkServer
from autograder.sandbox.isolation import Isolation, Probe, ProbeResult
from autograder.sandbox.jail.confine import Layer

ALL_HELD = dict.fromkeys(Probe, ProbeResult.HELD)
SOCKET_OPEN = {**ALL_HELD, Probe.SOCKET: ProbeResult.OPEN}


def test_a_machine_that_holds_everything_is_summed_up_in_two_words():
    assert Isolation(ALL_HELD, {}, imports=True).line == "isolation: full"


def test_what_is_open_stands_in_the_one_line():
    line = Isolation(SOCKET_OPEN, {}, imports=True).line
    assert line == "isolation: reduced (student code can open a network connection)"


def test_the_long_form_names_each_probe_and_each_layer_that_is_missing():
    missing = {Layer.FILES: "this system does not have it"}
    text = describe_isolation(Isolation(SOCKET_OPEN, missing, imports=True))
    assert "OPEN       open a network connection" in text
    assert "held       start processes" in text
    assert "Landlock's rules for files: this system does not have it" in text


def test_a_jail_that_cannot_be_entered_is_said_to_be_none():
    text = describe_isolation(Isolation({}, {}, imports=False))
    assert text.startswith("isolation: none")
    assert "could not be entered" in text


def test_an_environment_that_cannot_be_read_is_named_with_what_to_do():
    assert "outside root's home" in describe_isolation(Isolation(ALL_HELD, {}, imports=False))


class _Broken(ForkServer):
    def probe(self, uploads: Sequence[Path] = ()) -> Isolation:
        raise SandboxFault("the fork server died")


def test_a_sandbox_that_fails_costs_the_line_only():
    assert _Broken().isolation_line() == "isolation: not known (the fork server died)"


def test_the_line_for_staff_comes_from_a_running_sandbox(fork_server):
    assert fork_server.isolation_line().startswith("isolation: ")


def test_this_machine_can_be_examined():
    code = "from autograder.doctor import describe_isolation, examine\nprint(describe_isolation(examine()))"
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("isolation: ")
    assert "not known" not in done.stdout
