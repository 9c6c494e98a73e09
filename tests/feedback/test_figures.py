"""The picture under a failed task: small, one line, inline styles, and the same said in words."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autograder.feedback.figures import picture as figures
from autograder.feedback.figures.draw import cell_text, draw
from autograder.feedback.figures.panels import panel, panels
from autograder.feedback.matrices.explain import explain
from autograder.feedback.matrices.find import shortest_failure
from autograder.settings import MAX_OUTPUT_BYTES
from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, UNIQUE, SequenceTask
from reference.transformer import NumpyTransformer
from tests.feedback.matrices import CONTENT, PLANTED, judged

NAMES = [f"{name}, {task.name}" for name, task, _ in PLANTED]


def message(task: SequenceTask, transformer: NumpyTransformer) -> str:
    explained = explain(task, transformer, judged(task, transformer))
    assert explained.message.format == "html"
    return explained.message.text


def png(html: str) -> bytes:
    found = re.search(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"', html)
    assert found is not None
    return base64.b64decode(found[1], validate=True)


def random_transformer(qk_dim: int, pos_dim: int, rows: int, seed: int = 1) -> NumpyTransformer:
    draws = np.random.default_rng(seed)
    shapes = (3 + pos_dim, qk_dim), (3 + pos_dim, qk_dim), (3 + pos_dim, 3), (rows, pos_dim)
    return NumpyTransformer(*(draws.normal(size=shape) * 1e-4 for shape in shapes))


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED, ids=NAMES)
def test_a_message_with_its_picture_fits_into_results_and_on_gradescopes_page(
    name: str, task: SequenceTask, transformer: NumpyTransformer
) -> None:
    html = message(task, transformer)
    assert len(json.dumps(html)) < MAX_OUTPUT_BYTES
    assert len(png(html)) * 4 / 3 < 70_000
    assert all(len(line) < 70_000 for line in html.splitlines())


@pytest.mark.parametrize(
    ("qk_dim", "pos_dim", "rows"), [(300, 40, 60), (16, 12, 12), (90, 30, 40), (9, 9, 9)]
)
def test_large_matrices_still_give_a_picture_that_fits(qk_dim: int, pos_dim: int, rows: int) -> None:
    html = message(COPY_FIRST, random_transformer(qk_dim, pos_dim, rows))
    assert len(json.dumps(html)) < MAX_OUTPUT_BYTES


def test_a_picture_that_is_too_large_at_twice_the_resolution_is_drawn_at_once_the_resolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soft = NumpyTransformer(CONTENT.Km / 10, CONTENT.Qm, CONTENT.Vm)
    batch, index = shortest_failure(IDENTITY, judged(IDENTITY, soft))
    rows = panels(IDENTITY, soft, batch, index)
    sharp, plain = draw(rows, scale=2), draw(rows, scale=1)
    monkeypatch.setattr(figures, "MAX_PNG_BYTES", len(sharp.png) - 1)
    assert figures.small_enough(rows).png == plain.png


def test_a_picture_that_cannot_be_made_small_enough_leaves_the_message_in_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "MAX_PNG_BYTES", 10)
    soft = NumpyTransformer(CONTENT.Km / 10, CONTENT.Qm, CONTENT.Vm)
    explained = explain(IDENTITY, soft, judged(IDENTITY, soft))
    assert explained.message.format == "text"
    assert explained.diagnosis == "not sharp enough"
    assert "The shortest sequence that fails is A B" in explained.message.text


def test_styles_are_inline_and_there_is_nothing_that_gradescope_strips() -> None:
    html = message(*PLANTED[6][1:])
    assert set(re.findall(r"<([a-z0-9]+)", html)) <= {"p", "pre", "img"}
    assert set(re.findall(r' ([a-z-]+)="', html)) <= {"style", "alt", "src"}


def test_the_text_alternative_says_what_the_picture_shows() -> None:
    soft = NumpyTransformer(CONTENT.Km / 10, CONTENT.Qm, CONTENT.Vm)
    found = re.search(r'alt="([^"]*)"', message(IDENTITY, soft))
    assert found is not None
    words = unescape(found[1])
    assert words.startswith("The sequence A B")
    for title in ("Km", "Qm", "Vm", "keys", "queries", "values", "attention weights", "output"):
        assert f"{title}: A [" in words
    assert "expected output: A [1, 0, 0], B [0, 1, 0]" in words


@pytest.mark.parametrize("task", [IDENTITY, COPY_FIRST, UNIQUE], ids=lambda task: task.name)
def test_a_picture_holds_every_matrix_that_the_assignment_shows(task: SequenceTask) -> None:
    transformer = next(iter(SOLUTIONS[task.name].values()))
    titles = [p.title for row in panels(task, transformer, task.all_sequences()[1], 1) for p in row]
    expected = {"Km", "Qm", "Vm", "keys", "queries", "values", "attention weights", "output"}
    assert expected <= set(titles)
    assert ("pos" in titles) == (task.pos_rows is not None)


def test_rows_are_labelled_by_tokens_and_positions() -> None:
    transformer = next(iter(SOLUTIONS[UNIQUE.name].values()))
    (Km, _, _, pos), (keys, *_), (scores, *_) = panels(UNIQUE, transformer, UNIQUE.all_sequences()[1], 1)
    assert Km.rows == ("A", "B", "C", "CLS", "d0", "d1", "d2", "d3")
    assert pos.rows == ("p0", "p1", "p2", "p3", "p4")
    assert keys.rows == ("CLS p0", "A p1", "B p2")
    assert scores.columns == ("CLS", "A", "B")


def test_a_picture_is_the_same_bytes_each_time() -> None:
    assert png(message(*PLANTED[6][1:])) == png(message(*PLANTED[6][1:]))


def test_a_picture_is_a_png_of_twice_the_size_on_the_page() -> None:
    drawn = draw(((panel("Km", np.eye(3), ["A", "B", "C"]),),))
    image = Image.open(io.BytesIO(drawn.png))
    image.load()
    assert image.size == (2 * drawn.width, 2 * drawn.height)


def test_brightness_alone_tells_high_from_low() -> None:
    ramp = np.linspace(0, 1, 8)[None]
    drawn = draw(((panel("Km", np.repeat(ramp, 30, axis=0), [""] * 30),),), scale=1)
    grey = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L")).astype(int)
    middle = grey[60, 18 : 18 + 8 * 24 : 24]
    assert (np.diff(middle) < -8).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (60.0, "60"),
        (1.0, "1"),
        (1 - 1e-6, "<1"),
        (4.5e-5, "5e-5"),
        (-3464.1, "-3464"),
        (1e300, "1e300"),
        (float("nan"), "NaN"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_number_in_a_cell_is_short_and_not_misleading(value: float, text: str) -> None:
    assert cell_text(value) == text


def test_nothing_that_draws_is_loaded_before_something_fails() -> None:
    code = (
        "import sys; import autograder.checks.rubric, autograder.grade;"
        "print([m for m in sys.modules if m.split('.')[0] == 'PIL' or 'figures' in m or 'matrices_' in m])"
    )
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
