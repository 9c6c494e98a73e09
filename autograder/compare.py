"""`./run_autograder compare`: the student's model trained on each task, below the hand-designed transformer.

The sequences are the notebook's, drawn as it draws them; the model is trained in the sandbox, and
the reference one in its place where the student's cannot be.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from autograder import settings
from autograder.assignment import TASK_FACTS, Task
from autograder.checks.hand_designed import find_matrices
from autograder.checks.run import StudentRun
from autograder.errors import SandboxFault, UsageError
from autograder.feedback.figures import draw, panels, read_out
from autograder.grade import read, run_student_code
from autograder.pages import image, submission_page, there, write_page
from autograder.progress import progress
from autograder.sandbox.calls import Answer, Cell, Ended, Outcome, Raised, Refused, Sizes, Train
from autograder.sandbox.host import DEFAULT_LIMITS, ForkServer
from autograder.text import NAME_LIMIT, clean
from reference.tasks import TASKS, TOKEN_NAMES, SequenceTask
from reference.transformer import FloatArray, NumpyTransformer

_REASON_LIMIT: Final = 300
_RECENT: Final = 1000
"""Steps at the end of a training whose mean loss is told."""
_MAX_STEPS: Final = 1_000_000


class Setting(NamedTuple):
    """How the notebook trains on a task.

    seed: of all generators, set before `drawn_before` sequences were drawn for something else.
    shown: the tokens of the sequence that the notebook's comparison shows.
    usual: sizes where there are no hand-designed matrices to take them from.
    """

    title: str
    seed: int
    drawn_before: int
    shown: tuple[int, ...]
    usual: Sizes


_SEED: Final = settings.TRAIN_SEED
_POSITION_SEED: Final = TASK_FACTS[Task.POSITION].record_seed or 0
SETTINGS: Final = {
    Task.CONTENT: Setting("Attention by content", _SEED, 0, (0, 1, 1, 2, 2), Sizes(3, 3, 3, None, 10)),
    Task.POSITION: Setting("Attention by position", _POSITION_SEED, 1, (0, 1, 1), Sizes(3, 1, 3, 4, 4)),
    Task.UNIQUE: Setting("Unique tokens (optional)", _SEED, 0, (0, 1, 2, 2), Sizes(4, 8, 1, 4, 5)),
}
"""In the notebook unique tokens are trained unseeded, after everything else; here under the first seed."""


def sizes_of(name: Task, hand: NumpyTransformer | None) -> Sizes:
    """The sizes that the notebook gives the model: those of the hand-designed matrices."""
    usual = SETTINGS[name].usual
    if hand is None:
        return usual
    pos = hand.pos
    rows = usual.max_seq_len if pos is None else len(pos)
    return Sizes(usual.input_dim, hand.qk_dim, hand.v_dim, None if pos is None else hand.pos_dim, rows)


def training(name: Task, sizes: Sizes, steps: int, *, reference: bool) -> Train:
    """The one call of a training. reference: the grader's own model instead of the student's."""
    setting, task = SETTINGS[name], TASKS[name.value]
    lengths, inputs, targets = _drawn(task, setting, sizes.v_dim, steps)
    ignored = 1 if task.has_cls else 0
    rate = settings.TRAIN_LEARNING_RATE
    return Train(sizes, setting.seed, rate, tuple(lengths), inputs, targets, ignored, reference)


def _drawn(
    task: SequenceTask, setting: Setting, v_dim: int, steps: int
) -> tuple[list[int], FloatArray, FloatArray]:
    """Lengths with CLS; inputs (steps, longest, input_dim); targets (steps, max_len, v_dim); 0 is padding."""
    lengths_drawn, tokens_drawn = np.random.RandomState(setting.seed), random.Random(setting.seed)  # noqa: S311 - the notebook's
    cls = 1 if task.has_cls else 0
    lengths: list[int] = []
    inputs = np.zeros((steps, task.max_len + cls, task.input_dim))
    targets = np.zeros((steps, task.max_len, v_dim))
    for step in range(-setting.drawn_before, steps):
        length = int(lengths_drawn.randint(1, task.max_len + 1))
        tokens = tokens_drawn.choices(range(len(TOKEN_NAMES)), k=length)
        if step >= 0:
            batch = task.batch([tokens])
            lengths.append(length + cls)
            inputs[step, : length + cls] = batch.inputs[0]
            targets[step, :length] = batch.expected[0]
    return lengths, inputs, targets


@dataclass(frozen=True, eq=False)
class Learned:
    """A trained model. final_loss: of the last step's sequence, as the notebook reports it; recent_loss:
    the mean of the last thousand steps. why_reference: why it is not the student's own model, or ""."""

    transformer: NumpyTransformer
    steps: int
    final_loss: float
    recent_loss: float
    why_reference: str


def learn(fork_server: ForkServer, cells: Sequence[Cell], task: Task, sizes: Sizes, steps: int) -> Learned:
    """Train on a task. Raises SandboxFault."""
    why = "there is no code to train"
    for reference in (False, True) if cells else (True,):
        call = training(task, sizes, steps, reference=reference)
        cpu = settings.TRAIN_CPU_SECONDS * max(1.0, steps / 1000)
        limits = replace(DEFAULT_LIMITS, call_cpu=cpu, failed_attempts=1)
        (outcome,) = fork_server.run(() if reference else cells, (call,), limits).outcomes
        learned = _result(outcome, sizes, steps)
        if isinstance(learned, Learned):
            return replace(learned, why_reference=why if reference else "")
        why = learned
    raise SandboxFault(f"the reference model cannot be trained on {task.value}: {why}")


