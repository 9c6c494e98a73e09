"""`./run_autograder explain`: one upload on one page, for a regrade request.

What was handed in, the code with the lines that messages name marked, every message with its picture, and
for a failing case or sequence the reference beside the student, with the first step that differs marked.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from autograder import settings
from autograder.assignment import CLASS_NAME, Task
from autograder.checks.hand_designed import find_matrices, judge
from autograder.checks.pytorch_transformer import NUMBERS
from autograder.checks.run import StudentRun
from autograder.compare import compare
from autograder.errors import UsageError
from autograder.grade import grade, run_student_code
from autograder.pages import submission_page, there, write_page
from autograder.sandbox.calls import Answer, Cell, Forward, Outcome, Raised
from autograder.sandbox.host import ForkServer
from autograder.submission.types import Matrices
from autograder.text import NAME_LIMIT, clean
from reference.solutions import SOLUTIONS
from reference.tasks import TASKS
from reference.transformer import Attention, FloatArray, NumpyTransformer

_STEPS: Final = ("queries", "keys", "values", "scores", "attention_weights", "output")
_SEQUENCES: Final = {"3.2": Task.CONTENT, "4.2": Task.POSITION, "5.1": Task.UNIQUE}
_MAX_ROWS, _MAX_COLUMNS = 12, 16
"""What is beyond of a matrix is left out of the page."""
_MAX_KEPT: Final = 400
"""Matrices that one forward pass is watched making."""
_RECORDER: Final = f"""
import torch as _torch
from torch.utils._python_dispatch import TorchDispatchMode as _Mode

def _recording(forward):
    def recorded(self, *arguments, **named):
        kept = []
        class Recorder(_Mode):
            def __torch_dispatch__(mode, function, types, args=(), kwargs=None):
                made = function(*args, **(kwargs or {{}}))
                for one in made if isinstance(made, (tuple, list)) else (made,):
                    if isinstance(one, _torch.Tensor) and one.is_floating_point() and len(kept) < {_MAX_KEPT}:
                        kept.append(one.detach().clone())
                return made
        try:
            with Recorder():
                kept.append(forward(self, *arguments, **named).detach())
        except Exception:
            pass  # what came before it was made, and is shown
        flat = []
        for one in kept:
            while one.dim() > 2 and one.shape[0] == 1:
                one = one[0]
            if one.dim() == 2 and one.numel() <= 4096:
                flat += [float(one.shape[0]), float(one.shape[1]), *one.double().flatten().tolist()]
        return _torch.tensor(flat, dtype=_torch.float64)
    return recorded

{CLASS_NAME}.forward = _recording({CLASS_NAME}.forward)
"""
"""Runs behind the student's program: forward then gives every matrix that it makes, each behind its shape."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises UsageError and GraderFault."""
    parser = argparse.ArgumentParser(
        prog="run_autograder explain",
        description="One upload on one page, for a regrade request: code, messages, pictures, and what the "
        "student's code computes beside what the reference does.",
    )
    parser.add_argument("submission", type=there, help="a folder, .ipynb, .py, .json or .zip")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html")
    parser.add_argument("--check", default="", metavar="NUMBER", help="tell of this check alone, as 3.2")
    parser.add_argument(
        "--train", type=int, default=0, metavar="STEPS", help="train the model as well, as `compare` does"
    )
    options = parser.parse_args(arguments)
    with ForkServer() as fork_server:
        page = explain(options.submission, fork_server, only=options.check, steps=options.train)
    write_page(page, options.output, "page")
    return 0


