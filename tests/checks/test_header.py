"""What stands above the tests: files, statements that failed, and where log and code disagree."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from autograder.checks.header import header, start
from autograder.checks.run import StudentRun
from autograder.grade import grade
from autograder.sandbox.calls import Cell
from autograder.sandbox.host import ForkServer
from autograder.submission.types import Origin, Program, Submission
from tests.answers.every import BY_NAME
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, log_and_notebook, notebook_text, write
from tests.checks.run import evidence_of, evidence_of_files

PLAIN = BY_NAME["plain"]


def test_a_plain_upload_tells_its_two_files_and_nothing_else(fork_server: ForkServer) -> None:
    assert len(header(evidence_of("plain", fork_server)).splitlines()) == 2


def test_code_that_is_not_the_recorded_one_is_told(fork_server: ForkServer) -> None:
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(BY_NAME["einsum"])}
    told = header(evidence_of_files(files, fork_server))
    assert f"PytorchTransformer in {NOTEBOOK} is not the one recorded in {LOG}" in told


def test_comments_and_layout_are_no_disagreement(fork_server: ForkServer) -> None:
    commented = replace(PLAIN, name="commented", forward="# all at once\n\n" + PLAIN.forward)
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(commented)}
    assert "not the one recorded" not in header(evidence_of_files(files, fork_server))


def test_matrices_that_are_not_the_recorded_ones_are_told_by_name(fork_server: ForkServer) -> None:
    files = {LOG: log_of(PLAIN), NOTEBOOK: notebook_text(BY_NAME["content: scores in Q"])}
    told = header(evidence_of_files(files, fork_server))
    assert "Km, Qm of attention_by_content differ" in told


def test_packages_that_the_grader_lacks_are_told_as_such(fork_server: ForkServer) -> None:
    told = header(evidence_of("notebook: packages not installed", fork_server))
    assert "pandas, tensorly, sklearn: neither in your upload nor installed where it is graded" in told


def test_what_follows_from_a_failure_is_counted_not_listed(fork_server: ForkServer) -> None:
    told = header(evidence_of("content blank", fork_server, "notebook alone")).splitlines()
    assert sum("NameError" in line for line in told) == 1
    assert "7 more statements" in told[-1]


def test_the_optional_part_left_alone_is_told_in_no_form(fork_server: ForkServer) -> None:
    for form in ("log and notebook", "log and script", "log and Colab script"):
        assert len(header(evidence_of("plain", fork_server, form)).splitlines()) == 2


def test_a_script_s_failures_before_the_optional_part_are_told(fork_server: ForkServer) -> None:
    told = header(evidence_of("no scale", fork_server, "log and script"))
    assert "the two transformers differ" in told


def entry(number: str, output: str, status: str = "failed", **more: str) -> dict[str, str]:
    return {"number": number, "output": output, "status": status, **more}


def test_the_first_line_says_where_to_start_and_what_that_explains() -> None:
    tests = [
        entry("1.1", "torch_transformer is missing: the notebook's test fails, see 2.2."),
        entry("1.2", "torch_transformer: see 1.1."),
        entry("2.1", "", status="passed"),
        entry("2.2", "The scores are not scaled.\nWhat to do: divide.\n8 of 10 cases fail."),
        entry("2.3", "See 2.2: 11 of 11 cases fail."),
        entry("2.5", "Not graded because your model does not run with positions: see 2.1 and 2.2."),
        entry("3.2", "<p>Vm is scaled: a value is 2 times the token.</p>", output_format="html"),
    ]
    assert start(tests) == (
        "Start with 2.2: the scores are not scaled; that also explains 1.1, 1.2, 2.3, 2.5. "
        "Then look at 3.2: Vm is scaled."
    )


def test_a_check_with_a_line_of_its_own_is_not_explained_by_another() -> None:
    tests = [entry("2.2", "Your code raised an error."), entry("1.1", "time: no number\nmodel: see 2.2.")]
    assert start(tests) == "Start with 2.2: your code raised an error. Then look at 1.1: time: no number."
    assert start([entry("1.2", "K, item 7: NaN came.")]) == "Start with 1.2: K, item 7: NaN came."


def test_a_name_at_the_start_of_a_message_is_told_as_it_is_written() -> None:
    assert start([entry("2.1", "- Km.bias should not be there.")]) == (
        "Start with 2.1: Km.bias should not be there."
    )


def test_without_a_failure_there_is_nowhere_to_start() -> None:
    assert start([entry("2.1", "", status="passed"), {"name": "of staff's own", "status": "failed"}]) == ""


def test_checks_that_point_to_each_other_end_somewhere() -> None:
    assert start([entry("2.2", "See 2.3: a."), entry("2.3", "See 2.2: b.")])


def test_a_mistake_that_explains_all_takes_at_most_120_words(fork_server: ForkServer, tmp_path: Path) -> None:
    results = grade(write(log_and_notebook(BY_NAME["no scale"]), tmp_path / "upload"), fork_server).results
    told = [results["output"], *(test.get("output", "") for test in results["tests"])]
    assert results["output"].startswith(
        "Start with 2.2: the scores are not scaled; that also explains 1.1, 1.2, 1.3, 2.3, 2.4, 2.6."
    )
    assert sum(len(text.split()) for text in told) <= 120


def test_words_above_the_checks_are_read_in_linear_time() -> None:
    def seconds(size: int) -> float:
        tests = [entry("2.2", "see 2.2 and " * size, output_format="html"), entry("3.2", "<" * 12 * size)]
        begin = time.process_time()
        start(tests)
        return time.process_time() - begin

    assert seconds(20_000) < 20 * max(seconds(2_000), 0.002)


def told_of(server: ForkServer, *cells: str) -> str:
    """The lines on what did not run of a notebook of these cells."""
    program = Program(
        Origin.NOTEBOOK, NOTEBOOK, tuple(Cell(f"cell [{i}]", c) for i, c in enumerate(cells, 1))
    )
    load = server.run(program.cells, []).load
    return header(StudentRun(Submission(None, program, ()), load))


def test_matrices_that_are_lists_are_told_what_the_notebook_makes_of_them(fork_server: ForkServer) -> None:
    told = told_of(fork_server, "Km = [[1, 0], [0, 1]]\nassert Km.shape == (2, 2)\nprint(Km.ndim)")
    assert told.count("A list is no matrix to the notebook, which logs nothing of that part") == 1


def test_an_np_matrix_is_told_what_the_notebook_makes_of_it(fork_server: ForkServer) -> None:
    told = told_of(fork_server, "raise AssertionError('Output shape: expected (6, 3), got (6, 1, 3)')")
    assert "the notebook wants an np.array" in told


def test_what_older_versions_had_is_told_with_both_versions(fork_server: ForkServer) -> None:
    told = told_of(fork_server, "import numpy as np\nnp.cast['float32'](1)", "import torch\ntorch.gesv(1)")
    assert f"If it ran for you, you used NumPy 1; it is graded with NumPy {np.__version__}." in told
    assert f"another PyTorch than {version('torch')}, which grades it" in told


def test_what_the_jail_refuses_is_the_grader_s_rule_not_the_student_s_error(fork_server: ForkServer) -> None:
    told = told_of(
        fork_server, "open('/etc/passwd')", "import urllib.request as u\nu.urlopen('http://localhost')"
    )
    assert told.count("a file, the network or another program, which the grader gives to nobody") == 2
    assert "raised" not in told
