"""What this machine can isolate, and what it cannot: found by trying, in words for staff."""

from __future__ import annotations

from pathlib import Path

from autograder.errors import SandboxFault
from autograder.sandbox.host import Zygote
from autograder.sandbox.lockdown import guard_grader, hide_from_other_users
from autograder.sandbox.lockdown.isolation import Isolation, Level, Verdict

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


def examine() -> Isolation:
    """Send a canary into a real jail. Takes as long as importing torch. Raises SandboxFault."""
    guard_grader()
    with Zygote() as sandbox:
        return sandbox.probe()


def staff_line(sandbox: Zygote) -> str:
    """`summarize` for a sandbox that is running. Never raises: a result is not lost for want of this line."""
    try:
        return summarize(sandbox.probe())
    except SandboxFault as error:
        return f"isolation: not known ({error})"


def hide_gradescope(home: Path, source: Path) -> None:
    """Close the upload, its metadata, the results and the grader's source to the jail's user.

    home, source: /autograder and /autograder/source. Done by mode bits, which hold where there is no
    Landlock. The environment inside the source stays open: the student's code imports from it.
    """
    mine = [path for path in source.iterdir() if path.name != ".venv"] if source.is_dir() else []
    names = ("submission", "results", "submission_metadata.json")
    hide_from_other_users([*(home / name for name in names), *mine])


def summarize(isolation: Isolation) -> str:
    """One line for the staff output of every result: "isolation: reduced (student code can ...)"."""
    line = f"isolation: {isolation.level.value}"
    return line if isolation.level is Level.FULL else f"{line} ({'; '.join(isolation.missing)})"


def describe(isolation: Isolation) -> str:
    """The whole finding, a line per probe and per layer that is missing, and what to do."""
    words = {Verdict.HELD: "held", Verdict.OPEN: "OPEN", Verdict.ERROR: "not known"}
    lines = [f"isolation: {isolation.level.value}", "", "Tried from inside a jail:"]
    lines += [f"  {words[finding.verdict]:<9}  {finding.probe.value}" for finding in isolation.findings]
    if not isolation.findings:
        lines.append("  nothing: the jail could not be entered")
    if isolation.confinement is not None and isolation.confinement.missing:
        lines += ["", "Layers that are missing here:"]
        lines += [f"  {missing.layer.value}: {missing.why}" for missing in isolation.confinement.missing]
    if isolation.findings and not isolation.imports:
        lines += ["", _NO_IMPORTS]
    return "\n".join([*lines, "", _ADVICE[isolation.level]])