def explain(upload: Path, fork_server: ForkServer, *, only: str = "", steps: int = 0) -> str:
    """The page. only: the number of the one check to tell of. steps: of a training; 0: none.

    Raises UsageError if there is no such check, and GraderFault.
    """
    graded = grade(upload, fork_server)
    numbers = [test["number"] for test in graded.results["tests"]]
    if only and only not in numbers:
        raise UsageError(f"there is no check {only}: give one of {', '.join(numbers)}")
    comparisons: list[dict[str, Any]] = []
    learned: list[dict[str, Any]] = []
    if graded.submission is not None:
        run = run_student_code(graded.submission, fork_server)
        comparisons = [one for one in _comparisons(run, fork_server) if only in ("", one["number"])]
        learned = compare(run, fork_server, steps) if steps > 0 else []
    return submission_page(
        graded.results,
        f"Explained: {clean(upload.resolve().name, NAME_LIMIT)}",
        files=graded.files,
        comparisons=comparisons,
        learned=learned,
        only=only,
        reasons=graded.faults,
    )


def _comparisons(run: StudentRun, fork_server: ForkServer) -> Iterator[dict[str, Any]]:
    """The first failing case of each check of the model, the first failing sequence of each task."""
    program = run.submission.program
    for group, number in NUMBERS.items() if program is not None and run.outcomes else ():
        wrong = next((one for one in run.forward[group] if not one.is_right), None)
        if wrong is not None and program is not None:
            cells = (*program.cells, Cell("the grader's recorder", _RECORDER))
            (watched,) = fork_server.run(cells, (wrong.call,)).outcomes
            yield _of_model(number, wrong.call, wrong.outcome, watched)
    for number, task in _SEQUENCES.items():
        if (run.submission.log or run.outcomes) and (matrices := find_matrices(run, task).matrices):
            yield from _of_sequence(number, task, matrices)


def _of_model(number: str, call: Forward, outcome: Outcome, watched: Outcome) -> dict[str, Any]:
    """One forward pass: the reference's steps, and the matrices of the code that stand for them."""
    weights: Any = call.weights  # of any float dtype; NumpyTransformer makes it float64
    reference = NumpyTransformer(weights.Km, weights.Qm, weights.Vm, weights.pos).forward(call.seq)
    made = _recorded(watched)
    output = outcome.arrays["output"] if isinstance(outcome, Answer) else None
    sizes = ", ".join(f"{name} {size}" for name, size in vars(call.sizes).items())
    lines = [f"{sizes}; a sequence of {len(call.seq)} tokens."]
    if isinstance(outcome, Raised):
        lines.append(f"forward raised {outcome.type_name}: {outcome.message}")
    elif output is None:
        lines.append("forward gave no output.")
    if not made:
        lines.append("What forward makes on its way could not be watched; its output alone is shown.")
    steps = _steps(vars(reference), _matched(reference, made, output))
    return {"number": number, "title": f"{number}: one failing case", "lines": lines, "steps": steps}


def _recorded(watched: Outcome) -> list[FloatArray]:
    """The matrices that a watched forward pass made, in order; none if it could not be watched."""
    flat = watched.arrays["output"] if isinstance(watched, Answer) else np.zeros(0)
    found: list[FloatArray] = []
    while flat.ndim == 1 and len(flat) >= 2:
        rows, columns = flat[:2]
        if not (min(rows, columns) >= 0 and rows * columns <= len(flat) - 2):
            return []
        matrix, flat = np.split(flat[2:], [int(rows * columns)])
        found.append(matrix.reshape(int(rows), int(columns)))
    return found


def _matched(
    reference: Attention, made: list[FloatArray], output: FloatArray | None
) -> dict[str, FloatArray | None]:
    """The matrix that stands for each step: one that equals the reference's, else the last of its shape.

    Looked for from the end, each before the one after it: scores come before weights, weights before output.
    """
    found = {"output": output if output is not None and output.ndim == 2 else None}
    for name in ("attention_weights", "scores", "values", "keys", "queries"):
        expected = getattr(reference, name)
        weights = found.get("attention_weights") if name == "scores" else None
        places = [at for at, one in enumerate(made) if weights is None or not _same(one, weights)]
        equal = [at for at in places if _same(made[at], expected)]
        others = [getattr(reference, step) for step in _STEPS]
        fit = [at for at in places if made[at].shape == expected.shape]
        alike = [at for at in fit if not any(_same(made[at], other) for other in others)]
        at = (equal or alike or [-1])[-1]
        found[name] = made[at] if at >= 0 else None
        if at >= 0 and name in ("attention_weights", "scores"):
            made = made[:at]
    return found


