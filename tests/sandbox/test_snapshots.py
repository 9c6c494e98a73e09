"""The matrices are taken as they stood when their task's cell ran."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from autograder.assignment import Task
from autograder.sandbox.calls import Answer, Cell, Outcome, Refusal, Refused, TaskMatrices
from autograder.sandbox.host import ForkServer

IMPORT = "import numpy as np\nTO_SAVE = {}"
CONTENT = "Km = {scale} * np.eye(3)\nQm, Vm = np.eye(3), np.eye(3)"
CONTENT_STORE = "TO_SAVE['attention_by_content'] = [1]\nTO_SAVE['attention_by_content_Q'] = Qm.tolist()"
POSITION = "pos = np.eye(4)\nKm = {scale} * np.ones((7, 2))\nQm = np.ones((7, 2))\nVm = np.ones((7, 3))"
POSITION_STORE = "TO_SAVE['attention_by_position'] = [1]"
UNIQUE = "pos = np.eye(5)\nKm = {scale} * np.ones((9, 2))\nQm = np.ones((9, 2))\nVm = np.ones((9, 1))"
UNIQUE_TEST = "def generate_test_cases_unique(): return 1\nfor i in range(3): generate_test_cases_unique()"


def take(fork_server: ForkServer, sources: Sequence[str], task: Task) -> Outcome:
    cells = [Cell(f"cell {number}", source) for number, source in enumerate((IMPORT, *sources), 1)]
    return fork_server.run(cells, [TaskMatrices(task)]).outcomes[0]


def scale(outcome: Outcome) -> float:
    assert isinstance(outcome, Answer)
    return float(outcome.arrays["Km"].max())


NOTEBOOK = [
    CONTENT.format(scale=2),
    CONTENT_STORE,
    "Qm = np.array([[1, 0], [0, 0], [0, 1]])",
    POSITION.format(scale=3),
    POSITION_STORE,
    UNIQUE.format(scale=4),
    UNIQUE_TEST,
]


@pytest.mark.parametrize(("task", "expected"), [(Task.CONTENT, 2), (Task.POSITION, 3), (Task.UNIQUE, 4)])
def test_each_task_has_its_own(fork_server: ForkServer, task: Task, expected: float) -> None:
    assert scale(take(fork_server, NOTEBOOK, task)) == expected


def test_only_positions_and_unique_have_pos(fork_server: ForkServer) -> None:
    names = {task: set(getattr(take(fork_server, NOTEBOOK, task), "arrays", ())) for task in Task}
    three = {"Km", "Qm", "Vm"}
    assert names == {Task.CONTENT: three, Task.POSITION: three | {"pos"}, Task.UNIQUE: three | {"pos"}}


def test_a_later_edit_does_not_reach_back_even_in_place(fork_server: ForkServer) -> None:
    sources = [CONTENT.format(scale=2), CONTENT_STORE, "Km[:] = 9"]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 2


def test_an_edit_in_place_before_the_store_counts(fork_server: ForkServer) -> None:
    sources = [CONTENT.format(scale=2), "Km[0, 0] = 7", CONTENT_STORE]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 7


def test_of_two_stores_the_later_counts(fork_server: ForkServer) -> None:
    sources = [CONTENT.format(scale=2), CONTENT_STORE, CONTENT.format(scale=5), CONTENT_STORE]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 5


def test_a_store_counts_more_than_a_later_test(fork_server: ForkServer) -> None:
    later = "def generate_test_cases_identity(): pass\ngenerate_test_cases_identity()"
    sources = [CONTENT.format(scale=2), CONTENT_STORE, CONTENT.format(scale=5), later]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 2


def test_a_test_that_failed_still_marks_the_cell(fork_server: ForkServer) -> None:
    failing = (
        "def generate_test_cases_unique(): assert False\nfor i in range(3): generate_test_cases_unique()"
    )
    assert scale(take(fork_server, [*NOTEBOOK[:6], failing], Task.UNIQUE)) == 4


def test_a_store_inside_a_function_marks_nothing_by_itself(fork_server: ForkServer) -> None:
    hidden = "def save(): TO_SAVE['attention_by_content'] = 1"
    sources = [CONTENT.format(scale=2), CONTENT_STORE, CONTENT.format(scale=5), hidden]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 2


def test_matrices_defined_after_their_cell_are_found_by_their_shapes(fork_server: ForkServer) -> None:
    sources = [POSITION.format(scale=3), "TO_SAVE['attention_by_content'] = 1", CONTENT.format(scale=2)]
    assert scale(take(fork_server, sources, Task.CONTENT)) == 2


def test_matrices_that_fit_nowhere_are_given_as_they_are(fork_server: ForkServer) -> None:
    wrong = "Km = Qm = Vm = np.ones((4, 4))"
    got = take(fork_server, [wrong, CONTENT_STORE], Task.CONTENT)
    assert isinstance(got, Answer)
    assert got.arrays["Vm"].shape == (4, 4)


@pytest.mark.parametrize("last", ["", "Km = 2 * Km", "Km[0] += 1"])
def test_a_skipped_optional_part_has_no_matrices(fork_server: ForkServer, last: str) -> None:
    got = take(fork_server, [*NOTEBOOK[:5], last, UNIQUE_TEST], Task.UNIQUE)
    assert isinstance(got, Refused)
    assert got.reason is Refusal.NO_MATRICES


def test_what_is_missing_is_named(fork_server: ForkServer) -> None:
    assert take(
        fork_server, ["Qm = np.eye(3)", "TO_SAVE['attention_by_content'] = 1"], Task.CONTENT
    ) == Refused(Refusal.NO_MATRICES, "Km, Vm")
    assert take(fork_server, [CONTENT.format(scale=1), POSITION_STORE], Task.POSITION) == Refused(
        Refusal.NO_MATRICES, "pos"
    )


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("'abc'", "Km is a str"),
        ("np.array(['a'])", "Km is a NumPy array of shape (1,) of <U1"),
        ("np.eye(3) * 1j", "Km is a NumPy array of shape (3, 3) of complex128"),
        ("[[1, 2], [3]]", "Km is a list of 2"),
        ("np.ones((2000, 2000))", "Km is an array of 4000000 numbers"),
        ("type('Lies', (), {'__array__': lambda self: np.eye(3), 'shape': (3, 3)})()", "Km is a Lies"),
    ],
)
def test_what_is_no_matrix_is_refused_by_what_it_is(fork_server: ForkServer, value: str, detail: str) -> None:
    got = take(fork_server, [CONTENT.format(scale=1), f"Km = {value}", CONTENT_STORE], Task.CONTENT)
    assert got == Refused(Refusal.NOT_NUMERIC, detail)


def test_nan_and_infinity_come_through(fork_server: ForkServer) -> None:
    got = take(
        fork_server,
        [CONTENT.format(scale=1), "Km[0, 0], Km[1, 1] = np.nan, np.inf", CONTENT_STORE],
        Task.CONTENT,
    )
    assert isinstance(got, Answer)
    assert np.isnan(got.arrays["Km"][0, 0])
    assert np.isinf(got.arrays["Km"][1, 1])


def test_matrices_under_other_names_are_those_that_the_lines_for_the_log_take(
    fork_server: ForkServer,
) -> None:
    store = "\n".join(f"TO_SAVE['attention_by_content_{x}'] = {x}m1.reshape(-1).tolist()" for x in "QKV")
    own = CONTENT.format(scale=2).replace("m", "m1")
    assert scale(take(fork_server, [own, store, POSITION.format(scale=3), POSITION_STORE], Task.CONTENT)) == 2
