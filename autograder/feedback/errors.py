"""What a call gave instead of an answer, in a student's words: what happened, what to change, where.

Student text is bounded and cleaned here; escaping it for HTML belongs to whoever writes HTML.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from importlib.metadata import version
from typing import Final

from autograder.assignment import CLASS_NAME, GIVEN_CLASS_NAME, MATRICES
from autograder.feedback.error_rules import RULES
from autograder.feedback.messages import Load, Message
from autograder.sandbox.calls import (
    Answer,
    Call,
    Ended,
    Forward,
    Gradients,
    LoadReport,
    Outcome,
    Place,
    Raised,
    RecordedOutput,
    Refusal,
    StatementFate,
)
from autograder.text import clean

SAID_LIMIT: Final = 300
LINE_LIMIT: Final = 120
_NAME_LIMIT: Final = 60
_FROM_LOG: Final = "torch_transformer_init"
"""In the label of a cell that was rebuilt from the log."""
NO_OWN_LINE: Final = "Where your model is built or called, outside your own lines"
_UNDEFINED: Final = r"^name '([^']+)' is not defined"
_OF_THE_GRADER: Final = "the output has the shape"
"""How an error begins that the grader raises about what forward returned: not Python's words."""


def explain_error(outcome: Outcome, call: Call | None = None, load: Load = None) -> Message:
    """Explain what a call of the model gave that is no Answer; ValueError for an Answer.

    call: what was asked, whose sizes name the matrices. load: how loading went, which often holds the
    reason for what is missing.
    """
    if isinstance(outcome, Answer):
        raise ValueError("an Answer needs no explanation")
    if isinstance(outcome, Raised):
        return _raised(outcome, call, load)
    if outcome.reason is Refusal.NO_CLASS:
        return _no_class(outcome.detail, load)
    return _recognised(str(outcome.reason), outcome.detail)


def _recognised(type_name: str, message: str, line: str = "") -> Message:
    """The words of the first rule that fits; every ending and every refusal of a model has one."""
    for rule in RULES:
        match = rule.match(type_name, message, line)
        if match is not None:
            known = {name: clean(text or "", _NAME_LIMIT) for name, text in match.groupdict().items()}
            known |= {name: version(name) for name in ("numpy", "torch")}
            known["detail"] = clean(message, SAID_LIMIT)
            return Message(rule.headline.format(**known), rule.change.format(**known))
    return Message(
        "Your code raised an error.",
        "Build the model in your notebook with the same arguments, run it on a short sequence, and look at "
        "this line.",
    )


def _raised(error: Raised, call: Call | None, load: Load) -> Message:
    place = error.trace[-1] if error.trace else None
    told = _product(error, call) or _recognised(error.type_name, error.message, place.text if place else "")
    if place is not None and _FROM_LOG in place.label:
        told = _not_in_log(error, place) or told
    elif found := re.search(_UNDEFINED, error.message):
        told = _of_missing_name(found[1], told, place, load)
    if error.message.startswith(_OF_THE_GRADER):
        return told
    return replace(told, where=_where(place), said=_said(error))


def _not_in_log(error: Raised, place: Place) -> Message | None:
    """What is said where methods rebuilt from the log lack what only the notebook has."""
    name = re.search(_UNDEFINED, error.message)
    attribute = re.search(rf"'(?:{CLASS_NAME}|super)'.* has no attribute '([^']+)'", error.message)
    if name and name[1] not in ("seq_len", "self"):
        lacks = name[1]
    elif "super()" in place.text and error.type_name in ("AttributeError", "TypeError"):
        lacks = "a base class of its own"
    elif attribute:
        lacks = f"self.{attribute[1]}"
    else:
        return None
    lacks = clean(lacks, _NAME_LIMIT)
    return Message(
        f"Your code uses {lacks}, which the log does not hold: only your notebook has it.",
        "Upload your notebook (.ipynb) together with submission_log.json.",
    )


