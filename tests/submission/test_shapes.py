from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autograder.assignment import Task
from autograder.submission.shapes import check_shapes, work_out_shapes
from autograder.submission.types import Matrices, TaskRecord


def record(output: int = 3, Q: int = 9, K: int = 9, V: int = 9, pos: int | None = None) -> TaskRecord:
    def flat(size: int) -> Any:
        return np.arange(float(size))

    return TaskRecord(flat(output), flat(Q), flat(K), flat(V), None if pos is None else flat(pos))


def matrices(
    Km: tuple[int, ...], Qm: tuple[int, ...], Vm: tuple[int, ...], pos: tuple[int, ...] | None = None
) -> Matrices:
    return Matrices(np.zeros(Km), np.zeros(Qm), np.zeros(Vm), None if pos is None else np.zeros(pos))


def shapes(worked_out: Matrices | str) -> list[tuple[int, ...]]:
    assert isinstance(worked_out, Matrices), worked_out
    arrays = (worked_out.Km, worked_out.Qm, worked_out.Vm, worked_out.pos)
    return [array.shape for array in arrays if array is not None]


def fault(worked_out: Matrices | str | None) -> str:
    assert isinstance(worked_out, str), worked_out
    return worked_out


@pytest.mark.parametrize("qk_dim", [1, 2, 3, 7])
def test_content_matrices_have_three_rows(qk_dim: int) -> None:
    worked_out = work_out_shapes(Task.CONTENT, record(Q=3 * qk_dim, K=3 * qk_dim))
    assert shapes(worked_out) == [(3, qk_dim), (3, qk_dim), (3, 3)]


def test_flat_arrays_are_read_row_by_row() -> None:
    worked_out = work_out_shapes(Task.CONTENT, record(Q=6, K=6))
    assert isinstance(worked_out, Matrices)
    assert worked_out.Km.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("pos_dim", "qk_dim", "rows"), [(1, 1, 4), (2, 1, 5), (4, 3, 4), (4, 7, 10), (9, 2, 6)]
)
def test_position_shapes_follow_from_the_values(pos_dim: int, qk_dim: int, rows: int) -> None:
    total = 3 + pos_dim
    flat = record(V=3 * total, Q=total * qk_dim, K=total * qk_dim, pos=rows * pos_dim)
    worked_out = work_out_shapes(Task.POSITION, flat)
    assert shapes(worked_out) == [(total, qk_dim), (total, qk_dim), (total, 3), (rows, pos_dim)]


@pytest.mark.parametrize(
    ("sizes", "where", "told"),
    [
        ({"V": 8}, "V", "holds 8 numbers, which does not fit: Vm has to be (3, 3), which is 9"),
        ({"K": 10}, "K", "3, 6, 9"),
        ({"Q": 1}, "Q", "holds 1 number,"),
        ({"Q": 6}, "Q", "the same qk_dim, and attention_by_content_K has 9 numbers"),
    ],
)
def test_content_arrays_that_do_not_fit_are_named(sizes: dict[str, int], where: str, told: str) -> None:
    found = fault(work_out_shapes(Task.CONTENT, record(**sizes)))
    assert found.startswith(f"attention_by_content_{where}")
    assert told in found


@pytest.mark.parametrize(
    ("sizes", "where", "told"),
    [
        ({"V": 9}, "V", "12, 15, 18"),
        ({"V": 16}, "V", "12, 15, 18"),
        ({"V": 6}, "V", "12, 15, 18"),
        ({"K": 9}, "K", "3 + 2 rows, as Vm has with its 15 numbers: 5, 10, 15"),
        ({"Q": 10}, "Q", "the same qk_dim"),
        ({"pos": 7}, "pos", "8, 10, 12"),
        ({"pos": 6}, "pos", "pos_dim is 2 because Vm has 15 numbers"),
    ],
)
def test_position_arrays_that_do_not_fit_are_named(sizes: dict[str, int], where: str, told: str) -> None:
    fitting = {"V": 15, "K": 5, "Q": 5, "pos": 8}
    found = fault(work_out_shapes(Task.POSITION, record(**{**fitting, **sizes})))
    assert found.startswith(f"attention_by_position_{where}")
    assert told in found


@pytest.mark.parametrize(
    ("task", "given"),
    [
        (Task.CONTENT, matrices((3, 5), (3, 5), (3, 3))),
        (Task.CONTENT, matrices((3, 1), (3, 1), (3, 3), (4, 2))),
        (Task.POSITION, matrices((7, 1), (7, 1), (7, 3), (4, 4))),
        (Task.POSITION, matrices((4, 2), (4, 2), (4, 3), (9, 1))),
        (Task.UNIQUE, matrices((8, 8), (8, 8), (8, 1), (5, 4))),
        (Task.UNIQUE, matrices((9, 2), (9, 2), (9, 3), (6, 5))),
        (Task.UNIQUE, matrices((4, 2), (4, 2), (4, 1), (5, 0))),
        (Task.UNIQUE, matrices((4, 2), (4, 2), (4, 1))),
    ],
)
def test_matrices_that_the_notebook_takes_are_taken(task: Task, given: Matrices) -> None:
    assert isinstance(check_shapes(task, given), Matrices)


def test_a_pos_left_over_has_no_part_in_content() -> None:
    assert shapes(check_shapes(Task.CONTENT, matrices((3, 1), (3, 1), (3, 3), (1,)))) == [
        (3, 1),
        (3, 1),
        (3, 3),
    ]


@pytest.mark.parametrize(
    ("task", "given", "where", "told"),
    [
        (
            Task.CONTENT,
            matrices((2, 3), (3, 2), (3, 3)),
            "Km",
            "(3, qk_dim) was expected; it looks transposed",
        ),
        (Task.CONTENT, matrices((3, 2), (3, 2), (3, 1)), "Vm", "has shape (3, 1): (3, 3) was expected"),
        (Task.CONTENT, matrices((3, 2), (3, 4), (3, 3)), "Qm", "has 4 columns and Km has 2"),
        (Task.CONTENT, matrices((3,), (3, 4), (3, 3)), "Km", "two dimensions"),
        (Task.CONTENT, matrices((3, 0), (3, 0), (3, 3)), "Km", "has shape (3, 0)"),
        (Task.POSITION, matrices((7, 1), (7, 1), (7, 3)), "pos", "is not there"),
        (Task.POSITION, matrices((7, 1), (7, 1), (7, 3), (3, 4)), "pos", "(4 or more, pos_dim)"),
        (Task.POSITION, matrices((5, 1), (5, 1), (5, 3), (2, 4)), "pos", "it looks transposed"),
        (
            Task.POSITION,
            matrices((7, 1), (7, 1), (3, 7), (4, 4)),
            "Vm",
            "(3 + pos_dim = 7, 3) was expected; it",
        ),
        (Task.POSITION, matrices((3, 1), (3, 1), (3, 3), (4, 0)), "pos", "pos_dim"),
        (Task.UNIQUE, matrices((8, 8), (8, 8), (8, 1), (4, 4)), "pos", "CLS included"),
        (Task.UNIQUE, matrices((7, 8), (7, 8), (7, 1), (5, 4)), "Km", "4 + pos_dim = 8"),
        (Task.UNIQUE, matrices((8, 8), (8, 8), (8, 0), (5, 4)), "Vm", "v_dim, at least 1"),
    ],
)
def test_matrices_that_the_notebook_refuses_are_named(
    task: Task, given: Matrices, where: str, told: str
) -> None:
    found = fault(check_shapes(task, given))
    assert found.startswith(where)
    assert told in found
    assert task.value in found
