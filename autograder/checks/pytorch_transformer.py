"""Section 2: `PytorchTransformer` equals the NumPy transformer, is vectorized, and can be trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import NoReturn

from gradescope_utils.autograder_utils.decorators import number, tags, visibility, weight

from autograder.assignment import LAYERS
from autograder.checks.base import Check
from autograder.checks.run import LAYER_SIZES, GradientRun, Group, StudentRun
from autograder.feedback.messages import (
    ModelFeedback,
    Run,
    RunGroup,
    agree,
    difference,
    explain_model,
    explain_outcome,
    shape_text,
    with_fallback,
)
from autograder.sandbox.calls import Answer, Call, Cell, Describe, Outcome, Sizes
from autograder.submission.types import Origin
from autograder.text import NAME_LIMIT, clean

SECTION = "pytorch_transformer"
BUILT = (Group.WITHOUT, Group.WITH)
"""The models that are built to look at their layers."""
NUMBERS = {Group.WITHOUT: "2.2", Group.WITH: "2.3", Group.OTHER: "2.4"}
"""The check that judges each group."""


class PytorchTransformer(Check):
    """The student's model, built and run at many sizes in the sandbox."""

    @weight(5)
    @number("2.1")
    @tags(SECTION)
    @visibility("visible")
    def test_layers(self) -> None:
        """The model builds, with the layers that the assignment asks for and no others"""
        self.needs_code(first=True)
        for group, sizes in LAYER_SIZES.items():
            outcome = self.student.layers[group]
            if not isinstance(outcome, Answer):
                self.explain_outcome(outcome, Describe(sizes))
            faults = layer_faults(outcome, sizes)
            program = self.student.submission.program
            if faults and program is not None and program.origin is Origin.LOG:
                faults.append(
                    "- If a base class of yours makes them: the log does not hold it, your notebook does."
                )
            if faults:
                arguments = ", ".join(f"{name}={value}" for name, value in vars(sizes).items())
                built = f"It was built {group.value}: PytorchTransformer({arguments})."
                self.fail("\n".join([*faults, built]))

    @weight(10)
    @number("2.2")
    @tags(SECTION)
    @visibility("visible")
    def test_without_positions(self) -> None:
        """Equals the NumPy transformer without positions"""
        self.equals_reference(Group.WITHOUT)

    @weight(10)
    @number("2.3")
    @tags(SECTION)
    @visibility("visible")
    def test_with_positions(self) -> None:
        """Equals the NumPy transformer with positions"""
        self.equals_reference(Group.WITH)

    @weight(5)
    @number("2.4")
    @tags(SECTION)
    @visibility("visible")
    def test_other_sizes(self) -> None:
        """Equals the NumPy transformer at other sizes and lengths"""
        self.equals_reference(Group.OTHER, show=False)

    @weight(5)
    @number("2.5")
    @tags(SECTION)
    @visibility("visible")
    def test_vectorized(self) -> None:
        """All attention scores are computed at once, without a loop over keys or queries"""
        self.needs_code()
        self.needs_layers()
        program = self.student.submission.program
        cells = program.cells if program is not None else ()
        apart = [
            (
                [run for group in BUILT for run in self.runs(group, without)],
                [run for group in Group for run in self.runs(group, without)],
            )
            for without in (True, False)
        ]
        if not any(can_be_judged(every) for _, every in apart):
            self.skipTest("Not graded because your model does not run: see 2.2 and 2.3.")
        for shown, every in apart:
            if message := loop_message(every, ()):
                self.fail(loop_message(shown, cells) or message)

    @weight(5)
    @number("2.6")
    @tags(SECTION)
    @visibility("visible")
    def test_gradients(self) -> None:
        """Can be trained: the gradient of every weight equals the NumPy transformer's"""
        self.needs_code()
        self.needs_layers()
        for run in self.student.gradients:
            if not isinstance(run.outcome, Answer):
                told_in = first_wrong(self.student) and feedback_of(self.student).told_error(run.outcome)
                if told_in:
                    self.fail(f"See {told_in}: without an output there are no gradients.")
                self.explain_outcome(run.outcome, run.call)
            for matrix, right in run.case.gradients.items():
                got = run.outcome.arrays.get(matrix)
                if got is None:
                    self.fail(
                        f"{matrix} gets no gradient, so training would never change it. Compute the output "
                        f"from self.{matrix} with tensor operations alone: no .detach(), .data, .numpy() or "
                        "torch.no_grad()."
                    )
                if not agree(got, right):
                    self.fail(self.other_gradient(run, run.outcome, matrix, difference(got, right)))

    # --- What the checks above share. ---

    def needs_code(self, *, first: bool = False) -> None:
        """Without code there is nothing to run: 2.1 fails with the reason, the others point to it."""
        if self.student.submission.program is not None:
            return
        if first:
            self.fail(
                "There is no code to run. Upload your notebook (.ipynb) together with submission_log.json; "
                "a log whose equivalence test has passed holds the code as well."
            )
        self.skipTest("Not graded because there is no code to run: see 2.1.")

    def needs_layers(self, groups: tuple[Group, ...] = BUILT) -> None:
        """A model that cannot be built costs 2.1 its points and is explained there, once."""
        for group in groups:
            missing = unloadable(self.student.layers[group], group)
            if missing is None:
                self.skipTest(f"Not graded because your model cannot be built {group.value}: see 2.1.")
            if missing:
                self.skipTest(
                    f"Not graded because no weights can be loaded into {', '.join(missing)}: see 2.1."
                )

    def runs(self, group: Group, without: bool) -> list[Run]:
        """Those of a group whose models have no positions, or those whose models have some."""
        return [r for r in self.student.forward[group] if (r.call.sizes.pos_dim is None) is without]

    def equals_reference(self, group: Group, *, show: bool = True) -> None:
        """Hold every case of a group against the reference."""
        self.needs_code()
        self.needs_layers(BUILT if group is Group.OTHER else (group,))
        runs = self.student.forward[group]
        if all(run.is_right for run in runs):
            return
        message = feedback_of(self.student).messages[NUMBERS[group]]
        log = self.student.submission.log
        let_pass = group is Group.WITHOUT and log is not None and log.model is not None
        if let_pass and message.headline.startswith("The scores are "):
            luck = "The notebook's test may draw qk_dim 1, where no scale is right as well."
            message = replace(message, details=(luck, *message.details))
        self.diagnosis = message.diagnosis
        self.explain(message)

    def other_gradient(self, run: GradientRun, got: Answer, matrix: str, told: str) -> str:
        """What is said of a gradient that is not right, and whether a mistake told before explains it."""
        first = first_wrong(self.student)
        found = feedback_of(self.student).diagnosis if first else None
        if found is not None:
            follows = partial(found.gives_gradients, run.call, got.arrays)
            if with_fallback(follows, lambda: False):
                return f"See {first}: the gradients follow."
        return (
            f"The gradient of {matrix} is not the NumPy transformer's, so training would go another way. "
            "Look for .detach(), .data, clipping or a function of your own for gradients"
            f"{f', once {first} passes' if first else ''}. {told}"
        )

    def explain_outcome(self, outcome: Outcome, call: Call) -> NoReturn:
        """Fail with why a call gave no answer."""
        self.explain(explain_outcome(outcome, call, self.student.load))


