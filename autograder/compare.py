"""`./run_autograder compare`: the student's model trained on each task, below the hand-designed transformer.

The sequences are the notebook's, drawn as it draws them; the model is trained in the sandbox, and
the reference one in its place where the student's cannot be.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from tqdm import tqdm

from autograder import settings
from autograder.assignment import TASK_FACTS, Task
from autograder.checks.hand_designed import find_matrices, judge
from autograder.checks.run import StudentRun
from autograder.errors import SandboxFault, UsageError, writing
from autograder.feedback.figures import draw, panels, read_out
from autograder.grade import read_upload, run_student_code
from autograder.pages import SECTION_TITLES, image, submission_page, there, write_page
from autograder.sandbox.calls import Answer, Cell, Outcome, Raised, Sizes, Train
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.text import NAME_LIMIT, clean
from reference.solutions import SOLUTIONS
from reference.tasks import TASKS, SequenceTask, drawn_sequences
from reference.transformer import FloatArray, NumpyTransformer

_REASON_LIMIT: Final = 300
_RECENT: Final = 1000
"""Steps at the end of a training whose mean loss is told."""
_MAX_STEPS: Final = 1_000_000
_MAX_SEQ_LEN: Final = 10
"""Of a model without positions, as the class has it by default."""
SHOWN: Final = {Task.CONTENT: (0, 1, 1, 2, 2), Task.POSITION: (0, 1, 1), Task.UNIQUE: (0, 1, 2, 2)}
"""The tokens of the sequence that the notebook's comparison shows."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises UsageError and SandboxFault."""
    parser = argparse.ArgumentParser(
        prog="run_autograder compare",
        description="Train the student's own model on each task, as the notebook does, and draw it below "
        "the hand-designed one.",
    )
    parser.add_argument("submission", type=there, help="a folder, .ipynb, .py, .json or .zip")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a folder to write")
    parser.add_argument(
        "--steps", type=int, default=settings.TRAIN_STEPS, help="of each training (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.steps <= _MAX_STEPS:
        raise UsageError(f"--steps {options.steps}: give a number from 1 to {_MAX_STEPS:,}")
    with writing(f"{options.output} cannot be made a folder"):
        options.output.mkdir(parents=True, exist_ok=True)
    with ForkServer() as fork_server:
        run = run_student_code(read_upload(options.submission), fork_server)
        learned = compare(run, fork_server, options.steps)
    title = f"Hand-designed against learned: {clean(options.submission.resolve().name, NAME_LIMIT)}"
    write_page(submission_page({}, title, learned=learned), options.output / "index.html", "page")
    return 0


def compare(run: StudentRun, fork_server: ForkServer, steps: int) -> list[dict[str, Any]]:
    """What a page shows of every task; of the optional task only if it was attempted. Raises SandboxFault."""
    cells = run.submission.program.cells if run.submission.program is not None else ()
    designed = {task: find_matrices(run, task) for task in Task}
    if designed[Task.UNIQUE].matrices is None:
        del designed[Task.UNIQUE]
    parts = []
    for task, found in tqdm(designed.items(), desc="Training", unit="task"):
        hand = None if found.matrices is None else judge(task, found.matrices).transformer
        notes = [] if hand is not None else [f"Nothing designed by hand: {found.problem}"]
        learned = learn(fork_server, cells, task, sizes_of(task, hand), steps)
        if learned.why_reference:
            told = f"The student's model could not be trained: {learned.why_reference}. "
            notes.append(told + "The reference model was trained in its place.")
        parts.append({"notes": notes, **_picture(task, hand, learned)})
    return parts


# --- Training. ---


class Learned(NamedTuple):
    """A trained model, the loss of each step, and why it is not the student's own model, or ""."""

    transformer: NumpyTransformer
    losses: FloatArray
    why_reference: str


def learn(fork_server: ForkServer, cells: Sequence[Cell], task: Task, sizes: Sizes, steps: int) -> Learned:
    """Train on a task. Raises SandboxFault."""
    cpu = settings.TRAIN_CPU_SECONDS * max(1.0, steps / 1000)
    limits = replace(DEFAULT_LIMITS, call_cpu=cpu, failed_attempts=1)
    call, why = training(task, sizes, steps), "there is no code to train"
    for reference in (False, True) if cells else (True,):
        asked = replace(call, reference=reference)
        (outcome,) = fork_server.run(() if reference else cells, (asked,), limits).outcomes
        try:
            return Learned(*_trained(outcome, sizes), why if reference else "")
        except ValueError as error:
            why = clean(str(error), _REASON_LIMIT)
    raise SandboxFault(f"the reference model cannot be trained on {task.value}: {why}")


def sizes_of(name: Task, hand: NumpyTransformer | None) -> Sizes:
    """The sizes that the notebook gives the model: those of the hand-designed matrices, or of right ones."""
    like = hand or SOLUTIONS[name.value]
    pos_dim, rows = (None, _MAX_SEQ_LEN) if like.pos is None else (like.pos_dim, len(like.pos))
    return Sizes(TASKS[name.value].input_dim, like.qk_dim, like.v_dim, pos_dim, rows)


def training(name: Task, sizes: Sizes, steps: int) -> Train:
    """The one call of a training, as in the notebook; unique tokens, unseeded there, get the first seed."""
    seed, drawn_before = settings.TRAIN_SEED, 0
    if name is Task.POSITION:  # the notebook seeds, draws and records a sequence, and then trains
        seed, drawn_before = TASK_FACTS[name].record_seed or 0, 1
    drawn = drawn_sequences(TASKS[name.value], seed)
    sequences = (
        (batch.inputs[0], np.broadcast_to(batch.expected[0], (batch.tokens.size, sizes.v_dim)))
        for batch in islice(drawn, drawn_before, drawn_before + steps)
    )
    return Train(sizes, seed, settings.TRAIN_LEARNING_RATE, tuple(sequences))


def _trained(outcome: Outcome, sizes: Sizes) -> tuple[NumpyTransformer, FloatArray]:
    """The trained model and the loss of each step. Raises ValueError if there is none, with the reason."""
    if isinstance(outcome, Raised):
        where = f" ({outcome.trace[-1].label}, line {outcome.trace[-1].line})" if outcome.trace else ""
        raise ValueError(f"{outcome.type_name}{where}: {outcome.message}")
    if not isinstance(outcome, Answer):
        raise ValueError(outcome.reason.value)
    arrays, losses = outcome.arrays, outcome.arrays["losses"]
    broken = np.flatnonzero(~np.isfinite(losses))
    if broken.size:
        raise ValueError(f"its loss became NaN or infinite at step {broken[0] + 1}")
    transformer = NumpyTransformer(arrays["Km"], arrays["Qm"], arrays["Vm"], arrays.get("pos"))
    if (transformer.input_dim, transformer.v_dim) != (sizes.input_dim, sizes.v_dim):
        raise ValueError("its weights have other shapes than the matrices they stand for")
    return transformer, losses


# --- What is shown. ---


def _picture(name: Task, hand: NumpyTransformer | None, learned: Learned) -> dict[str, Any]:
    task, title = TASKS[name.value], SECTION_TITLES[name.value]
    whose = "the reference model" if learned.why_reference else "the student's model"
    final, recent = (f"{loss:.3g}" for loss in (learned.losses[-1], learned.losses[-_RECENT:].mean()))
    told = f"Learned by {whose} in {len(learned.losses):,} steps, final loss {final}"
    both = [("Learned", told, learned.transformer, (final, recent))]
    if hand is not None:
        both.insert(0, ("Designed by hand", "Designed by hand", hand, ("–", "–")))
    batch = task.batch([SHOWN[name]])
    spelled = batch.spell(0)
    matrices, steps, words, errors = [], [], [], []
    for label, _, transformer, losses in both:
        its_matrices, made, (_, weights), (output, _) = panels(task, transformer, batch, 0)
        matrices.append(its_matrices)
        steps.append((*made, weights, output))
        words.append(f"{label}: {'; '.join(map(read_out, (*its_matrices, *steps[-1])))}.")
        errors.append((label, [*losses, f"{mean_loss(task, transformer):.3g}"]))
    headings = (*(text for _, text, _, _ in both), *(f"{label}, on {spelled}" for label, _, _, _ in both))
    drawn = draw((*matrices, *steps), headings=headings)
    return {
        "title": title,
        "errors": errors,
        "picture": image(drawn.png, drawn.width, f"{title}, on the sequence {spelled}. {' '.join(words)}"),
    }


def mean_loss(task: SequenceTask, transformer: NumpyTransformer) -> float:
    """The mean squared error over every sequence of the task; NaN where the plain exp breaks."""
    errors = [
        np.square(transformer.plain(batch.inputs).output[:, task.has_cls :] - batch.expected).mean((1, 2))
        for batch in task.all_sequences()
    ]
    return float(np.concatenate(errors).mean())
