"""The jail of the student's code: limits, an unprivileged user, Landlock, and a filter of system calls.

`prepare` in the process that forks, then `confine` in the fork; `guard_grader` in the grader. Nothing but the
standard library. Works as root, as an ordinary user, and off Linux, each as far as the system goes, and says
how far.
"""

from .confine import Plan, close_all_but, confine, environment_paths, prepare
from .grader import guard_grader
from .types import Confinement, Layer, Limits, Shortfall

__all__ = [
    "Confinement",
    "Layer",
    "Limits",
    "Plan",
    "Shortfall",
    "close_all_but",
    "confine",
    "environment_paths",
    "guard_grader",
    "prepare",
]
