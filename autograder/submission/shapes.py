"""From arrays to one task's matrices: shapes worked out of flat arrays, or checked where they came along.

What the notebook's own asserts let pass, passes here. With input_dim tokens' width (3, and 4 for unique
tokens), Km and Qm are (input_dim + pos_dim, qk_dim), Vm is (input_dim + pos_dim, v_dim) and pos is
(rows, pos_dim).
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from autograder.assignment import TASK_FACTS, Task
from autograder.submission.types import FlatArray, Matrices, ShapeFault, TaskRecord

__all__ = ["Matrices", "ShapeFault", "check_shapes", "work_out_shapes"]

_TOKEN_DIM = TASK_FACTS[Task.CONTENT].token_dim


def work_out_shapes(task: Task, record: TaskRecord) -> Matrices | ShapeFault:
    """Shape the flat arrays of the log's record of a task, CONTENT or POSITION.

    CONTENT: all three have 3 rows. POSITION: Vm has 3 columns and 3 + pos_dim rows, which gives pos_dim,
    then qk_dim and the rows of pos.
    """
    if task is Task.CONTENT:
        return _content(record)
    if task is Task.POSITION and record.pos is not None:
        return _position(record, record.pos)
    raise ValueError(f"the log records no matrices with flat arrays for {task}")


def _content(record: TaskRecord) -> Matrices | ShapeFault:
    if len(record.V) != _TOKEN_DIM**2:
        return _fault("attention_by_content_V", len(record.V), "Vm has to be (3, 3), which is 9 numbers")
    fault = _qk_fault("attention_by_content", record, _TOKEN_DIM, "3 rows")
    if fault:
        return fault
    return Matrices(*(flat.reshape(_TOKEN_DIM, -1) for flat in (record.K, record.Q, record.V)))


def _position(record: TaskRecord, pos: FlatArray) -> Matrices | ShapeFault:
    name = Task.POSITION.value
    rows, left = divmod(len(record.V), _TOKEN_DIM)
    pos_dim = rows - _TOKEN_DIM
    if left or pos_dim < 1:
        return _fault(
            f"{name}_V",
            len(record.V),
            "Vm has to be (3 + pos_dim, 3), which is 12, 15, 18, … numbers for a pos_dim of 1, 2, 3, …",
        )
    basis = f"3 + {pos_dim} rows, as Vm has with its {len(record.V)} numbers"
    fault = _qk_fault(name, record, rows, basis)
    if fault:
        return fault
    if len(pos) % pos_dim or len(pos) < TASK_FACTS[Task.POSITION].longest * pos_dim:
        least = TASK_FACTS[Task.POSITION].longest
        return _fault(
            f"{name}_pos",
            len(pos),
            f"pos has to be (4 or more, pos_dim), and pos_dim is {pos_dim} because Vm has {len(record.V)} "
            f"numbers: {least * pos_dim}, {(least + 1) * pos_dim}, {(least + 2) * pos_dim}, … numbers",
        )
    K, Q, V = (flat.reshape(rows, -1) for flat in (record.K, record.Q, record.V))
    return Matrices(K, Q, V, pos.reshape(-1, pos_dim))


def _qk_fault(name: str, record: TaskRecord, rows: int, basis: str) -> ShapeFault | None:
    for letter, flat in (("K", record.K), ("Q", record.Q)):
        if len(flat) % rows or not len(flat):
            return _fault(
                f"{name}_{letter}",
                len(flat),
                f"{letter}m has {basis}: {rows}, {2 * rows}, {3 * rows}, … numbers for a qk_dim of 1, 2, …",
            )
    if len(record.K) != len(record.Q):
        return _fault(
            f"{name}_Q",
            len(record.Q),
            f"Km and Qm need the same qk_dim, and {name}_K has {len(record.K)} numbers",
        )
    return None


def _fault(where: str, size: int, expected: str) -> ShapeFault:
    return ShapeFault(
        where,
        f"{where} holds {size} number{'' if size == 1 else 's'}, which does not fit: {expected}. Correct the "
        "matrix in its cell, run that cell and the one that writes the log, and download the log again.",
    )


def check_shapes(task: Task, matrices: Matrices) -> Matrices | ShapeFault:
    """Check matrices that came with shapes of their own, which may be any.

    CONTENT has no positions: a pos is ignored there. UNIQUE can be solved without: it may have none.
    """
    given = {"Km": matrices.Km, "Qm": matrices.Qm, "Vm": matrices.Vm}
    if matrices.pos is not None and task is not Task.CONTENT:
        given["pos"] = matrices.pos
    elif task is Task.POSITION:
        return _misfit(task, "pos", "is not there", "a matrix of shape (4 or more, pos_dim) was expected")
    for name, array in given.items():
        if array.ndim != 2:
            return _misfit(task, name, _has(array), "a matrix with two dimensions was expected")
    input_dim = TASK_FACTS[task].token_dim
    pos = given.get("pos")
    if pos is not None and (fault := _pos_fault(task, pos)):
        return fault
    total = input_dim + (0 if pos is None else pos.shape[1])
    sizes = f"{total}" if pos is None else f"{input_dim} + pos_dim = {total}"
    v_dim = None if task is Task.UNIQUE else _TOKEN_DIM
    for name, columns in (("Km", None), ("Qm", None), ("Vm", v_dim)):
        if fault := _matrix_fault(task, name, given[name], (total, columns), sizes):
            return fault
    if given["Km"].shape[1] != given["Qm"].shape[1]:
        came = f"has {given['Qm'].shape[1]} columns and Km has {given['Km'].shape[1]}"
        return _misfit(task, "Qm", came, "both need the same number of columns, qk_dim")
    return Matrices(given["Km"], given["Qm"], given["Vm"], pos)


def _pos_fault(task: Task, pos: FlatArray) -> ShapeFault | None:
    rows, pos_dim = pos.shape
    least = TASK_FACTS[task].longest
    if rows >= least and (pos_dim or task is Task.UNIQUE):
        return None
    with_cls = ", CLS included" if task is Task.UNIQUE else ""
    expected = f"({least} or more, pos_dim) was expected, one row for each place in a sequence{with_cls}"
    turned = "; it looks transposed" if pos_dim >= least else ""
    return _misfit(task, "pos", _has(pos), expected + turned)


def _matrix_fault(
    task: Task, name: str, matrix: FlatArray, wanted: tuple[int, int | None], sizes: str
) -> ShapeFault | None:
    rows, columns = wanted
    if matrix.shape[0] == rows and matrix.shape[1] == (columns or max(matrix.shape[1], 1)):
        return None
    free = "qk_dim" if name != "Vm" else "v_dim, at least 1"
    expected = f"({sizes}, {columns or free}) was expected"
    turned = matrix.shape[1] == rows and (columns is None or matrix.shape[0] == columns)
    return _misfit(task, name, _has(matrix), expected + ("; it looks transposed" if turned else ""))


def _has(array: npt.NDArray[Any]) -> str:
    return f"has shape {tuple(array.shape)}"


def _misfit(task: Task, name: str, came: str, expected: str) -> ShapeFault:
    message = (
        f"{name} of {task.value} {came}: {expected}. Correct it in that task's cell and run all cells again."
    )
    return ShapeFault(name, message)
