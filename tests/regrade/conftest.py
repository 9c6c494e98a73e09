from __future__ import annotations

import pytest


@pytest.fixture
def one_grader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grader is the fake one, and stays the same whatever happens to the source beside it."""
    monkeypatch.setattr("autograder.regrade.cli.grader_hash", lambda: "the fake grader")
