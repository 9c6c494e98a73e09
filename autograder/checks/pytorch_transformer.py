"""Section 2: `PytorchTransformer` equals the NumPy transformer, is vectorized, and can be trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import LAYERS
from autograder.checks.run import LAYER_SIZES, Check, Group, StudentRun
from autograder.feedback.messages import (
    ModelFeedback,
    Run,
    agree,
    difference,
    explain_model,
    explain_outcome,
    shape_text,
    with_fallback,
)
from autograder.sandbox.calls import Answer, Cell, Describe, Outcome, Sizes
from autograder.submission.types import Origin, Program
from autograder.text import NAME_LIMIT, clean

_SECTION = "pytorch_transformer"


class PytorchTransformer(Check):
    """The student's model, built and run at many sizes in the sandbox."""

    @weight(5)
    @number("2.1")
    @tags(_SECTION)
    @visibility("visible")
    def test_layers(self) -> None:
        """The model builds, with the layers that the assignment asks for and no others"""
        program = self.student.submission.program
        if program is None:
            self.fail(
                "There is no code to run. Upload your notebook (.ipynb) together with submission_log.json; "
                "a log whose equivalence test has passed holds the code as well."
            )
        for group, sizes in LAYER_SIZES.items():
            outcome = self.student.layers[group]
            if not isinstance(outcome, Answer):
                self.explain(explain_outcome(outcome, Describe(sizes), self.student.load))
            faults = layer_faults(outcome, sizes)
            if faults and program.origin is Origin.LOG:
                faults.append(
                    "- If a base class of yours makes them: the log does not hold it, your notebook does."
                )
            if faults:
                arguments = ", ".join(f"{name}={value}" for name, value in vars(sizes).items())
                built = f"It was built {group.name.lower()} positions: PytorchTransformer({arguments})."
                self.fail("\n".join([*faults, built]))

    @weight(10)
    @number("2.2")
    @tags(_SECTION)
    @visibility("visible")
    def test_without_positions(self) -> None:
        """Equals the NumPy transformer without positions"""
        self.equals_reference(Group.WITHOUT)

    @weight(10)
    @number("2.3")
    @tags(_SECTION)
    @visibility("visible")
    def test_with_positions(self) -> None:
        """Equals the NumPy transformer with positions"""
        self.equals_reference(Group.WITH)

    @weight(5)
    @number("2.4")
    @tags(_SECTION)
    @visibility("visible")
    def test_other_sizes(self) -> None:
        """Equals the NumPy transformer at other sizes and lengths"""
        self.equals_reference(Group.OTHER)

    @weight(5)
    @number("2.5")
    @tags(_SECTION)
    @visibility("visible")
    def test_vectorized(self) -> None:
        """All attention scores are computed at once, without a loop over keys or queries"""
        cells = self.needs_model().cells

        def told(groups: Iterable[Group], without: bool, cells: Sequence[Cell] = ()) -> str | None:
            runs = (run for group in groups for run in self.student.forward[group].runs)
            return loop_message([r for r in runs if (r.call.sizes.pos_dim is None) is without], cells)

        messages = {without: told(Group, without) for without in (True, False)}
        if set(messages.values()) == {None}:
            self.skipTest("Not graded because your model does not run: see 2.2 and 2.3.")
        for without, message in messages.items():
            if message:
                self.fail(told(LAYER_SIZES, without, cells) or message)

    @weight(5)
    @number("2.6")
    @tags(_SECTION)
    @visibility("visible")
    def test_gradients(self) -> None:
        """Can be trained: the gradient of every weight equals the NumPy transformer's"""
        self.needs_model()
        for run in self.student.gradients:
            if not isinstance(run.outcome, Answer):
                if told_in := feedback_of(self.student).told_error(run.outcome):
                    self.fail(f"See {told_in}: without an output there are no gradients.")
                self.explain(explain_outcome(run.outcome, run.call, self.student.load))
            given = run.outcome.arrays
            for matrix, right in run.right.items():
                if matrix not in given:
                    self.fail(
                        f"{matrix} gets no gradient, so training would never change it. Compute the output "
                        f"from self.{matrix} with tensor operations alone: no .detach(), .data, .numpy() or "
                        "torch.no_grad()."
                    )
                if agree(given[matrix], right):
                    continue
                first, found = first_wrong(self.student), feedback_of(self.student).diagnosis
                group = Group.WITHOUT if run.call.sizes.pos_dim is None else Group.WITH
                if self.student.forward[group].wrong and not found:
                    self.fail(f"See {group.value}: as long as the outputs differ, so do the gradients.")
                if found and with_fallback(partial(found.gives_gradients, run.call, given), lambda: False):
                    self.fail(f"See {first}: the gradients follow.")
                self.fail(
                    f"The gradient of {matrix} is not the NumPy transformer's, so training would go another "
                    "way. Look for .detach(), .data, clipping or a function of your own for gradients"
                    f"{f', once {first} passes' if first else ''}. {difference(given[matrix], right)}"
                )

    # --- What the checks above share. ---

    def needs_model(self, groups: Iterable[Group] = LAYER_SIZES) -> Program:
        """The code; without it, or without a model of a group's, 2.1 says why and this check points there."""
        program = self.student.submission.program
        if program is None:
            self.skipTest("Not graded because there is no code to run: see 2.1.")
        for group in groups:
            missing = unloadable(self.student.layers[group], group)
            if missing is None:
                where = f"{group.name.lower()} positions: see 2.1."
                self.skipTest(f"Not graded because your model cannot be built {where}")
            if missing:
                where = f"{', '.join(missing)}: see 2.1."
                self.skipTest(f"Not graded because no weights can be loaded into {where}")
        return program

    def equals_reference(self, group: Group) -> None:
        """Hold every case of a group against the reference."""
        self.needs_model(LAYER_SIZES if group is Group.OTHER else (group,))
        if not self.student.forward[group].wrong:
            return
        message = feedback_of(self.student).messages[group.value]
        log = self.student.submission.log
        let_pass = group is Group.WITHOUT and log is not None and log.model is not None
        if let_pass and message.headline.startswith("The scores are "):
            luck = "The notebook's test may draw qk_dim 1, where no scale is right as well."
            message = replace(message, details=(luck, *message.details))
        self.explain(message)


