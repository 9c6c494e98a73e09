"""Pictures of one sequence on its way through the matrices, each with its words for those who cannot see it.

White is zero, one colour stands for numbers above it and one for those below; all matrices of a picture share
one scale, which its legend shows. Gradescope strips classes and style sheets and refuses long lines of images
past 70 kB: styles are inline, and the picture is one line of base64, made smaller until it fits.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import chain, repeat
from math import ceil
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autograder import settings
from autograder.assignment import LAYERS
from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import BoolArray, FloatArray, NumpyTransformer

MAX_PNG_BYTES: Final = 42_000
"""With base64, the words and JSON's escapes, the message stays below 64 KiB and Gradescope's 70 kB."""
MAX_ALT: Final = 2000
MAX_NUMBERS: Final = 24
"""Of a matrix that the text alternative reads out."""
MAX_ROWS, MAX_COLUMNS = 40, 96
"""What is beyond is left out of the picture, and said in the title."""
NARROW: Final = 368
"""Width of a picture in a message: all of it, and every number, is legible in a window of 400 pixels."""

_POSITIVE, _NEGATIVE = (23, 78, 150), (176, 70, 6)
_WHITE, _TEXT, _SOFT, _EDGE = (255, 255, 255), (0, 0, 0), (70, 70, 70), (190, 190, 190)
_COLOURS: Final = 48
"""Of the picture's palette: both ramps, and the grey edges of letters."""

# All sizes are in pixels of the page; the picture has `scale` times as many.
_GAP, _MARGIN, _HEADING_HEIGHT, _TITLE_HEIGHT, _LABEL_HEIGHT = 18, 8, 26, 20, 15
_ROW_HEIGHT, _LOW_ROW_HEIGHT = 22, 12
_HEADING, _TITLE, _SMALL = 15, 13, 12
_MANY: Final = 16
"""Rows from which on they are low; columns from which on cells hold no numbers."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One matrix. values: (rows, columns), NaN allowed. rows, columns: labels; columns may be empty.

    wrong: which of the values are not as expected, outlined.
    """

    title: str
    values: FloatArray
    rows: Sequence[str]
    columns: Sequence[str] = ()
    wrong: BoolArray | bool = False


@dataclass(frozen=True)
class Drawn:
    """A PNG, and its size in pixels of the page."""

    png: bytes
    width: int
    height: int


# --- What a picture shows. ---


def panels(
    task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int
) -> tuple[tuple[Panel, ...], ...]:
    """The matrices, what they make of one sequence step by step, and the output beside the expected one."""
    seq, names, skipped = batch.inputs[index], token_names(task, batch, index), int(task.has_cls)
    attention, pos = transformer.forward(seq), transformer.pos
    dims = [f"d{i}" for i in range(transformer.pos_dim)]
    into = ["A", "B", "C", "CLS"][: task.input_dim] + dims
    places = names if pos is None else [f"{name} p{i}" for i, name in enumerate(names)]
    output, expected = transformer.plain(seq).output[skipped:], batch.expected[index]
    judged = np.sign(output) if task.only_sign else output
    right = np.isclose(judged, expected, rtol=settings.RTOL, atol=settings.TASK_ATOL)
    matrices = [Panel(name, getattr(transformer, name), into) for name in LAYERS]
    if pos is not None:
        matrices.append(Panel("pos", pos, [f"p{i}" for i in range(len(pos))], dims))
    return (
        tuple(matrices),
        tuple(Panel(name, getattr(attention, name), places) for name in ("keys", "queries", "values")),
        (
            Panel("scores", attention.scores, places, names),
            Panel("attention weights", transformer.plain(seq).attention_weights, places, names),
        ),
        (
            Panel("output", output, names[skipped:], wrong=~right),
            Panel(f"expected {'sign' if task.only_sign else 'output'}", expected, names[skipped:]),
        ),
    )


def token_names(task: SequenceTask, batch: Batch, index: int) -> list[str]:
    """The tokens of a sequence as they enter the transformer, CLS in front where there is one."""
    return (["CLS"] if task.has_cls else []) + [TOKEN_NAMES[token] for token in batch.tokens[index]]


