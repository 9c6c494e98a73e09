"""What several rooms of the tests share."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from autograder.sandbox.host import ForkServer


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """One sandbox for the whole session: importing torch takes a second."""
    with ForkServer() as started:
        yield started


@pytest.fixture(autouse=True)
def _umask_of_its_own() -> Iterator[None]:
    """A command that guards the grader narrows the umask of its process, which is the next test's too."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def _memory_of_its_own() -> Iterator[None]:
    """The command limits the memory of its process, in which the next test's Chromium would die."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
