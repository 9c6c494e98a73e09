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

from autograder.feedback import figures
from autograder.feedback.figures import NARROW, Panel, cell_text, draw, panels, picture
from autograder.feedback.hand_designed import explain_matrices
from autograder.feedback.messages import Verdict
from autograder.settings import MAX_OUTPUT_BYTES
from reference.solutions import SOLUTIONS
from reference.tasks import COPY_FIRST, IDENTITY, UNIQUE, SequenceTask
from reference.transformer import NumpyTransformer
from tests.feedback.matrices import CONTENT, PLANTED

NAMES = [f"{name}, {task.name}" for name, task, _ in PLANTED]


def message(task: SequenceTask, transformer: NumpyTransformer) -> str:
    explained = explain_matrices(Verdict.of(task, transformer), half=False)
    assert explained.format == "html"
    return explained.text


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
    sharp = png(message(IDENTITY, soft))
    monkeypatch.setattr(figures, "MAX_PNG_BYTES", len(sharp) - 1)
    plain = png(message(IDENTITY, soft))
    assert Image.open(io.BytesIO(sharp)).width == 2 * Image.open(io.BytesIO(plain)).width


def test_a_picture_that_cannot_be_made_small_enough_leaves_the_message_in_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "MAX_PNG_BYTES", 10)
    soft = NumpyTransformer(CONTENT.Km / 10, CONTENT.Qm, CONTENT.Vm)
    explained = explain_matrices(Verdict.of(IDENTITY, soft), half=False)
    assert explained.format == "text"
    assert explained.diagnosis == "not sharp enough"
    assert "The shortest sequence that fails is A B" in explained.text


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
    transformer = SOLUTIONS[task.name]
    titles = [p.title for row in panels(task, transformer, task.all_sequences()[1], 1) for p in row]
    expected = {"Km", "Qm", "Vm", "keys", "queries", "values", "attention weights", "output"}
    assert expected <= set(titles)
    assert ("pos" in titles) == (task.pos_rows is not None)


def test_rows_are_labelled_by_tokens_and_positions() -> None:
    transformer = SOLUTIONS[UNIQUE.name]
    (Km, _, _, pos), (keys, *_), (scores, _), _ = panels(UNIQUE, transformer, UNIQUE.all_sequences()[1], 1)
    assert Km.rows == ["A", "B", "C", "CLS", "d0", "d1", "d2", "d3"]
    assert pos.rows == ["p0", "p1", "p2", "p3", "p4"]
    assert keys.rows == ["CLS p0", "A p1", "B p2"]
    assert scores.columns == ["CLS", "A", "B"]


def test_a_picture_is_the_same_bytes_each_time() -> None:
    assert png(message(*PLANTED[6][1:])) == png(message(*PLANTED[6][1:]))


def test_a_picture_is_a_png_of_twice_the_size_on_the_page() -> None:
    drawn = draw(((Panel("Km", np.eye(3), ["A", "B", "C"]),),))
    image = Image.open(io.BytesIO(drawn.png))
    image.load()
    assert image.size == (2 * drawn.width, 2 * drawn.height)


def cells(drawn: figures.Drawn) -> np.ndarray:
    """The colours of a first panel of one column and cells of 24 x 22 pixels, each beside its number."""
    image = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("RGB")).astype(int)
    return image[8 + 20 + 3 :: 22, 8 + 6 + 3]


def of_column(*values: float) -> list[tuple[int, ...]]:
    column = Panel("Km", np.array(values)[:, None], [""] * len(values))
    return [tuple(colour) for colour in cells(draw([[column]], scale=1))[: len(values)].tolist()]


def test_zero_is_white_and_the_signs_have_two_colours() -> None:
    above, zero, below = of_column(5, 0, -5)
    assert zero == (255, 255, 255)
    assert above[2] > above[0]  # blue
    assert below[0] > below[2]  # orange


def test_a_constant_matrix_is_what_it_is() -> None:
    assert len(set(of_column(5, 5, 5))) == 1
    assert of_column(5, 5, 5)[0] == of_column(5, 0, -5)[0]
    assert set(of_column(0, 0)) == {(255, 255, 255)}


def test_brightness_alone_tells_large_from_small() -> None:
    brightness = [sum(colour) for colour in of_column(0, 0.1, 0.5, 1, 5, 60)]
    assert (np.diff(brightness) < -20).all()


def test_only_outputs_that_are_not_as_expected_are_outlined() -> None:
    soft = NumpyTransformer(CONTENT.Km / 10, CONTENT.Qm, CONTENT.Vm)
    *_, (output, expected) = panels(IDENTITY, soft, IDENTITY.all_sequences()[1], 1)  # A B
    assert output.wrong is not None
    assert output.wrong.tolist() == [[True, True, False], [True, True, False]]
    assert expected.wrong is False


@pytest.mark.parametrize(("name", "task", "transformer"), PLANTED, ids=NAMES)
def test_a_picture_is_narrow_enough_for_a_telephone(
    name: str, task: SequenceTask, transformer: NumpyTransformer
) -> None:
    batch, index = Verdict.of(task, transformer).shortest_failure
    found = re.search(r"width:(\d+)px", picture(task, transformer, batch, index))
    assert found is not None
    assert int(found[1]) <= NARROW


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
        "import sys; import autograder.checks, autograder.grade;"
        "print([m for m in sys.modules if m.split('.')[0] == 'PIL' or 'figures' in m or 'matrices_' in m])"
    )
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