def _result(outcome: Outcome, sizes: Sizes, steps: int) -> Learned | str:
    """The trained model, or why there is none."""
    if isinstance(outcome, Raised):
        where = f" ({outcome.trace[-1].label}, line {outcome.trace[-1].line})" if outcome.trace else ""
        return f"{outcome.type_name}{where}: {clean(outcome.message, _REASON_LIMIT)}"
    if isinstance(outcome, (Refused, Ended)):
        return str(outcome.reason.value)
    if not isinstance(outcome, Answer):
        return "it gave no answer"
    arrays, losses = outcome.arrays, outcome.arrays["losses"]
    broken = np.flatnonzero(~np.isfinite(losses))
    if broken.size:
        return f"its loss became NaN or infinite at step {broken[0] + 1}"
    try:
        transformer = NumpyTransformer(arrays["Km"], arrays["Qm"], arrays["Vm"], arrays.get("pos"))
    except (KeyError, ValueError) as error:
        return f"its weights do not fit together ({clean(str(error), _REASON_LIMIT)})"
    if (transformer.input_dim, transformer.v_dim) != (sizes.input_dim, sizes.v_dim):
        return "its weights have other shapes than the matrices they stand for"
    return Learned(transformer, steps, float(losses[-1]), float(np.mean(losses[-_RECENT:])), "")


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
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{options.output} cannot be made a folder: {error.strerror}") from error
    with ForkServer() as fork_server:
        learned = compare(run_student_code(read(options.submission), fork_server), fork_server, options.steps)
    title = f"Hand-designed against learned: {clean(options.submission.resolve().name, NAME_LIMIT)}"
    write_page(submission_page({}, title, learned=learned), options.output / "index.html", "page")
    return 0


def compare(run: StudentRun, fork_server: ForkServer, steps: int) -> list[dict[str, Any]]:
    """What a page shows of every task; of the optional task only if it was attempted. Raises SandboxFault."""
    cells = run.submission.program.cells if run.submission.program is not None else ()
    hands = {task: _by_hand(run, task) for task in Task}
    attempted = {task: hand for task, hand in hands.items() if task is not Task.UNIQUE or hand[0] is not None}
    found = []
    with progress(len(attempted), "Training") as done:
        for task, (hand, why) in attempted.items():
            learned = learn(fork_server, cells, task, sizes_of(task, hand), steps)
            found.append(_part(task, hand, why, learned))
            done(True)
    return found


def _by_hand(run: StudentRun, task: Task) -> tuple[NumpyTransformer | None, str]:
    """The hand-designed transformer, or None and why there is none."""
    if run.submission.log is None and run.submission.program is None:
        return None, "the upload holds neither a log nor code"
    found = find_matrices(run, task)
    if found.matrices is None:
        return None, found.problem
    m = found.matrices
    try:
        return NumpyTransformer(m.Km, m.Qm, m.Vm, m.pos), ""
    except ValueError as error:
        return None, str(error)


def _part(name: Task, hand: NumpyTransformer | None, why_no_hand: str, learned: Learned) -> dict[str, Any]:
    """One task as the page shows it: notes, errors, and a picture of both transformers."""
    task, setting = TASKS[name.value], SETTINGS[name]
    notes = [] if hand is not None else [f"Nothing designed by hand: {why_no_hand}"]
    whose = "the student's model"
    if learned.why_reference:
        whose = "the reference model"
        notes.append(
            f"The student's model could not be trained: {learned.why_reference}. The reference model was "
            "trained in its place."
        )
    told = f"Learned by {whose} in {learned.steps:,} steps, final loss {learned.final_loss:.3g}"
    losses = [f"{learned.final_loss:.3g}", f"{learned.recent_loss:.3g}"]
    both = [("Learned", told, learned.transformer, losses)]
    if hand is not None:
        both.insert(0, ("Designed by hand", "Designed by hand", hand, ["–", "–"]))
    batch = task.batch([setting.shown])
    spelled = batch.spell(0)
    matrices, steps = [], []
    for _, _, transformer, _ in both:
        its_matrices, made, (_, weights), (output, _) = panels(task, transformer, batch, 0)
        matrices.append(its_matrices)
        steps.append((*made, weights, output))
    headings = (*(text for _, text, _, _ in both), *(f"{label}, on {spelled}" for label, _, _, _ in both))
    drawn = draw((*matrices, *steps), headings=headings)
    words = [
        f"{label}: {'; '.join(map(read_out, (*its_matrices, *made)))}."
        for (label, *_), its_matrices, made in zip(both, matrices, steps, strict=True)
    ]
    alternative = f"{setting.title}, on the sequence {spelled}. {' '.join(words)}"
    return {
        "title": setting.title,
        "notes": notes,
        "errors": [(label, [*given, f"{mean_loss(task, one):.3g}"]) for label, _, one, given in both],
        "picture": image(drawn.png, drawn.width, alternative),
    }


def mean_loss(task: SequenceTask, transformer: NumpyTransformer) -> float:
    """The mean squared error over every sequence of the task; NaN where the plain exp breaks."""
    skipped = 1 if task.has_cls else 0
    errors = [
        np.square(transformer.plain(batch.inputs).output[:, skipped:] - batch.expected).mean(axis=(1, 2))
        for batch in task.all_sequences()
    ]
    return float(np.concatenate(errors).mean())