def attention_table(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """One line per token: its attention to each token, its output, the expected output."""
    names = token_names(task, batch, index)
    attention = transformer.plain(batch.inputs[index])
    weights, output = attention.attention_weights, attention.output
    skipped = int(task.has_cls)
    rows = [["", "", *names, "output", "expected"]]
    for i, right in enumerate(batch.expected[index], skipped):
        expected = " ".join(map(_number, right))
        if task.only_sign:
            expected = "positive" if right > 0 else "negative"
        lead = [names[i], "attends to" if i == skipped else ""]
        rows.append([*lead, *map(_number, weights[i]), " ".join(map(_number, output[i])), expected])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  " + "  ".join(row).rstrip() for row in padded)


def _number(value: float) -> str:
    """A number as short as it can be told apart from a right one: 1, 0.99995, 4.54e-05, NaN."""
    if np.isnan(value):
        return "NaN"
    return f"{value + 0.0:.5g}" if abs(value) >= 0.001 or value == 0 else f"{value:.3g}"


# --- The picture as an element of a message. ---


def picture(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """An img element, on one line, with its words. Raises ValueError if it cannot be made small enough."""
    rows = panels(task, transformer, batch, index)
    for scale in (2, 1):
        drawn = draw(rows, width=NARROW, scale=scale)
        if len(drawn.png) <= MAX_PNG_BYTES:
            break
    else:
        raise ValueError(f"a picture of {len(drawn.png)} bytes cannot be shown")
    told = "; ".join(read_out(panel) for row in rows for panel in row)
    words = f"The sequence {batch.spell(index)} on its way through your matrices. {told}."
    words = words if len(words) <= MAX_ALT else words[: MAX_ALT - 1] + "…"
    style = f"width:{drawn.width}px;display:block;max-width:100%;height:auto;background:#fff"
    data = base64.b64encode(drawn.png).decode("ascii")
    return f'<img style="{style}" alt="{escape(words)}" src="data:image/png;base64,{data}">'


def read_out(panel: Panel) -> str:
    """A small matrix row by row, a large one by its size."""
    if panel.values.size > MAX_NUMBERS:
        return "{}: {} rows of {} numbers".format(panel.title, *panel.values.shape)
    rows = zip(panel.rows, panel.values, strict=True)
    return f"{panel.title}: " + ", ".join(f"{name} [{', '.join(map(cell_text, row))}]" for name, row in rows)


def cell_text(value: float) -> str:
    """A number in at most six characters; "<1" for what would round to 1 and is less."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    if 0.9995 <= value < 1 - 1e-8:
        return f"{value:.4f}" if value < 0.99995 else "<1"
    if 0.001 <= abs(value) < 9999.5:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


# --- Drawing: each panel is an image of its own, and the page holds them all. ---


def draw(
    rows: Sequence[Sequence[Panel]], *, headings: Sequence[str] = (), width: int | None = None, scale: int = 2
) -> Drawn:
    """Rows of panels, and the legend of their colours. headings: one above each row, or none.

    width: a row that is wider goes on below; None: no row does, and their panels stand in columns.
    """
    legend, largest = _legend(rows)
    images = [[_image(panel, largest, scale) for panel in row] for row in (*rows, (legend,))]
    lines = images if width is None else [line for row in images for line in _wrapped(row, width, scale)]
    left, gap, y = _MARGIN * scale, _GAP * scale, _MARGIN * scale
    placed: list[tuple[Image.Image, tuple[int, int]]] = []
    for line, heading in zip(lines, chain(headings, repeat("")), strict=False):
        if heading:
            placed.append((_words(heading, scale), (left, y)))
            y += _HEADING_HEIGHT * scale
        x = left
        for i, image in enumerate(line):
            placed.append((image, (x, y)))
            column = [image] if width else [other[i] for other in lines if i < len(other)]
            x += max(each.width for each in column) + gap
        y += max(image.height for image in line) + gap
    right = max(x + image.width for image, (x, _) in placed)
    page = Image.new("RGB", (right + left, y - gap + left), _WHITE)
    for image, corner in placed:
        page.paste(image, corner)
    data = io.BytesIO()
    page.quantize(_COLOURS, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    return Drawn(data.getvalue(), page.width // scale, page.height // scale)


def _wrapped(row: Sequence[Image.Image], width: int, scale: int) -> Iterator[list[Image.Image]]:
    line: list[Image.Image] = []
    for image in row:
        needed = sum(each.width + _GAP * scale for each in line) + image.width + 2 * _MARGIN * scale
        if line and needed > width * scale:
            yield line
            line = []
        line.append(image)
    yield line


def _legend(rows: Sequence[Sequence[Panel]]) -> tuple[Panel, float]:
    """What the colours of all panels stand for, and the number that is drawn in the full colour."""
    numbers = np.concatenate([panel.values.ravel() for row in rows for panel in row])
    numbers = numbers[np.isfinite(numbers)]
    largest = float(np.abs(numbers).max(initial=0.0)) or 1.0
    unit = _unit(largest)
    thirds = unit * np.expm1(np.array([1 / 3, 2 / 3]) * np.log1p(largest / unit))
    above = [*(float(f"{number:.1g}") for number in thirds), largest]
    signs = ([-v for v in above[::-1]] if (numbers < 0).any() else []) + [0.0] + above
    outlined = any(np.any(panel.wrong) for row in rows for panel in row)
    title = f"colours{' (outlined: not as expected)' if outlined else ''}"
    return Panel(title, np.array([signs]), ("",)), largest


def _unit(largest: float) -> float:
    """The number below which the colour grows in proportion, above as a logarithm: attention of 1 shows
    beside a key of 60."""
    return min(0.1, largest / 10)


def _shares(values: FloatArray, largest: float) -> FloatArray:
    """Of the full colour: 0 for zero and NaN, 1 for the largest number and for what is infinite."""
    unit = _unit(largest)
    with np.errstate(over="ignore"):
        shares = np.log1p(np.abs(values) / unit) / np.log1p(largest / unit)
    return np.asarray(np.nan_to_num(np.minimum(1.0, shares)))


def _image(panel: Panel, largest: float, scale: int) -> Image.Image:
    """The panel: title, labels, and a cell for each number, with the number in it where there is room."""
    values, title = panel.values[:MAX_ROWS, :MAX_COLUMNS], panel.title
    outlined = np.broadcast_to(panel.wrong, panel.values.shape)[:MAX_ROWS, :MAX_COLUMNS]
    rows, columns = values.shape
    if values.shape != panel.values.shape:
        title += " ({} x {} of {} x {})".format(*values.shape, *panel.values.shape)
    left = ceil(max(_width(name, _SMALL) for name in panel.rows)) + 6
    room = NARROW - 2 * _MARGIN - 1 - left
    widths = [max(24.0, *(_width(cell_text(v), _SMALL) + 8 for v in column)) for column in values.T[:_MANY]]
    numbers = rows <= _MANY and columns <= _MANY and (sum(widths) <= room or columns == 1)
    if not numbers:
        widths = [min(24.0, room / columns)] * columns
    edges = left + np.cumsum([0.0, *widths])
    top = _TITLE_HEIGHT + (_LABEL_HEIGHT if panel.columns else 0)
    every, height = (1, _ROW_HEIGHT) if rows <= _MANY else (2, _LOW_ROW_HEIGHT)
    right = ceil(max(edges[-1], left + _width(title, _TITLE)))
    image = Image.new("RGB", ((right + 1) * scale, (top + rows * height + 1) * scale), _WHITE)
    pen = ImageDraw.Draw(image)

    def write(x: float, y: float, text: str, anchor: str, colour: tuple[int, ...], size: int) -> None:
        pen.text((x * scale, y * scale), text, fill=colour, font=_font(size * scale), anchor=anchor)

    write(left, 0, title, "la", _TEXT, _TITLE)
    widest = max((_width(name, _SMALL) for name in panel.columns), default=0.0)
    for j in range(0, len(panel.columns[:columns]), ceil((widest + 2) / widths[0])):
        write(edges[j : j + 2].mean(), _TITLE_HEIGHT, panel.columns[j], "ma", _SOFT, _SMALL)
    for i in range(0, rows, every):
        write(left - 6, top + (i + 0.5) * height, panel.rows[i], "rm", _SOFT, _SMALL)
    shares = _shares(values, largest)  # (rows, columns)
    full = np.where(values[..., None] > 0, _POSITIVE, _NEGATIVE)  # (rows, columns, 3)
    tints = np.where(shares > 1e-6, 0.08 + 0.92 * shares, 0.0)[..., None] * (full - 255)
    for i, j in [*np.argwhere(~outlined), *np.argwhere(outlined)]:  # no neighbour's edge over an outline
        box = edges[j], top + i * height, edges[j + 1], top + (i + 1) * height
        edge, thick = (_TEXT, 2 * scale) if outlined[i, j] else (_EDGE, 1)
        colour = tuple(np.rint(255 + tints[i, j]).astype(int).tolist())
        pen.rectangle([round(at * scale) for at in box], fill=colour, outline=edge, width=thick)
        if numbers or np.isnan(values[i, j]):
            ink = _WHITE if shares[i, j] > 0.6 else _TEXT
            middle = edges[j : j + 2].mean(), top + (i + 0.5) * height
            write(*middle, cell_text(values[i, j]) if numbers else "×", "mm", ink, _SMALL)
    return image


def _words(heading: str, scale: int) -> Image.Image:
    image = Image.new("RGB", (ceil(_width(heading, _HEADING)) * scale, _HEADING_HEIGHT * scale), _WHITE)
    ImageDraw.Draw(image).text((0, 0), heading, fill=_TEXT, font=_font(_HEADING * scale))
    return image


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is part of it: the same on every machine."""
    return ImageFont.load_default(size)


@cache
def _width(text: str, size: int) -> float:
    return _font(size).getlength(text)
