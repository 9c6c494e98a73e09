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
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autograder import settings
from reference.tasks import TOKEN_NAMES, Batch, SequenceTask
from reference.transformer import BoolArray, FloatArray, NumpyTransformer

MAX_PNG_BYTES: Final = 42_000
"""With base64, the words and JSON's escapes, the message stays below 64 KiB and Gradescope's 70 kB."""
MAX_ALT: Final = 2000
MAX_NUMBERS: Final = 24
"""Of a matrix that the text alternative reads out."""
MAX_COLUMNS: Final = 96
MAX_ROWS: Final = 40
"""What is beyond is left out of the picture, and said in the title."""
NARROW: Final = 368
"""Width of a picture in a message: all of it, and every number, is legible in a window of 400 pixels."""

Colour = tuple[int, int, int]
POSITIVE: Final[Colour] = (23, 78, 150)
NEGATIVE: Final[Colour] = (176, 70, 6)
_WHITE, _TEXT, _SOFT, _EDGE = (255, 255, 255), (0, 0, 0), (70, 70, 70), (190, 190, 190)
_COLOURS: Final = 48
"""Of the picture's palette: both ramps, and the grey edges of letters."""

# All sizes are in pixels of the page; the picture has `scale` times as many.
_GAP, _MARGIN, _TITLE_HEIGHT, _LABEL_HEIGHT, _ROW_HEIGHT, _LOW_ROW_HEIGHT = 18, 8, 20, 15, 22, 12
_TITLE, _LABEL, _NUMBER = 13, 12, 12
_MANY: Final = 16
"""Rows from which on they are low; columns from which on cells hold no numbers."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One matrix. values: (rows, columns), NaN allowed. rows, columns: labels; columns may be empty.

    wrong: which of the values are not as expected, outlined; None: nothing is known.
    """

    title: str
    values: FloatArray
    rows: tuple[str, ...]
    columns: tuple[str, ...] = ()
    wrong: BoolArray | None = None


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
    *matrices, keys, queries, values, scores, weights, output = _inside(task, transformer, batch, index)
    title = "expected sign" if task.only_sign else "expected output"
    expected = panel(title, batch.expected[index], output.rows)
    return (tuple(matrices), (keys, queries, values), (scores, weights), (output, expected))


def run_panels(
    task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int
) -> tuple[Panel, ...]:
    """The panels of one sequence in one row, as the notebook's own figure has them."""
    return tuple(p for p in _inside(task, transformer, batch, index) if p.title != "scores")


