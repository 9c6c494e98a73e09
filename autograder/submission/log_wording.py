"""The validator's findings in a student's words. Nothing of the validator's own text is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autograder.assignment import Section
from autograder.text import clean

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

REMEDY: Final[dict[Section, str]] = {
    Section.TIME: "Run all cells of the notebook again, from the first to the one that writes the log, and "
    "download it again.",
    Section.MODEL: "The notebook writes this once the equivalence test, the call test(), passes: get it to "
    "pass, then run all cells again and download the log again.",
    Section.CONTENT: "Run the cell with your matrices for attention by content until its tests pass, then "
    "the cell that writes the log, and download it again.",
    Section.POSITION: "Run the cell with your matrices for attention by position until its tests pass, then "
    "the cell that writes the log, and download it again.",
}
"""What to do next where a section is missing or not finite."""
REWRITE: Final = (
    "Let the notebook's own lines write the log: run all its cells again and download submission_log.json "
    "again."
)


def where(error: ValidationError) -> str:
    """Return the place as a student finds it: "attention_by_content_Q, item 3" (counted from 1)."""
    path = list(error.absolute_path)
    name = clean(str(path[0]), 60) if path else "the log"
    return ", ".join([name, *(f"item {step + 1}" for step in path[1:] if isinstance(step, int))])


def message(error: ValidationError, more: int) -> str:
    """Return what was expected, what came and what to do next. more: items of the same key like this one."""
    return f"{_expectation(error)}{also(more)} {REWRITE}"


def also(more: int) -> str:
    """Return a sentence on the items beyond the first that share its problem; empty if there are none."""
    if more == 0:
        return ""
    return f" {more:,} more item{' of it is' if more == 1 else 's of it are'} like that."


def _expectation(error: ValidationError) -> str:
    came = kind(error.instance)
    inside = len(error.absolute_path) > 1
    keyword = str(error.validator)
    if keyword == "type" and inside:
        if isinstance(error.instance, list):
            return (
                "A number was expected, and a list came: the array has to be flat, one number after another, "
                "as reshape(-1).tolist() makes it."
            )
        whole = "whole " if error.validator_value == "integer" else ""
        return f"A {whole}number was expected, and {came} came."
    if keyword == "type":
        return f"{_wanted(error)} was expected, and {came} came."
    if keyword == "minItems":
        return "At least one number was expected, and the list is empty."
    if keyword == "maxItems":
        return f"At most {error.validator_value:,} numbers were expected, and {len(error.instance):,} came."
    if keyword == "minLength":
        return "The source text of a method was expected, and the text is empty."
    if keyword == "maxLength":
        most = f"{error.validator_value:,}"
        return f"A text of at most {most} characters was expected, and {len(error.instance):,} came."
    return f"A size between 0 and 2,147,483,648 was expected, and {came} came."


def _wanted(error: ValidationError) -> str:
    wanted = error.validator_value
    if wanted == "array":
        return "A list of numbers"
    if wanted == "string":
        return "The source text of a method"
    return "A number"


def kind(value: object) -> str:
    """Return what a JSON value is, in words, with a short look at it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {clean(str(value), 30)}"
    if isinstance(value, str):
        return f'the text "{clean(value, 30)}"'
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return "an object"
