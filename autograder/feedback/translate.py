"""What a call gave instead of an answer, in a student's words: what happened, where, what to change.

Student text is bounded and cleaned here; escaping it for HTML belongs to whoever writes HTML.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from autograder.assignment import CLASS_NAME, GIVEN_CLASS_NAME, MATRICES
from autograder.feedback.translate_products import explain_product
from autograder.feedback.wording import endings, names, tensors
from autograder.feedback.wording.rules import Words
from autograder.sandbox.calls import (
    Answer,
    Call,
    Ended,
    LoadReport,
    Outcome,
    Place,
    Raised,
    Refusal,
    Refused,
    StatementFate,
)
from autograder.text import clean

SAID_LIMIT = 300
LINE_LIMIT = 120
NAME_LIMIT = 60
_FROM_LOG = "torch_transformer_init"
"""In the label of a cell that was rebuilt from the log."""

Load = LoadReport | Ended | None


@dataclass(frozen=True)
class Explanation:
    """headline: what happened. where: the student's line, "" if there is none. said: Python's own
    words, "" if there are none. change: what to do next."""

    headline: str
    where: str
    said: str
    change: str

    @property
    def text(self) -> str:
        """All of it, one line each."""
        told = (
            self.headline,
            self.where and f"Where: {self.where}",
            self.said and f"Python says: {self.said}",
        )
        return "\n".join([*filter(None, told), f"What to do: {self.change}"])


def explain(outcome: Outcome, call: Call | None = None, load: Load = None) -> Explanation:
    """Explain an outcome that is no Answer; ValueError for an Answer.

    call: what was asked, whose sizes name the matrices. load: how loading went, which often holds the
    reason for what is missing.
    """
    if isinstance(outcome, Raised):
        return _raised(outcome, call, load)
    if isinstance(outcome, Refused):
        return _refused(outcome, load)
    if isinstance(outcome, Ended):
        return _explanation(endings.ENDED[outcome.reason], {"detail": clean(outcome.detail, NAME_LIMIT)})
    if isinstance(outcome, Answer):
        raise ValueError("an Answer needs no explanation")
    raise TypeError(f"expected an Outcome, got {type(outcome).__name__}")


def layer_named_like(layer: str, found: list[str]) -> str:
    """Of the found entries of a state dict, the layer that is probably meant; "" if none is like it.

    "Km" is like "K", "key", "W_k", "to_k", "k_proj", "linear_keys".
    """
    meant = {"Km": "key", "Qm": "query", "Vm": "value", "pos": "position"}[layer]
    letter = meant[0]
    for entry in found:
        name = entry.removesuffix(".weight")
        words = [word for word in re.split(r"[\W_\d]+", name.lower()) if word]
        if name in MATRICES:
            continue
        stems = {word.removesuffix("s").removesuffix("m") for word in words}
        initials = {word.removeprefix("w").removesuffix("proj") for word in words}
        if layer != "pos" and letter in stems | initials:
            return name
        if any(word[:3] == meant[:3] or meant in word for word in words):
            return name
    return next(
        iter(difflib.get_close_matches(layer, [e.removesuffix(".weight") for e in found], 1, 0.8)), ""
    )


def _raised(error: Raised, call: Call | None, load: Load) -> Explanation:
    place = error.trace[-1] if error.trace else None
    line = place.text if place is not None else ""
    said = clean(f"{error.type_name}: {error.message}".removesuffix(": "), SAID_LIMIT)
    product = explain_product(error, call)
    if product is not None:
        return _explanation(product, {}, _where(place), said)
    for rule in (*names.RULES, *tensors.RULES):
        match = rule.match(error.type_name, error.message, line)
        if match is not None:
            known = {name: clean(text or "", NAME_LIMIT) for name, text in match.groupdict().items()}
            words = rule.words
            if error.type_name == "NameError":
                words = _of_missing_name(words, known["name"], place, load)
            return _explanation(words, known, _where(place), said)
    return _explanation(endings.UNKNOWN, {}, _where(place), said)


def _of_missing_name(words: Words, name: str, place: Place | None, load: Load) -> Words:
    if place is not None and _FROM_LOG in place.label and name not in ("seq_len", "self"):
        return endings.FROM_LOG
    pattern = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for failed, error in _failures(load):
        if pattern.search(failed.text):
            told = endings.LINE_FAILED.format(reason=_reason(failed, error))
            return Words(words.headline + _literal(told), words.change)
    return words


def _refused(refused: Refused, load: Load) -> Explanation:
    detail = clean(refused.detail, SAID_LIMIT)
    known = {"detail": detail}
    words = endings.REFUSED[refused.reason]
    if refused.reason is Refusal.NO_CLASS:
        return _no_class(detail, load)
    if refused.reason is Refusal.NOT_A_TENSOR:
        if detail == "None":
            words = endings.NONE_RETURNED
        elif "tuple" in detail or "list" in detail or "dict" in detail:
            words = endings.TUPLE_RETURNED
        elif "NumPy" in detail:
            words = endings.ARRAY_RETURNED
    if refused.reason is Refusal.MISSING_LAYER:
        words = _of_missing_layers(words, refused.detail)
    return _explanation(words, known)


def _of_missing_layers(words: Words, detail: str) -> Words:
    missing, _, found = detail.partition(" not found; there is ")
    if found in ("", "nothing"):
        return endings.NOTHING_FOUND
    entries = [entry for entry in found.split(", ") if not entry.endswith(".bias")]
    renames = []
    for layer in (entry.removesuffix(".weight") for entry in missing.split(", ")):
        like = layer_named_like(layer, entries) if layer in MATRICES else ""
        if like:
            renames.append(endings.RENAME.format(found=clean(like, NAME_LIMIT), layer=layer))
    return Words(words.headline, _literal(" ".join(renames))) if renames else words


def _no_class(detail: str, load: Load) -> Explanation:
    if isinstance(load, Ended):
        return explain(load)
    if detail:
        return _explanation(endings.NOT_A_CLASS, {"detail": detail})
    failures = _failures(load)
    unread = [
        (place, error)
        for place, error in failures
        if error.type_name in ("SyntaxError", "IndentationError", "TabError")
        or place.text.startswith("class ")
    ]
    if unread:
        place, error = unread[0]
        told = explain(error)
        reason = clean(f"{error.type_name}: {error.message}", SAID_LIMIT)
        known = {"reason": told.headline, "change": told.change}
        return _explanation(endings.CLASS_FAILED, known, told.where or _where(place), reason)
    classes = load.classes if load is not None else ()
    others = [name for name in classes if name != GIVEN_CLASS_NAME]
    if others:
        closest = difflib.get_close_matches(CLASS_NAME, others, 1, 0.0)[0]
        return _explanation(endings.OTHER_CLASS, {"name": clean(closest, NAME_LIMIT)})
    return _explanation(endings.REFUSED[Refusal.NO_CLASS], {})


def _failures(load: Load) -> list[tuple[Place, Raised]]:
    statements = load.statements if isinstance(load, LoadReport) else ()
    return [
        (report.place, report.error)
        for report in statements
        if report.fate is StatementFate.FAILED and report.error is not None
    ]


def _reason(place: Place, error: Raised) -> str:
    return f"{_where(place)} ({clean(f'{error.type_name}: {error.message}', LINE_LIMIT)})."


def _where(place: Place | None) -> str:
    if place is None:
        return endings.NO_OWN_LINE
    text = clean(place.text, LINE_LIMIT)
    return f"{clean(place.label, NAME_LIMIT)}, line {place.line}" + (f": {text}" if text else "")


def _explanation(words: Words, known: dict[str, str], where: str = "", said: str = "") -> Explanation:
    return Explanation(words.headline.format(**known), where, said, words.change.format(**known))


def _literal(text: str) -> str:
    """Student text inside words that will be formatted."""
    return text.replace("{", "{{").replace("}", "}}")
