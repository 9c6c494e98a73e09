"""docs/feedback.md holds every message, and is what the tests' uploads give."""

from __future__ import annotations

import sys

import pytest

from autograder.feedback.hypotheses.space import CHOICES, SPACE
from autograder.feedback.matrices.find import find
from autograder.feedback.wording import model
from autograder.sandbox.host import ForkServer
from reference.tasks import SequenceTask
from reference.transformer import NumpyTransformer
from tests.feedback.catalogue import COMMAND, TARGET, catalogue, without_numbers
from tests.feedback.matrices import PLANTED, judged


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Python's own words differ between versions")
def test_the_page_is_what_the_uploads_give(fork_server: ForkServer) -> None:
    written = without_numbers(TARGET.read_text(encoding="utf-8"))
    given = without_numbers(catalogue(fork_server))
    assert written == given, f"run {COMMAND}, read the difference, and commit docs/feedback.md"


def test_every_mistake_in_a_model_that_has_a_name_is_on_the_page() -> None:
    page = TARGET.read_text(encoding="utf-8")
    named = {option.fault for choice in CHOICES for option in SPACE[choice] if option.fault is not None}
    assert [fault.value for fault in named if model.sentence(fault) not in page] == []


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED)
def test_what_is_said_of_every_mistake_in_matrices_is_on_the_page(
    name: str, task: SequenceTask, transformer: NumpyTransformer
) -> None:
    page = without_numbers(TARGET.read_text(encoding="utf-8"))
    for finding in find(task, transformer, judged(task, transformer)):
        assert without_numbers(finding.sentence) in page
