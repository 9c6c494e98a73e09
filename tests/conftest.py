"""What several rooms of the tests share."""

from __future__ import annotations

import os
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