def _of_missing_name(name: str, told: Message, place: Place | None, load: Load) -> Message:
    shown = clean(name, _NAME_LIMIT)
    if name in MATRICES and place is not None:
        headline = f"{shown} is a layer of the model, and self. is missing in front of it."
        return Message(headline, f"Write self.{shown} here.")
    absent = load.absent if isinstance(load, LoadReport) else ()
    if any(name in (package, package.split(".")[0]) for package in absent):
        return Message(
            f"{shown} is not installed where your code is graded, though it is where you ran it.",
            "Make the model with torch alone: what it computes needs no other package.",
        )
    for failed, why in _failures(load):
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", failed.text):
            reason = f"{_where(failed)} ({clean(f'{why.type_name}: {why.message}', LINE_LIMIT)})."
            return replace(told, headline=f"{told.headline} The line that sets it failed: {reason}")
    return told


def _no_class(detail: str, load: Load) -> Message:
    if isinstance(load, Ended):
        return explain_error(load)
    if detail:
        return Message(
            f"PytorchTransformer is not your class any more: {clean(detail, SAID_LIMIT)}.",
            "Do not use the name for anything else; give the model you make another one.",
        )
    for place, error in _failures(load):
        unread = error.type_name in ("SyntaxError", "IndentationError", "TabError")
        if unread or place.text.startswith("class "):
            told = explain_error(error)
            because = f"There is no class {CLASS_NAME}, because a cell of your upload fails: {told.headline}"
            where = told.where if error.trace else _where(place)
            return replace(told, headline=because, where=where, said=_said(error))
    others = [name for name in (load.classes if load is not None else ()) if name != GIVEN_CLASS_NAME]
    if others:
        closest = clean(difflib.get_close_matches(CLASS_NAME, others, 1, 0.0)[0], _NAME_LIMIT)
        return Message(
            f"There is no class {CLASS_NAME}, but one named {closest}.",
            f"Rename {closest} to {CLASS_NAME}: the notebook makes the model by that name.",
        )
    return _recognised(str(Refusal.NO_CLASS), "")


def missing_layer(layer: str, found: list[str]) -> tuple[str, str]:
    """What to say of a layer that is not among the found entries of a state dict, and the entry that is
    meant for it, "" if none is."""
    if layer in found:
        make = "nn.Embedding(max_seq_len, pos_dim)" if layer == "pos" else "nn.Linear(…, bias=False)"
        return f"self.{layer} is a bare tensor, not a layer with a weight: make it {make}.", layer
    have = ", ".join(clean(entry, _NAME_LIMIT) for entry in found[:8]) or "none at all"
    told, meant = f"There is no self.{layer} with a weight. The weights found: {have}.", _like(layer, found)
    if meant:
        name = clean(meant.removesuffix(".weight"), _NAME_LIMIT)
        told += f" Rename self.{name} to self.{layer}: the notebook loads {layer}.weight."
    return told, meant


def _like(layer: str, found: list[str]) -> str:
    """The entry whose name is like the layer's: for Km "K", "key", "W_k", "to_k", "k_proj", "linear_keys"."""
    meant = {"Km": "key", "Qm": "query", "Vm": "value", "pos": "position"}[layer]
    letter = "pos" if layer == "pos" else meant[0]
    alike = re.compile(rf"w?{letter}(m?s?|proj)|{meant[:3]}.*|.*{meant}.*")
    names = {entry.removesuffix(".weight"): entry for entry in found}
    words = {name: re.findall(r"[a-z]+", name.lower()) for name in names if name not in MATRICES}
    like = [name for name in words if any(map(alike.fullmatch, words[name]))]
    like += difflib.get_close_matches(layer, names, 1, 0.8)
    return names[like[0]] if like else ""


def _failures(load: Load) -> list[tuple[Place, Raised]]:
    statements = load.statements if isinstance(load, LoadReport) else ()
    return [
        (report.place, report.error)
        for report in statements
        if report.fate is StatementFate.FAILED and report.error is not None
    ]


def _said(error: Raised) -> str:
    return clean(f"{error.type_name}: {error.message}".removesuffix(": "), SAID_LIMIT)


