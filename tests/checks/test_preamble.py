"""What stands above the tests: files, statements that failed, and where log and code disagree."""

from __future__ import annotations

from dataclasses import replace

from autograder.checks.preamble import preamble
from autograder.sandbox.host import ForkServer
from tests.answers.every import BY_NAME
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, notebook_text
from tests.checks.run import evidence_of, evidence_of_files

PLAIN = BY_NAME["plain"]


def test_a_plain_upload_tells_its_two_files_and_nothing_else(fork_server: ForkServer) -> None:
    assert len(preamble(evidence_of("plain", fork_server)).splitlines()) == 2


def test_code_that_is_not_the_recorded_one_is_told(fork_server: ForkServer) -> None:
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(BY_NAME["einsum"])}
    told = preamble(evidence_of_files(files, fork_server))
    assert f"PytorchTransformer in {NOTEBOOK} is not the one recorded in {LOG}" in told


def test_comments_and_layout_are_no_disagreement(fork_server: ForkServer) -> None:
    commented = replace(PLAIN, name="commented", forward="# all at once\n\n" + PLAIN.forward)
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(commented)}
    assert "not the one recorded" not in preamble(evidence_of_files(files, fork_server))


def test_matrices_that_are_not_the_recorded_ones_are_told_by_name(fork_server: ForkServer) -> None:
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(BY_NAME["content: scores in Q"])}
    told = preamble(evidence_of_files(files, fork_server))
    assert "Km, Qm of attention_by_content differ" in told


def test_a_statement_that_failed_is_told_with_its_place(fork_server: ForkServer) -> None:
    told = preamble(evidence_of("notebook: packages not installed", fork_server))
    assert "line 3" in told
    assert "pandas" in told


def test_what_follows_from_a_failure_is_counted_not_listed(fork_server: ForkServer) -> None:
    told = preamble(evidence_of("content blank", fork_server, "notebook alone")).splitlines()
    assert sum("NameError" in line for line in told) == 1
    assert "7 more statements" in told[-1]


def test_the_optional_part_left_alone_is_told_in_no_form(fork_server: ForkServer) -> None:
    for form in ("log and notebook", "log and script", "log and Colab script"):
        assert len(preamble(evidence_of("plain", fork_server, form)).splitlines()) == 2


def test_a_script_s_failures_before_the_optional_part_are_told(fork_server: ForkServer) -> None:
    told = preamble(evidence_of("no scale", fork_server, "log and script"))
    assert "the two transformers differ" in told
