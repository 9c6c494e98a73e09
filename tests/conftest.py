"""What several rooms of the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autograder.sandbox.host import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """One sandbox for the whole session: importing torch takes a second."""
    with Zygote() as started:
        yield started
