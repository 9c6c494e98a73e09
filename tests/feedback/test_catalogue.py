"""docs/feedback.md holds every message, and is what the tests' uploads give.

`python -m tests.feedback.test_catalogue` writes it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograder.feedback.diagnose import CHOICES, RIGHT, VARIANTS
from autograder.feedback.error_rules import RULES
from autograder.feedback.hand_designed import find
from autograder.feedback.messages import Verdict
from autograder.feedback.mistakes import MISTAKES
from autograder.grade import grade
from autograder.sandbox.host import ForkServer
from reference.tasks import COPY_FIRST, IDENTITY, SequenceTask
from reference.transformer import NumpyTransformer
from tests import test_grade_bad_input as bad
from tests.answers import wrong_models
from tests.answers.answer import PLAIN_LAYERS, Answer
from tests.answers.every import WRONG
from tests.answers.upload import NOTEBOOK, Files, log_and_notebook, notebook_text, write
from tests.feedback.matrices import PLANTED
from tests.feedback.planted import source

TARGET = Path(__file__).resolve().parents[2] / "docs" / "feedback.md"
COMMAND = "python -m tests.feedback.test_catalogue"
HELPER = """
def same(part, like):
    if part.shape != like.shape:
        raise ValueError("the shapes differ")
    return part
"""
_HEAD = f"""# What students are told

Every message of the grader, as the tests' uploads provoke it. Written by `{COMMAND}` and held up to
date by a test: change the wording under `autograder/feedback`, or an upload under `tests`, not this
page.

A heading is an upload, named after its fault. Below it stand the checks that have something to say that
was not said above, but for numbers. Where a message has a picture, `[picture]` stands for it.
"""

Uploads = Iterator[tuple[str, Files]]


def groups() -> Mapping[str, Uploads]:
    """The uploads by the heading they stand under."""
    models = (
        *wrong_models.LAYER_MODELS,
        *wrong_models.LOOP_MODELS,
        *wrong_models.TRAINING_MODELS,
        *wrong_models.ENDING_MODELS,
    )
    values = wrong_models.VALUE_MODELS
    others = [answer for answer in WRONG if answer not in (*models, *values)]
    return {
        "Files and logs": ((upload.name, upload.files()) for upload in bad.BAD_FILES),
        "Models that do not run, or leave": (
            (upload.name, upload.files()) for upload in (*bad.CLASSES, *bad.RETURNS, *bad.ENDINGS)
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
    """One notebook per mistake of the forward pass, without a log."""
    seen = set()
    for choice in CHOICES:
        for index, (_, mistake) in enumerate(VARIANTS[choice]):
            if index == 0 or mistake in seen:
                continue
            seen.add(mistake)
            combination = list(RIGHT)
            combination[choice.value] = index
            layers = PLAIN_LAYERS + "self.max_seq_len = max_seq_len"
            forward = source(tuple(combination))
            answer = Answer(mistake.what, layers=layers, forward=forward, before_model=HELPER)
            yield mistake.what, {NOTEBOOK: notebook_text(answer)}


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
    told_first = results.get("output", "").rpartition("Graded by ")[0]  # behind it, a digest of the grader
    above = [line for line in told_first.splitlines() if _says_more(line, seen)]
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
    """The words for what came instead of an answer, by the pattern of what Python or the sandbox says."""
    rows = [
        "## Errors, refusals and endings\n",
        "What is recognised, what is said, what to do. In braces stands what is known of it.\n",
    ]
    rows += [f"- `{rule.error}`  \n  {rule.headline} *{rule.change}*" for rule in RULES]
    return "\n".join(rows) + "\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Python's own words differ between versions")
def test_the_page_is_what_the_uploads_give(fork_server: ForkServer) -> None:
    written = without_numbers(TARGET.read_text(encoding="utf-8"))
    given = without_numbers(catalogue(fork_server))
    assert written == given, f"run {COMMAND}, read the difference, and commit docs/feedback.md"


def test_every_mistake_in_a_model_that_has_a_name_is_on_the_page() -> None:
    page = TARGET.read_text(encoding="utf-8")
    named = [mistake for rows in MISTAKES.values() for mistake in rows[1:]]
    assert [mistake.what for mistake in named if mistake.do not in page] == []


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED)
def test_what_is_said_of_every_mistake_in_matrices_is_on_the_page(
    name: str, task: SequenceTask, transformer: NumpyTransformer
) -> None:
    page = without_numbers(TARGET.read_text(encoding="utf-8"))
    for finding in find(Verdict.of(task, transformer)):
        assert without_numbers(finding.what) in page
        assert without_numbers(finding.do) in page


def main() -> None:
    """Write the page."""
    with ForkServer() as fork_server:
        TARGET.write_text(catalogue(fork_server), encoding="utf-8")


if __name__ == "__main__":
    main()