@lru_cache(maxsize=1)
def feedback_of(student: StudentRun) -> ModelFeedback:
    """What is to be said of the runs of a model that is not right."""
    found = [_found(outcome) for outcome in student.layers.values() if isinstance(outcome, Answer)]
    has_bias = any(f"{layer}.bias" in names for names in found for layer in LAYERS)
    groups = [RunGroup(NUMBERS[g], student.forward[g], show=g is not Group.OTHER) for g in Group]
    return explain_model(groups, student.load, has_bias=has_bias)


def first_wrong(student: StudentRun) -> str:
    """The number of the first check that finds the model wrong, "" if none does or nothing was run."""
    if not student.layers:
        return ""
    if any(unloadable(student.layers[group], group) != [] for group in BUILT):
        return "2.1"
    return next((NUMBERS[g] for g in Group if not all(run.is_right for run in student.forward[g])), "")


# --- Layers. ---


def expected_weights(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """Name to shape of every weight that the model must have, in PyTorch's orientation, (out, in)."""
    weights = {
        "Km.weight": (sizes.qk_dim, sizes.total_dim),
        "Qm.weight": (sizes.qk_dim, sizes.total_dim),
        "Vm.weight": (sizes.v_dim, sizes.total_dim),
    }
    if sizes.pos_dim is not None:
        weights["pos.weight"] = (sizes.max_seq_len, sizes.pos_dim)
    return weights


def unloadable(outcome: Outcome, group: Group) -> list[str] | None:
    """The layers into which the notebook's weights cannot be loaded; None if the model was not built."""
    if not isinstance(outcome, Answer):
        return None
    found = _found(outcome)
    expected = expected_weights(LAYER_SIZES[group])
    return [
        name.partition(".")[0] for name, shape in expected.items() if found.get(name, ("", ()))[1] != shape
    ]


def layer_faults(answer: Answer, sizes: Sizes) -> list[str]:
    """One line per fault of the model that `Describe` told of; empty if the layers are right.

    Buffers, modules without weights, and the right layers under a second name (in an nn.ModuleList, say) are
    the student's own affair.
    """
    found, expected = _found(answer), expected_weights(sizes)
    told, faults = set(expected), []
    for name, shape in expected.items():
        kind, came = found.get(name, ("", ()))
        if not kind:
            line, meant = _missing(name.partition(".")[0], [other for other in found if other not in told])
            told.add(meant)
            faults.append(line)
        elif came != shape:
            faults.append(f"{name} has shape {shape_text(came)}, expected {shape_text(shape)}.")
        elif kind != "trainable":
            faults.append(f"{name} is not trainable: leave requires_grad on, and register no buffer for it.")
    for name, (kind, _) in found.items():
        if name in told or kind in ("buffer", "alias"):
            continue
        if name in {f"{layer}.bias" for layer in LAYERS}:
            faults.append(f"{name} should not be there: pass bias=False to nn.Linear.")
        elif kind == "trainable":
            faults.append(
                f"{clean(name, NAME_LIMIT)} is a weight that the NumPy transformer does not have: remove it, "
                "or make it a plain number."
            )
    return [f"- {fault}" for fault in faults]


def _missing(layer: str, found: list[str]) -> tuple[str, str]:
    """What to say of a layer that is not there, and the name that was meant for it, or ""."""
    from autograder.feedback.errors import layer_named_like, rename  # the failing path's alone

    if layer in found:
        return rename(layer, found), layer
    meant = layer_named_like(layer, found)
    have = ", ".join(clean(other, NAME_LIMIT) for other in found[:8]) or "none at all"
    told = f"There is no self.{layer} with a weight. The weights found: {have}. {rename(layer, found)}"
    return told.rstrip(), next((name for name in found if name.removesuffix(".weight") == meant), "")


def _found(answer: Answer) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to kind and shape of everything in the model's state dict."""
    entries = ((*entry.partition(" "), sizes) for entry, sizes in answer.arrays.items())
    return {name: (kind, tuple(int(size) for size in sizes)) for kind, _, name, sizes in entries}


# --- Loops: each `Forward` answer tells how many operations made its output (sandbox/worker/operations). ---

MOST = 100
"""No way of computing a few tokens at once needs more operations; padding to a fixed length does."""
MOST_ATTENTIONS = 3
"""One is what it takes; written out, its softmax may be two exponentials."""
MAX_PLACES = 3


def can_be_judged(runs: Sequence[Run]) -> bool:
    """Whether outputs of two lengths came, one of which is at least twice as long as the other."""
    lengths = {length for length, _, _ in _counted(runs)}
    return len(lengths) > 1 and 2 * min(lengths) <= max(lengths)


def loop_message(runs: Sequence[Run], cells: Sequence[Cell]) -> str:
    """What is computed row by row, at which line, and what to write instead; "" if nothing is.

    Computing all scores at once takes as many operations for 60 tokens as for 4; whatever goes row by row or
    over padding takes more, and blocks, however many, take a softmax each. Rows that are printed, asserted on
    or kept for a plot, and gathered positions do not count. runs: of models that differ in sizes alone, all
    with positions or all without. cells: of the program; empty if neither counts nor lines may be told, by
    which a program could tell what it was given.
    """
    counted = _counted(runs)
    if not can_be_judged(runs):
        return ""
    longest = max(length for length, _, _ in counted)
    short = [count for length, count, _ in counted if 2 * length <= longest]
    least, most = min(short), max(short)
    long = min(count for length, count, _ in counted if length == longest)
    blocks = min(int(answer.arrays["operations"][1]) for length, _, answer in counted if length == longest)
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
    for _, _, answer in counted:
        for cell, line, times in answer.arrays["lines"].tolist():
            if cell < len(cells):
                lines[cell, line] = max(lines[cell, line], times)
    often = [place for place, times in lines.most_common(MAX_PLACES) if 2 * times > max(lines.values())]
    places = "; ".join(f"{cells[cell].label}, line {line}" for cell, line in often)
    where = f", most of them at {places}" if places else ""
    return (
        f"{what}{where}: your forward pass goes over rows one at a time. Compute all attention scores at "
        "once: one product of all queries with all keys gives the (seq_len, seq_len) scores, and softmax "
        "takes dim=-1 for all queries together."
    )


def _counted(runs: Sequence[Run]) -> list[tuple[int, int, Answer]]:
    """Length, number of operations and answer of each run that came back; one token alone tells nothing."""
    return [
        (len(run.call.seq), int(run.outcome.arrays["operations"][0]), run.outcome)
        for run in runs
        if isinstance(run.outcome, Answer) and len(run.call.seq) > 1
    ]
