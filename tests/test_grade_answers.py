"""Every answer gets what it deserves, in the forms in which it may be handed in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from autograder.grade import grade
from autograder.results.schema import validate
from autograder.sandbox.host import ForkServer
from tests.answers.answer import Answer
from tests.answers.every import BY_NAME, RIGHT, WRONG
from tests.answers.run import log_of
from tests.answers.upload import FORMS, write, write_zip
from tests.answers.verdict import complaints

BESIDES = [form for form in FORMS if form not in ("log and notebook", "log alone")]
"""Forms that take turns: each gets a share of the answers."""


def _in_turns(answers: Sequence[Answer], forms: Sequence[str]) -> list[tuple[str, str]]:
    return [(answer.name, forms[i % len(forms)]) for i, answer in enumerate(answers)]


ALWAYS = [(answer.name, "log and notebook") for answer in (*RIGHT, *WRONG)]
IN_TURNS = [*_in_turns(RIGHT, BESIDES), *_in_turns(WRONG, [*BESIDES, "log alone"])]
LOG_ALONE = [(answer.name, "log alone") for answer in RIGHT]


@pytest.mark.parametrize(("name", "form"), [*ALWAYS, *LOG_ALONE, *IN_TURNS])
def test_an_answer_gets_what_it_deserves(
    name: str, form: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    answer = BY_NAME[name]
    graded = grade(write(FORMS[form](answer), tmp_path / "upload"), fork_server)
    validate(graded.results)
    assert graded.faults == ()
    assert complaints(answer, form, graded.results) == []


@pytest.mark.parametrize("answer", RIGHT, ids=lambda answer: answer.name)
def test_a_right_answer_passes_the_notebook_s_own_tests(answer: Answer) -> None:
    done = {"torch_transformer_value", "attention_by_content_V", "attention_by_position_V"}
    assert done <= json.loads(log_of(answer)).keys()


def test_an_answer_in_a_zip_is_graded_like_the_folder(fork_server: ForkServer, tmp_path: Path) -> None:
    answer = BY_NAME["unique: a compass"]
    files = FORMS["in a folder"](answer)
    zipped = grade(write_zip(files, tmp_path / "homework.zip"), fork_server).results
    assert complaints(answer, "log and notebook", zipped) == []
    assert zipped["score"] == 100


def test_a_zip_within_the_upload_is_opened(fork_server: ForkServer, tmp_path: Path) -> None:
    answer = BY_NAME["einsum"]
    (tmp_path / "upload").mkdir()
    write_zip(FORMS["in a folder"](answer), tmp_path / "upload" / "hw (2).zip")
    assert grade(tmp_path / "upload", fork_server).results["score"] == 100
