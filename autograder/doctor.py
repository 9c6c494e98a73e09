"""What this machine can isolate, and what it cannot: found by trying, in words for staff."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from autograder.sandbox.host import ForkServer
from autograder.sandbox.isolation import Isolation, Level
from autograder.sandbox.jail.confine import guard_grader
from autograder.version import version_line

_ADVICE = {
    Level.FULL: "Nothing to do.",
    Level.REDUCED: (
        "Grading works. For full isolation, use Linux 6.12 or newer, with Landlock and seccomp, and a grader "
        "that runs as root in its container."
    ),
    Level.NONE: (
        "Student code runs with the grader's own rights. Grade only submissions you trust, or grade in a "
        "Linux container."
    ),
}
_NO_IMPORTS = (
    "The jail's user cannot read the Python environment: a module that is not loaded yet cannot be imported "
    "by student code. Put the environment, and the Python it is made from, outside root's home."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises SandboxFault."""
    argparse.ArgumentParser(
        prog="run_autograder doctor", description="Say what this machine can isolate, and what it cannot."
    ).parse_args(arguments)
    print(f"{version_line()}\n{describe_isolation(examine())}")
    return 0


def examine() -> Isolation:
    """Send a canary into a real jail. Takes as long as importing torch. Raises SandboxFault."""
    guard_grader()
    with ForkServer() as sandbox:
        return sandbox.probe()


def describe_isolation(isolation: Isolation) -> str:
    """The whole finding, a line per probe and per layer that is missing, and what to do."""
    lines = [f"isolation: {isolation.level.value}", "", "Tried from inside a jail:"]
    lines += [f"  {found.value:<9}  {probe.value}" for probe, found in isolation.findings.items()]
    if not isolation.findings:
        lines.append("  nothing: the jail could not be entered")
    if isolation.missing_layers:
        lines += ["", "Layers that are missing here:"]
        lines += [f"  {layer.value}: {why}" for layer, why in isolation.missing_layers.items()]
    if isolation.findings and not isolation.imports:
        lines += ["", _NO_IMPORTS]
    return "\n".join([*lines, "", _ADVICE[isolation.level]])
