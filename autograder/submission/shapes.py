"""From arrays to one task's matrices: shapes worked out of flat arrays, or checked where they came along.

What the notebook's own asserts let pass, passes here. With input_dim tokens' width (3, and 4 for unique
tokens), Km and Qm are (input_dim + pos_dim, qk_dim), Vm is (input_dim + pos_dim, v_dim) and pos is
(rows, pos_dim).
"""

from __future__ import annotations

from autograder.assignment import MATRICES, TASK_FACTS, Task
from autograder.submission.types import Matrices, TaskRecord

_TOKEN_DIM = TASK_FACTS[Task.CONTENT].token_dim


def work_out_shapes(task: Task, record: TaskRecord) -> Matrices | str:
    """Shape the flat arrays of the log's record of a task, CONTENT or POSITION; or say, in a student's words,
    what came of the first that does not fit, what would fit and what to do.

    CONTENT: all three have 3 rows. POSITION: Vm has 3 columns and 3 + pos_dim rows, which gives pos_dim,
    then qk_dim and the rows of pos.
    """
    if task is Task.UNIQUE or (task is Task.POSITION) != (record.pos is not None):
        raise ValueError(f"the log records no matrices with these arrays for {task}")

    def fault(array: str, expected: str) -> str:
        size = len(getattr(record, array))
        came = f"{task.value}_{array} holds {size} number{'' if size == 1 else 's'}, which does not fit"
        return (
            f"{came}: {expected}. Correct the matrix in its cell, run that cell and the one that writes the "
            "log, and download the log again."
        )

    rows, left = divmod(len(record.V), _TOKEN_DIM)
    pos_dim = rows - _TOKEN_DIM
    if record.pos is None and (left or pos_dim):
        return fault("V", "Vm has to be (3, 3), which is 9 numbers")
    if left or pos_dim < (record.pos is not None):
        sizes = "12, 15, 18, … numbers for a pos_dim of 1, 2, 3, …"
        return fault("V", f"Vm has to be (3 + pos_dim, 3), which is {sizes}")
    basis = f"3 + {pos_dim} rows, as Vm has with its {len(record.V)} numbers" if pos_dim else "3 rows"
    for letter, flat in (("K", record.K), ("Q", record.Q)):
        if len(flat) % rows or not len(flat):
            sizes = f"{rows}, {2 * rows}, {3 * rows}, … numbers for a qk_dim of 1, 2, …"
            return fault(letter, f"{letter}m has {basis}: {sizes}")
    if len(record.K) != len(record.Q):
        came = f"{task.value}_K has {len(record.K)} numbers"
        return fault("Q", f"Km and Qm need the same qk_dim, and {came}")
    K, Q, V = (flat.reshape(rows, -1) for flat in (record.K, record.Q, record.V))
    if record.pos is None:
        return Matrices(K, Q, V)
    least = TASK_FACTS[Task.POSITION].longest
    if len(record.pos) % pos_dim or len(record.pos) < least * pos_dim:
        sizes = ", ".join(str((least + more) * pos_dim) for more in range(3))
        basis = f"pos_dim is {pos_dim} because Vm has {len(record.V)} numbers"
        return fault("pos", f"pos has to be (4 or more, pos_dim), and {basis}: {sizes}, … numbers")
    return Matrices(K, Q, V, record.pos.reshape(-1, pos_dim))


def check_shapes(task: Task, matrices: Matrices) -> Matrices | str:
    """Check matrices that came with shapes of their own, which may be any; or say which does not fit.

    CONTENT has no positions: a pos is ignored there. UNIQUE can be solved without: it may have none.
    """

    def fault(name: str, came: str, expected: str) -> str:
        advice = "Correct it in that task's cell and run all cells again."
        return f"{name} of {task.value} {came}: {expected}. {advice}"

    def misfit(name: str, expected: str, *, turned: bool = False) -> str:
        looks = "; it looks transposed" if turned else ""
        return fault(name, f"has shape {given[name].shape}", f"{expected} was expected{looks}")

    facts = TASK_FACTS[task]
    given = {name: getattr(matrices, name) for name in MATRICES if getattr(matrices, name) is not None}
    if not facts.has_pos:
        given.pop("pos", None)
    elif "pos" not in given and not facts.optional:
        expected = f"a matrix of shape ({facts.longest} or more, pos_dim) was expected"
        return fault("pos", "is not there", expected)
    for name, array in given.items():
        if array.ndim != 2:
            return misfit(name, "a matrix with two dimensions")
    total = input_dim = facts.token_dim
    sizes = f"{total}"
    if "pos" in given:
        rows, pos_dim = given["pos"].shape
        least = facts.longest
        if rows < least or not (pos_dim or facts.optional):
            with_cls = ", CLS included" if task is Task.UNIQUE else ""
            expected = f"({least} or more, pos_dim), one row for each place in a sequence{with_cls},"
            return misfit("pos", expected, turned=pos_dim >= least)
        total += pos_dim
        sizes = f"{input_dim} + pos_dim = {total}"
    wanted = {"Km": None, "Qm": None, "Vm": facts.v_dim}
    for name, columns in wanted.items():
        rows, came = given[name].shape
        if rows != total or came != (columns or max(came, 1)):
            free = "v_dim, at least 1" if name == "Vm" else "qk_dim"
            turned = came == total and columns in (None, rows)
            return misfit(name, f"({sizes}, {columns or free})", turned=turned)
    if given["Km"].shape[1] != given["Qm"].shape[1]:
        came_qk = f"has {given['Qm'].shape[1]} columns and Km has {given['Km'].shape[1]}"
        return fault("Qm", came_qk, "both need the same number of columns, qk_dim")
    return Matrices(**given)