def _same(one: FloatArray, expected: FloatArray) -> bool:
    return one.shape == expected.shape and bool(_right(one, expected).all())


def _right(one: FloatArray, expected: FloatArray, atol: float = settings.MODEL_ATOL) -> npt.NDArray[np.bool_]:
    return np.isclose(one, expected, rtol=settings.RTOL, atol=atol)


def _of_sequence(number: str, name: Task, matrices: Matrices) -> Iterator[dict[str, Any]]:
    """The first sequence on which hand-designed matrices are wrong, beside one of the right answers."""
    judged = judge(name, matrices)
    every = np.concatenate(judged.right)
    wrong = [
        (batch, int(np.argmin(right)))
        for batch, right in zip(judged.task.all_sequences(), judged.right, strict=True)
        if not right.all()
    ]
    for batch, index in wrong[:1]:
        seq = batch.inputs[index]
        student = vars(judged.transformer.forward(seq)) | {"output": judged.transformer.plain(seq).output}
        reference = vars(next(iter(SOLUTIONS[name.value].values())).forward(seq))
        lines = [
            f"The sequence {batch.spell(index)}; {every.sum()} of {every.size} sequences are "
            "right. Other queries, keys and scores may be right, too: what counts is the output."
        ]
        if TASKS[name.value].has_cls:
            lines.append("The output's first row, that of CLS, is left out: nobody looks at it.")
            student, reference = ({**one, "output": one["output"][1:]} for one in (student, reference))
        steps = _steps(reference, student, ("output",), settings.TASK_ATOL)
        title = f"{number}: the first failing sequence"
        yield {"number": number, "title": title, "lines": lines, "steps": steps}


def _steps(
    reference: Mapping[str, Any],
    student: Mapping[str, Any],
    judged: Sequence[str] = _STEPS,
    atol: float = settings.MODEL_ATOL,
) -> list[dict[str, Any]]:
    """Rows of the page's table. judged: the steps in which to differ is a mistake."""
    rows: list[dict[str, Any]] = []
    for name in _STEPS:
        expected, got = reference[name], student.get(name)
        wrong = np.ones(expected.shape, dtype=bool)
        if got is not None and got.shape == expected.shape:
            wrong = ~_right(got, expected, atol)
        differs = name in judged and bool(wrong.any())
        rows.append(
            {
                "name": name.replace("_", " "),
                "reference": _heat(expected),
                "student": None if got is None else _heat(got, wrong if differs else None),
                "missing": "no matrix of {} rows and {} columns is made here".format(*expected.shape),
                "differs": differs,
                "first": differs and not any(row["differs"] for row in rows),
            }
        )
    return rows


def _heat(matrix: FloatArray, wrong: npt.NDArray[np.bool_] | None = None) -> list[list[dict[str, Any]]]:
    """The cells of a heatmap: white is zero, blue positive, orange negative, all on the matrix' own scale."""
    finite = np.abs(matrix[np.isfinite(matrix)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return [
        [
            {
                "text": f"{value:.3g}",
                "tint": "46 111 187" if value > 0 else "217 119 37",
                "much": round(0.55 * min(1.0, abs(value) / largest), 2) if np.isfinite(value) else 0,
                "wrong": bool(wrong is not None and wrong.shape == matrix.shape and wrong[i, j]),
            }
            for j, value in enumerate(row[:_MAX_COLUMNS])
        ]
        for i, row in enumerate(matrix[:_MAX_ROWS])
    ]
