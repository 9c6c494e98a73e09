"""Writes docs/feedback.md, every message that the tests' uploads provoke.

`python -m tests.feedback.catalogue`
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np

from autograder.feedback.hypotheses.space import CHOICES, RIGHT, SPACE
from autograder.feedback.wording import endings, names, tensors
from autograder.feedback.wording.rules import Words
from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from reference.tasks import COPY_FIRST, IDENTITY
from reference.transformer import NumpyTransformer
from tests.answers import bad_code, wrong_models, wrong_values
from tests.answers.answer import PLAIN_LAYERS, Answer
from tests.answers.bad_files import BAD_FILES
from tests.answers.every import WRONG
from tests.answers.upload import NOTEBOOK, Files, log_and_notebook, notebook_text, write
from tests.feedback.matrices import PLANTED
from tests.feedback.planted import source

TARGET = Path(__file__).resolve().parents[2] / "docs" / "feedback.md"
COMMAND = "python -m tests.feedback.catalogue"
HELPER = """
def same(part, like):
    if part.shape != like.shape:
        raise ValueError("the shapes differ")
    return part
"""
_HEAD = f"""# What students are told

Every message of the grader, as the tests' uploads provoke it. Written by `{COMMAND}` and held up to
date by a test: change the wording under `autograder/feedback/wording`, or an upload under `tests`, not this
page.

A heading is an upload, named after its fault. Below it stand the checks that have something to say that
was not said above, but for numbers. Where a message has a picture, `[picture]` stands for it.
"""

Uploads = Iterator[tuple[str, Files]]


def groups() -> Mapping[str, Uploads]:
    """The uploads by the heading they stand under."""
    models = (*wrong_models.LAYERS, *wrong_models.LOOPS, *wrong_models.TRAINING, *wrong_models.RETURNS)
    values = (*wrong_values.COMPUTE, *wrong_values.POSITION, *wrong_values.TWO)
    others = [answer for answer in WRONG if answer not in (*models, *values)]
    return {
        "Files and logs": ((bad.name, bad.files()) for bad in BAD_FILES),
        "Models that do not run, or leave": (
            (bad.name, bad.files()) for bad in (*bad_code.CLASSES, *bad_code.RETURNS, *bad_code.ENDINGS)
        ),
        "Models with other layers, loops, or without gradients": _answers(models),
        "Models that compute something else": _answers(values),
        "Models that compute something else: every mistake that has a name": _planted_models(),
        "Unfinished notebooks and wrong matrices": _answers(others),
        "Wrong matrices: every mistake that has a name": _planted_matrices(),
    }


def _answers(answers: tuple[Answer, ...] | list[Answer]) -> Uploads:
    return ((answer.name, log_and_notebook(answer)) for answer in answers)


def _planted_models() -> Uploads:
    """One notebook per named fault of the forward pass, without a log."""
    seen = set()
    for choice in CHOICES:
        for index, option in enumerate(SPACE[choice]):
            if option.fault is None or option.fault in seen:
                continue
            seen.add(option.fault)
            combination = list(RIGHT)
            combination[choice.value] = index
            layers = PLAIN_LAYERS + "self.max_seq_len = max_seq_len"
            forward = source(tuple(combination))
            answer = Answer(option.fault.value, layers=layers, forward=forward, before_model=HELPER)
            yield option.fault.value, {NOTEBOOK: notebook_text(answer)}


def _planted_matrices() -> Uploads:
    """One notebook per planted mistake, without a log."""
    for name, task, transformer in PLANTED:
        part = {IDENTITY: "content", COPY_FIRST: "position"}.get(task, "unique")
        answer = Answer(name, **{part: matrices_code(transformer)})  # type: ignore[arg-type]  # by name
        yield f"{name} ({part})", {NOTEBOOK: notebook_text(answer)}


def matrices_code(transformer: NumpyTransformer) -> str:
    """What a student would type for these matrices."""
    named = {name: getattr(transformer, name) for name in ("Km", "Qm", "Vm", "pos")}
    return "\n".join(
        f"{name} = np.array({np.asarray(matrix).tolist()})".replace("nan", "np.nan")
        for name, matrix in named.items()
        if matrix is not None
    )


def catalogue(fork_server: ForkServer) -> str:
    """The page."""
    parts = [_HEAD]
    seen: set[str] = set()
    for heading, uploads in groups().items():
        parts.append(f"## {heading}\n")
        for name, files in uploads:
            with tempfile.TemporaryDirectory() as folder:
                results = grade(write(files, Path(folder, "upload")), fork_server).results
            told = list(_new_messages(results, seen))
            if told:
                parts.append(f"### {name}\n")
                parts += told
    return "\n".join([*parts, _recognised_errors()])


def _new_messages(results: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    above = [line for line in results.get("output", "").splitlines() if _says_more(line, seen)]
    if above:
        yield _block("Above the checks", "\n".join(above))
    for test in results["tests"]:
        told = plain(test)
        if _says_more(told, seen):
            points = f"{test['score']:g} of {test['max_score']:g}"
            yield _block(f"{test['number']} {test['name']}, {points}", told)


def _says_more(text: str, seen: set[str]) -> bool:
    """Whether a sentence is new; counts of cases and rows of tables are none."""
    sentences = {
        without_numbers(line)
        for line in text.splitlines()
        if line and not line[0].isspace() and not re.match(r"\d+ of \d+ (cases|sequences) ", line)
    }
    new = sentences - seen
    seen |= sentences
    return bool(new)


def _block(label: str, text: str) -> str:
    """In tildes: a message may hold backticks."""
    return f"{label}:\n\n~~~text\n{text}\n~~~\n"


def plain(test: Mapping[str, Any]) -> str:
    """A check's message without markup."""
    text = str(test.get("output", ""))
    if test.get("output_format") == "html":
        text = re.sub(r"<img [^>]*>", "[picture]", text)
        text = unescape(re.sub(r"<[^>]*>", "", text))
    return text


def without_numbers(text: str) -> str:
    """The text with every number as #: digits of float32 differ from one processor to the next."""
    return re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "#", text)


def _recognised_errors() -> str:
    """The words for errors that Python raised, by the pattern of its message."""
    rows = [
        "## Errors that Python raises\n",
        "What is recognised, what is said, what to do. In braces stands what is known of the error.\n",
    ]
    for rule in (*names.RULES, *tensors.RULES):
        rows.append(f"- `{rule.types}: {rule.message}`  \n  {_told(rule.words)}")
    rows.append("\n## Endings and refusals\n")
    for reason, words in {**endings.REFUSED, **endings.ENDED}.items():
        rows.append(f"- {reason.value}  \n  {_told(words)}")
    return "\n".join(rows) + "\n"


def _told(words: Words) -> str:
    return f"{words.headline} *{words.change}*"


def main() -> None:
    """Write the page."""
    with ForkServer() as fork_server:
        TARGET.write_text(catalogue(fork_server), encoding="utf-8")


if __name__ == "__main__":
    main()