def _inside(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> tuple[Panel, ...]:
    """Km, Qm, Vm, pos if there is one, keys, queries, values, scores, attention weights, output."""
    seq, names, skipped = batch.inputs[index], token_names(task, batch, index), 1 if task.has_cls else 0
    attention = transformer.forward(seq)
    dims = [f"d{i}" for i in range(transformer.pos_dim)]
    into = ["A", "B", "C", "CLS"][: task.input_dim] + dims
    pos = transformer.pos
    places = names if pos is None else [f"{name} p{i}" for i, name in enumerate(names)]
    output = transformer.plain_output(seq)[skipped:]
    judged = np.sign(output) if task.only_sign else output
    right = np.isclose(judged, batch.expected[index], rtol=settings.RTOL, atol=settings.TASK_ATOL)
    return (
        panel("Km", transformer.Km, into),
        panel("Qm", transformer.Qm, into),
        panel("Vm", transformer.Vm, into),
        *(() if pos is None else (panel("pos", pos, [f"p{i}" for i in range(len(pos))], dims),)),
        panel("keys", attention.keys, places),
        panel("queries", attention.queries, places),
        panel("values", attention.values, places),
        panel("scores", attention.scores, places, names),
        panel("attention weights", transformer.plain_attention(seq), places, names),
        panel("output", output, names[skipped:], wrong=~right),
    )


def panel(
    title: str,
    values: FloatArray,
    rows: Sequence[str],
    columns: Sequence[str] = (),
    wrong: BoolArray | None = None,
) -> Panel:
    """A panel of these values, cut to what a picture can hold."""
    cut = values[:MAX_ROWS, :MAX_COLUMNS]
    if cut.shape != values.shape:
        title += f" ({cut.shape[0]} x {cut.shape[1]} of {values.shape[0]} x {values.shape[1]})"
    return Panel(title, cut, tuple(rows[:MAX_ROWS]), tuple(columns[:MAX_COLUMNS]), wrong)


def token_names(task: SequenceTask, batch: Batch, index: int) -> list[str]:
    """The tokens of a sequence as they enter the transformer, CLS in front where there is one."""
    return (["CLS"] if task.has_cls else []) + [TOKEN_NAMES[token] for token in batch.tokens[index]]


def attention_table(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """One line per token: its attention to each token, its output, the expected output."""
    names = token_names(task, batch, index)
    weights = transformer.plain_attention(batch.inputs[index])
    output = transformer.plain_output(batch.inputs[index])
    skipped = 1 if task.has_cls else 0
    rows = [["", "", *names, "output", "expected"]]
    for i in range(skipped, len(names)):
        expected = _numbers(batch.expected[index, i - skipped])
        if task.only_sign:
            expected = {"1": "positive", "-1": "negative"}[expected]
        lead = [names[i], "attends to" if i == skipped else ""]
        rows.append([*lead, *map(_number, weights[i]), _numbers(output[i]), expected])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    """A number as short as it can be told apart from a right one: 1, 0.99995, 4.54e-05, NaN."""
    if np.isnan(value):
        return "NaN"
    return f"{value + 0.0:.5g}" if abs(value) >= 0.001 or value == 0 else f"{value:.3g}"


def _numbers(row: FloatArray) -> str:
    return " ".join(map(_number, row))


# --- The picture as an element of a message. ---


def picture(task: SequenceTask, transformer: NumpyTransformer, batch: Batch, index: int) -> str:
    """An img element, on one line, with its words. Raises ValueError if it cannot be made small enough."""
    rows = panels(task, transformer, batch, index)
    lines = [line for row in rows for line in _wrapped(row)]
    drawn = draw(lines, aligned=False)
    if len(drawn.png) > MAX_PNG_BYTES:
        drawn = draw(lines, aligned=False, scale=1)
    if len(drawn.png) > MAX_PNG_BYTES:
        raise ValueError(f"a picture of {len(drawn.png)} bytes cannot be shown")
    told = "; ".join(read_out(panel) for row in rows for panel in row)
    words = f"The sequence {batch.spell(index)} on its way through your matrices. {told}."
    words = words if len(words) <= MAX_ALT else words[: MAX_ALT - 1] + "…"
    style = f"width:{drawn.width}px;display:block;max-width:100%;height:auto;background:#fff"
    data = base64.b64encode(drawn.png).decode("ascii")
    return f'<img style="{style}" alt="{escape(words)}" src="data:image/png;base64,{data}">'


def read_out(panel: Panel) -> str:
    """A small matrix row by row, a large one by its size."""
    height, width = panel.values.shape
    if panel.values.size > MAX_NUMBERS:
        return f"{panel.title}: {height} rows of {width} numbers"
    rows = (
        f"{name} [{', '.join(cell_text(value) for value in values)}]"
        for name, values in zip(panel.rows, panel.values, strict=True)
    )
    return f"{panel.title}: " + ", ".join(rows)


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


# --- Colours. ---


@dataclass(frozen=True)
class _Scale:
    """From a number's size to a share of its colour, as a logarithm: attention of 1 shows beside a key of 60.

    largest: drawn in the full colour.
    """

    largest: float

    @property
    def _unit(self) -> float:
        return min(0.1, self.largest / 10)

    def share(self, value: float) -> float:
        """0 for zero, 1 for the largest number and for what is infinite."""
        if not np.isfinite(value):
            return 1.0
        return min(1.0, float(np.log1p(abs(value) / self._unit) / np.log1p(self.largest / self._unit)))

    def size(self, share: float) -> float:
        """The number of that share, to one digit."""
        return float(f"{self._unit * np.expm1(share * np.log1p(self.largest / self._unit)):.1g}")

    def colour(self, value: float) -> Colour:
        """White for zero and NaN."""
        full = POSITIVE if value > 0 else NEGATIVE
        share = 0.0 if np.isnan(value) else self.share(value)
        share = 0.08 + 0.92 * share if share > 1e-6 else 0.0
        red, green, blue = (round(255 + share * (channel - 255)) for channel in full)
        return red, green, blue


def _scale_of(lines: Sequence[Sequence[Panel]]) -> tuple[_Scale, Panel]:
    """The scale of all panels, and its legend, as a panel of its own."""
    numbers = np.concatenate([panel.values.ravel() for line in lines for panel in line])
    numbers = numbers[np.isfinite(numbers)]
    scale = _Scale(float(np.abs(numbers).max(initial=0.0)) or 1.0)
    above = [scale.size(1 / 3), scale.size(2 / 3), scale.largest]
    signs = ([-v for v in above[::-1]] if (numbers < 0).any() else []) + [0.0] + above
    outlined = any(panel.wrong is not None and panel.wrong.any() for line in lines for panel in line)
    title = "colours" + (" (outlined: not as expected)" if outlined else "")
    return scale, Panel(title, np.array([signs]), ("",))


# --- Drawing. ---


@dataclass(frozen=True)
class _Layout:
    """Sizes of one panel; width is that of cells and title. edges: of its columns, from 0 on.

    numbers: whether its cells hold any.
    """

    label_width: float
    edges: tuple[float, ...]
    row_height: int
    numbers: bool
    width: float
    height: float


def draw(
    lines: Sequence[Sequence[Panel]],
    *,
    headings: Sequence[str] = (),
    aligned: bool = True,
    scale: int = 2,
) -> Drawn:
    """Lines of panels with their legend. headings: one above each line, or none. aligned: in columns."""
    colours, legend = _scale_of(lines)
    lines, headings = [*lines, (legend,)], [*headings, ""] if headings else []
    layouts = [[_layout(panel) for panel in line] for line in lines]
    heading = _TITLE_HEIGHT + 6 if headings else 0
    starts = [list(_starts(layouts if aligned else [line], line)) for line in layouts]
    ends = [
        at + panel.width
        for row, line in zip(starts, layouts, strict=True)
        for at, panel in zip(row, line, strict=True)
    ]
    ends += [_MARGIN + _width(text, _TITLE + 2) for text in headings]
    heights = [max(panel.height for panel in line) + heading + _GAP for line in layouts]
    width, height = round(max(ends) + _MARGIN), round(2 * _MARGIN + sum(heights) - _GAP)
    image = Image.new("RGB", (width * scale, height * scale), _WHITE)
    pen = _Pen(ImageDraw.Draw(image), scale)
    y = float(_MARGIN)
    for number, line in enumerate(lines):
        if headings:
            pen.text(_MARGIN, y, headings[number], _TITLE + 2, _TEXT)
        for panel, layout, x in zip(line, layouts[number], starts[number], strict=True):
            _draw_panel(pen, panel, layout, x, y + heading, colours)
        y += heights[number]
    data = io.BytesIO()
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    return Drawn(data.getvalue(), width, height)


def _wrapped(row: Sequence[Panel]) -> Iterator[list[Panel]]:
    """The row in lines that are narrow enough for a message."""
    line: list[Panel] = []
    for panel in row:
        *_, last = _starts([[_layout(each) for each in [*line, panel]]], [_layout(p) for p in [*line, panel]])
        if line and last + _layout(panel).width + _MARGIN > NARROW:
            yield line
            line = []
        line.append(panel)
    yield line


def _starts(lines: Sequence[Sequence[_Layout]], line: Sequence[_Layout]) -> Iterator[float]:
    """Where the cells of each panel of a line begin; the labels stand left of them."""
    x = float(_MARGIN)
    for i in range(len(line)):
        column = [other[i] for other in lines if i < len(other)]
        x += max(panel.label_width for panel in column)
        yield x
        x += max(panel.width for panel in column) + _GAP


def _layout(panel: Panel) -> _Layout:
    rows, columns = panel.values.shape
    label_width = max(_width(name, _LABEL) for name in panel.rows) + 6
    row_height = _ROW_HEIGHT if rows <= _MANY else _LOW_ROW_HEIGHT
    inner = NARROW - 2 * _MARGIN - label_width
    texts = [[cell_text(value) for value in column] for column in panel.values.T[:_MANY]]
    needed = [max(24.0, *(_width(text, _NUMBER) + 8 for text in column)) for column in texts]
    numbers = rows <= _MANY and columns <= _MANY and (sum(needed) <= inner or columns == 1)
    cells = needed if numbers else [min(24.0, inner / columns)] * columns
    edges = tuple(np.cumsum([0.0, *cells]).tolist())
    width = max(edges[-1], _width(panel.title, _TITLE))
    height = _TITLE_HEIGHT + (_LABEL_HEIGHT if panel.columns else 0) + row_height * rows
    return _Layout(label_width, edges, row_height, numbers, width, height)


@dataclass(frozen=True)
class _Pen:
    """Draws in pixels of the page."""

    target: ImageDraw.ImageDraw
    scale: int

    def text(self, x: float, y: float, text: str, size: int, colour: Colour, anchor: str = "la") -> None:
        at = x * self.scale, y * self.scale
        self.target.text(at, text, fill=colour, font=_font(size * self.scale), anchor=anchor)

    def box(self, corners: Sequence[float], fill: Colour | None, edge: Colour, width: float = 0.5) -> None:
        """A cell, from left and top to right and bottom; edges of neighbours coincide."""
        scaled = [round(v * self.scale) for v in corners]
        self.target.rectangle(scaled, fill=fill, outline=edge, width=max(1, round(width * self.scale)))


def _draw_panel(pen: _Pen, panel: Panel, layout: _Layout, left: float, y: float, colours: _Scale) -> None:
    """left: of the cells; the labels stand left of it."""
    pen.text(left, y, panel.title, _TITLE, _TEXT)
    top = y + _TITLE_HEIGHT
    if panel.columns:
        widest = max(_width(name, _LABEL) for name in panel.columns)
        step = max(1, int(np.ceil((widest + 2) / layout.edges[1])))
        for j in range(0, len(panel.columns), step):
            centre = left + (layout.edges[j] + layout.edges[j + 1]) / 2
            pen.text(centre, top, panel.columns[j], _LABEL, _SOFT, "ma")
        top += _LABEL_HEIGHT
    outlined = []
    for (i, j), value in np.ndenumerate(panel.values):
        x, right, cell_top = left + layout.edges[j], left + layout.edges[j + 1], top + i * layout.row_height
        corners = (x, cell_top, right, cell_top + layout.row_height)
        middle = ((x + right) / 2, cell_top + layout.row_height / 2)
        if j == 0 and i % (1 if layout.row_height == _ROW_HEIGHT else 2) == 0:
            pen.text(left - 6, middle[1], panel.rows[i], _LABEL, _SOFT, "rm")
        colour = colours.colour(float(value))
        pen.box(corners, colour, _EDGE)
        if layout.numbers or np.isnan(value):
            ink = _WHITE if colours.share(float(value)) > 0.6 and not np.isnan(value) else _TEXT
            pen.text(*middle, cell_text(value) if layout.numbers else "×", _NUMBER, ink, "mm")
        if panel.wrong is not None and panel.wrong[i, j]:
            outlined.append(corners)
    for corners in outlined:  # last, so that no neighbour's edge is drawn over them
        pen.box(corners, None, _TEXT, 2)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is part of it: the same on every machine."""
    return ImageFont.load_default(size)


@cache
def _width(text: str, size: int) -> float:
    return _font(size).getlength(text)