@lru_cache(maxsize=1)
def feedback_of(student: StudentRun) -> ModelFeedback:
    """What is to be said of the runs of a model."""
    found = [_found(outcome) for outcome in student.layers.values() if isinstance(outcome, Answer)]
    has_bias = any(f"{layer}.bias" in names for names in found for layer in LAYERS)
    return explain_model(tuple(student.forward.values()), student.load, has_bias=has_bias)


def first_wrong(student: StudentRun) -> str:
    """The number of the first check that finds the model wrong, "" if none does or nothing was run."""
    if not student.layers:
        return ""
    if any(unloadable(outcome, group) != [] for group, outcome in student.layers.items()):
        return "2.1"
    return next((group.number for group in student.forward.values() if group.wrong), "")


# --- Layers. ---


def expected_weights(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Name to shape of every weight that the model must have, in PyTorch's orientation, (out, in)."""
    outputs = {"Km": sizes.qk_dim, "Qm": sizes.qk_dim, "Vm": sizes.v_dim}
    shapes = {layer: (rows, sizes.total_dim) for layer, rows in outputs.items()}
    if sizes.pos_dim is not None:
        shapes["pos"] = (sizes.max_seq_len, sizes.pos_dim)
    return {f"{layer}.weight": shape for layer, shape in shapes.items()}


def unloadable(outcome: Outcome, group: Group) -> list[str] | None:
    """The layers into which the notebook's weights cannot be loaded; None if the model was not built."""
    if not isinstance(outcome, Answer):
        return None
    found = {name: shape for name, (_, shape) in _found(outcome).items()}
    expected = expected_weights(LAYER_SIZES[group])
    return [name.partition(".")[0] for name, shape in expected.items() if found.get(name) != shape]


def layer_faults(answer: Answer, sizes: Sizes) -> list[str]:
    """One line per fault of the model that `Describe` told of; empty if the layers are right.

    Buffers, modules without weights, and the right layers under a second name (in an nn.ModuleList, say) are
    the student's own affair.
    """
    found, expected, faults = _found(answer), expected_weights(sizes), []
    others = {name: kind for name, (kind, _) in found.items() if name not in expected}
    for name, shape in expected.items():
        kind, came = found.get(name, ("", ()))
        if not kind:
            from autograder.feedback.errors import missing_layer  # the failing path's alone

            line, meant = missing_layer(name.partition(".")[0], list(others))
            others.pop(meant, None)
            faults.append(line)
        elif came != shape:
            faults.append(f"{name} has shape {shape_text(came)}, expected {shape_text(shape)}.")
        elif kind != "trainable":
            faults.append(f"{name} is not trainable: leave requires_grad on, and register no buffer for it.")
    for name, kind in others.items():
        if name in {f"{layer}.bias" for layer in LAYERS} and kind in ("trainable", "frozen"):
            faults.append(f"{name} should not be there: pass bias=False to nn.Linear.")
        elif kind == "trainable":
            faults.append(
                f"{clean(name, NAME_LIMIT)} is a weight that the NumPy transformer does not have: remove it, "
                "or make it a plain number."
            )
    return [f"- {fault}" for fault in faults]


def _found(answer: Answer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to kind and shape of everything in the model's state dict."""
    entries = ((*entry.partition(" "), sizes) for entry, sizes in answer.arrays.items())
    return {name: (kind, tuple(sizes.tolist())) for kind, _, name, sizes in entries}


# --- Loops: each `Forward` answer tells how many operations made its output (sandbox/worker/operations). ---

MOST = 100
"""No way of computing a few tokens at once needs more operations; padding to a fixed length does."""
MOST_ATTENTIONS = 3
"""One is what it takes; written out, its softmax may be two exponentials."""
_MAX_PLACES = 3


def loop_message(runs: Sequence[Run], cells: Sequence[Cell]) -> str | None:
    """What is computed row by row, at which line, and what to write instead; "" if nothing is; None if no
    outputs came of two lengths, one of which is at least twice as long as the other.

    Computing all scores at once takes as many operations for 60 tokens as for 4; whatever goes row by row or
    over padding takes more, and blocks, however many, take a softmax each. Rows that are printed, asserted on
    or kept for a plot, and gathered positions do not count. runs: of models that differ in sizes alone, all
    with positions or all without. cells: of the program; empty if neither counts nor lines may be told, by
    which a program could tell what it was given.
    """
    counted = [  # length, operations, attentions, the places of the operations; one token alone tells nothing
        (len(run.call.seq), *run.outcome.arrays["operations"].tolist(), run.outcome.arrays["lines"])
        for run in runs
        if isinstance(run.outcome, Answer) and len(run.call.seq) > 1
    ]
    longest = max((length for length, *_ in counted), default=0)
    short = [count for length, count, *_ in counted if 2 * length <= longest]
    if not short:
        return None
    least, most = min(short), max(short)
    long = min(count for length, count, *_ in counted if length == longest)
    blocks = min(attentions for length, _, attentions, _ in counted if length == longest)
    if long > most:
        what = "The number of operations that make the output grows with the sequence"
        what += f", from {most} to {long}" if cells else ""
    elif least > MOST:
        what = f"{least if cells else 'Too many'} operations make the output of a few tokens"
    elif blocks > MOST_ATTENTIONS:
        what = f"Attention is computed {blocks if cells else 'several'} times, block after block of rows"
    else:
        return ""
    lines: Counter[tuple[int, int]] = Counter()
    for *_, places in counted:
        for cell, line, times in places.tolist():
            if cell < len(cells):
                lines[cell, line] = max(lines[cell, line], times)
    often = [place for place, times in lines.most_common(_MAX_PLACES) if 2 * times > max(lines.values())]
    at = "; ".join(f"{cells[cell].label}, line {line}" for cell, line in often)
    where = f", most of them at {at}" if at else ""
    return (
        f"{what}{where}: your forward pass goes over rows one at a time. Compute all attention scores at "
        "once: one product of all queries with all keys gives the (seq_len, seq_len) scores, and softmax "
        "takes dim=-1 for all queries together."
    )