def _where(place: Place | None) -> str:
    if place is None:
        return NO_OWN_LINE
    text = clean(place.text, LINE_LIMIT)
    return f"{clean(place.label, _NAME_LIMIT)}, line {place.line}" + (f": {text}" if text else "")


# --- Matrices that do not multiply: which ones they are, by their shapes and the sizes of the call. ---

_SHAPES: Final = re.compile(r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)")
_FACTORS: Final = (
    "the input without positions (seq_len, input_dim)",
    "the input (seq_len, total_input_dim)",
    "Q or K (seq_len, qk_dim)",
    "V (seq_len, v_dim)",
    "scores or attention weights (seq_len, seq_len)",
    "transposed Q or K (qk_dim, seq_len)",
    "transposed V (v_dim, seq_len)",
    "weight of Km or Qm as nn.Linear keeps it (qk_dim, total_input_dim)",
    "weight of Vm as nn.Linear keeps it (v_dim, total_input_dim)",
    "matrix of Km or Qm (total_input_dim, qk_dim)",
    "matrix of Vm (total_input_dim, v_dim)",
    "layer made for input_dim alone (input_dim, qk_dim)",
    "layer made for input_dim alone (input_dim, v_dim)",
)
_PRODUCTS: Final = (
    ("the input without", "matrix", "append the positions to seq before you call Km, Qm and Vm."),
    ("Q", "Q", "transpose the keys: Q @ K.T."),
    ("the input", "weight", "call the layer, self.Km(seq): nn.Linear keeps its weight as (out, in)."),
    (r"the input \(", "layer", "make the layers for total_input_dim, that is input_dim + pos_dim."),
    ("[QV]", "transposed", "the scores are Q @ K.T; the values come in after the softmax."),
    ("scores", "transposed", "multiply the attention weights by V as it is, without a transpose."),
    ("transposed", "transposed", "transpose the keys alone: Q @ K.T."),
    ("[QV]", "[QV]", "the scores are Q @ K.T, (seq_len, seq_len); their softmax multiplies V."),
    ("", "", "print both shapes above this line; the scores are Q @ K.T and their softmax multiplies V."),
)
"""How the names of the left and the right factor begin, and what to do; the first that fits."""


def _product(error: Raised, call: Call | None) -> Message | None:
    """What is said of a product whose shapes do not fit; None for any other error."""
    match = _SHAPES.search(error.message)
    if match is None:
        return None
    a, b, c, d = (int(size) for size in match.groups())
    left, right = _factors(call, (a, b)), _factors(call, (c, d))
    said = f"({a}, {b}) cannot be multiplied by ({c}, {d})"
    if not left and not right:
        return Message(
            f"{said}.",
            "In forward, print the shapes of both above this line. Expected: seq (seq_len, total_input_dim), "
            "Q and K (seq_len, qk_dim), Q @ K.T (seq_len, seq_len), V (seq_len, v_dim).",
        )
    for first, second, change in _PRODUCTS:
        lefts = [name for name in left or [""] if re.match(first, name)]
        rights = [name for name in right or [""] if re.match(second, name)]
        if lefts and rights:
            one, other = (" or ".join(names[:2]) or "something of another shape" for names in (lefts, rights))
            return Message(f"{said}: {one} by {other}.", f"In forward, {change}")
    return None


def _factors(call: Call | None, shape: tuple[int, int]) -> list[str]:
    """What a matrix of this shape may be, at the sizes of the call."""
    if not isinstance(call, (Forward, Gradients, RecordedOutput)):
        return []
    length = call.seq_len if isinstance(call, RecordedOutput) else len(call.seq)
    known = {**vars(call.sizes), "seq_len": length, "total_input_dim": call.sizes.total_dim}
    if call.sizes.pos_dim is None:
        known["input_dim"] = None  # it is total_input_dim
    sizes = {name: re.findall(r"\w+_(?:dim|len)(?=[,)])", name) for name in _FACTORS}
    return [name for name, (rows, columns) in sizes.items() if shape == (known[rows], known[columns])]
