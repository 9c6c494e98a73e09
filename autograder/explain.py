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

from autograder import settings
from autograder.assignment import CLASS_NAME, Task
from autograder.checks.hand_designed import find_matrices, judge
from autograder.checks.run import StudentRun
from autograder.compare import compare
from autograder.errors import UsageError
from autograder.feedback.messages import Verdict
from autograder.grade import grade, read_upload, run_student_code
from autograder.pages import submission_page, there, write_page
from autograder.sandbox.calls import Answer, Cell, Forward, Outcome, Raised
from autograder.sandbox.host import ForkServer
from autograder.text import NAME_LIMIT, clean
from reference.solutions import SOLUTIONS
from reference.transformer import Attention, BoolArray, FloatArray, NumpyTransformer

_STEPS: Final = ("queries", "keys", "values", "scores", "attention_weights", "output")
_SEQUENCES: Final = {"3.2": Task.CONTENT, "4.2": Task.POSITION, "5.1": Task.UNIQUE}
_MAX_ROWS, _MAX_COLUMNS = 12, 16
"""What is beyond of a matrix is left out of the page."""
_MAX_KEPT: Final = 100_000
"""Numbers of the matrices that one forward pass is watched making."""
_RECORDER: Final = f"""
def _recording(forward):
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    def recorded(self, *arguments, **named):
        kept = []

        class Recorder(TorchDispatchMode):
            def __torch_dispatch__(mode, function, types, args=(), kwargs=None):
                made = function(*args, **(kwargs or {{}}))
                for one in made if isinstance(made, (tuple, list)) else (made,):
                    if isinstance(one, torch.Tensor) and one.is_floating_point() and one.dim() > 1:
                        rows, columns = one.shape[-2:]
                        if one.numel() == rows * columns <= 4096 and len(kept) < {_MAX_KEPT}:
                            kept.extend((rows, columns, *one.double().flatten().tolist()))
                return made

        try:
            with Recorder():
                forward(self, *arguments, **named)
        except Exception:
            pass  # what came before it was made, and is shown
        return torch.tensor(kept, dtype=torch.float64)
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
        page = explain_upload(options.submission, fork_server, only=options.check, steps=options.train)
    write_page(page, options.output, "page")
    return 0


def explain_upload(upload: Path, fork_server: ForkServer, *, only: str = "", steps: int = 0) -> str:
    """The page. only: the number of the one check to tell of. steps: of a training; 0: none.

    Raises UsageError if there is no such check, and GraderFault.
    """
    graded = grade(upload, fork_server)
    numbers = [test["number"] for test in graded.results["tests"]]
    if only and only not in numbers:
        raise UsageError(f"there is no check {only}: give one of {', '.join(numbers)}")
    run = run_student_code(graded.submission or read_upload(upload), fork_server)
    return submission_page(
        graded.results,
        f"Explained: {clean(upload.resolve().name, NAME_LIMIT)}",
        files=graded.files,
        comparisons=[one for one in _comparisons(run, fork_server) if only in ("", one["number"])],
        learned=compare(run, fork_server, steps) if steps > 0 else (),
        only=only,
        reasons=graded.faults,
    )


def _comparisons(run: StudentRun, fork_server: ForkServer) -> Iterator[dict[str, Any]]:
    """The first failing case of each check of the model, the first failing sequence of each task."""
    program = run.submission.program
    cells = () if program is None else (*program.cells, Cell("the grader's recorder", _RECORDER))
    for group in run.forward.values():
        for wrong in group.wrong[:1]:
            (watched,) = fork_server.run(cells, (wrong.call,)).outcomes
            yield _of_model(group.number, wrong.call, wrong.outcome, watched)
    for number, task in _SEQUENCES.items():
        matrices = find_matrices(run, task).matrices
        if matrices is not None and (verdict := judge(task, matrices)).share < 1:
            yield _of_sequence(number, verdict)


def _of_model(number: str, call: Forward, outcome: Outcome, watched: Outcome) -> dict[str, Any]:
    """One forward pass: the reference's steps, and the matrices of the code that stand for them."""
    reference = NumpyTransformer(*vars(call.weights).values()).forward(call.seq)
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
    steps = [getattr(reference, name) for name in _STEPS]
    for name in ("attention_weights", "scores", "values", "keys", "queries"):
        expected, best = getattr(reference, name), -1
        for at, one in enumerate(made):
            right = _same(one, expected)
            fits = one.shape == expected.shape and not any(_same(one, step) for step in steps)
            if right or (fits and (best < 0 or not _same(made[best], expected))):
                best = at
        found[name] = made[best] if best >= 0 else None
        if best >= 0 and name in ("attention_weights", "scores"):
            made = [one for one in made[:best] if not _same(one, made[best])]
    return found


def _same(one: FloatArray, expected: FloatArray) -> bool:
    return one.shape == expected.shape and np.allclose(one, expected, settings.RTOL, settings.MODEL_ATOL)


def _of_sequence(number: str, judged: Verdict) -> dict[str, Any]:
    """The first sequence on which hand-designed matrices are wrong, beside one of the right answers."""
    task, (batch, index) = judged.task, judged.shortest_failure
    seq = batch.inputs[index]
    student = vars(judged.transformer.forward(seq)) | {"output": judged.transformer.plain(seq).output}
    reference = vars(SOLUTIONS[task.name].forward(seq))
    lines = [
        f"The sequence {batch.spell(index)}; {judged.count} Other queries, keys and "
        "scores may be right, too: what counts is the output."
    ]
    if task.has_cls:
        lines.append("The output's first row, that of CLS, is left out: nobody looks at it.")
        student, reference = ({**one, "output": one["output"][1:]} for one in (student, reference))
    steps = _steps(reference, student, ("output",), settings.TASK_ATOL)
    title = f"{number}: the first failing sequence"
    return {"number": number, "title": title, "lines": lines, "steps": steps}


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
        right = (
            got is not None and got.shape == expected.shape and np.isclose(got, expected, settings.RTOL, atol)
        )
        differs = name in judged and not np.all(right)
        rows.append(
            {
                "name": name.replace("_", " "),
                "reference": _heat(expected),
                "student": None if got is None else _heat(got, right if differs else True),
                "missing": "no matrix of {} rows and {} columns is made here".format(*expected.shape),
                "differs": differs,
                "first": differs and not any(row["differs"] for row in rows),
            }
        )
    return rows


def _heat(matrix: FloatArray, right: BoolArray | bool = True) -> list[list[tuple[Any, ...]]]:
    """Each cell of a heatmap, text, tint, its share, and whether it is right: white is zero, blue positive,
    orange negative, all on the matrix' own scale."""
    largest = np.abs(matrix[np.isfinite(matrix)]).max(initial=0.0) or 1.0
    shares = np.where(np.isfinite(matrix), 0.55 * np.abs(matrix) / largest, 0.0).round(2)
    tints = np.where(matrix > 0, "46 111 187", "217 119 37")
    texts = np.vectorize("{:.3g}".format, otypes=[object])(matrix)
    cut = (each[:_MAX_ROWS, :_MAX_COLUMNS] for each in np.broadcast_arrays(texts, tints, shares, right))
    return [list(zip(*row, strict=True)) for row in zip(*cut, strict=True)]
