"""Draws panels into a PNG: light cells are low, dark ones high, with the numbers in them where they fit.

Everything is drawn in levels of grey and coloured at the end by one ramp whose brightness is the level:
what can be told apart in colour can be told apart in greyscale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autograder.feedback.figures.panels import Panel
from autograder.feedback.figures.png import SHADES, encode

GAP: Final = 26
MARGIN: Final = 10
TITLE_HEIGHT: Final = 22
LABEL_HEIGHT: Final = 16
ROW_HEIGHT: Final = 24
LOW_ROW_HEIGHT: Final = 12
MAX_INNER_WIDTH: Final = 216
"""Of a panel's cells. All sizes are in pixels of the page; the picture has `scale` times as many."""
TITLE_SIZE, LABEL_SIZE, NUMBER_SIZES = 14, 12, (12, 11, 10)
MANY_ROWS: Final = 16

WHITE, LIGHTEST, DARKEST, TEXT, SOFT_TEXT, EDGE = 255, 247, 50, 0, 70, 190
_STOPS: Final = ((0, (12, 18, 44)), (50, (23, 55, 110)), (130, (72, 133, 190)), (255, (255, 255, 255)))

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Drawn:
    """A PNG, and its size in pixels of the page."""

    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class _Layout:
    """Sizes of one panel; width is that of cells and title. number_size 0: cells without numbers."""

    label_width: float
    cell_width: float
    row_height: int
    number_size: int
    width: float
    height: float


def draw(rows: tuple[tuple[Panel, ...], ...], *, headings: tuple[str, ...] = (), scale: int = 2) -> Drawn:
    """Rows of panels, aligned in columns. headings: one above each row, or none."""
    layouts = [[_layout(panel) for panel in row] for row in rows]
    columns = range(max(len(row) for row in layouts))
    gutters = [max(row[i].label_width for row in layouts if i < len(row)) for i in columns]
    widths = [gutters[i] + max(row[i].width for row in layouts if i < len(row)) for i in columns]
    heading = TITLE_HEIGHT + 6 if headings else 0
    heights = [max(layout.height for layout in row) + heading for row in layouts]
    widest = max((_width(text, TITLE_SIZE + 2) for text in headings), default=0.0)
    width = round(2 * MARGIN + max(widest, sum(widths) + GAP * (len(columns) - 1)))
    height = round(2 * MARGIN + sum(heights) + GAP * (len(rows) - 1))
    image = Image.new("L", (width * scale, height * scale), WHITE)
    pen = _Pen(ImageDraw.Draw(image), scale)
    y = float(MARGIN)
    for number, (row, row_layouts) in enumerate(zip(rows, layouts, strict=True)):
        if headings:
            pen.text(MARGIN, y, headings[number], TITLE_SIZE + 2, TEXT)
        x = float(MARGIN)
        for i, (panel, layout) in enumerate(zip(row, row_layouts, strict=True)):
            _draw_panel(pen, panel, layout, x + gutters[i], y + heading)
            x += widths[i] + GAP
        y += heights[number] + GAP
    levels = np.asarray(image, dtype=np.uint16)
    shades = ((levels * (SHADES - 1) + WHITE // 2) // WHITE).astype(np.uint8)
    return Drawn(encode(shades, _palette()), width, height)


class _Pen:
    """Draws in pixels of the page."""

    def __init__(self, target: ImageDraw.ImageDraw, scale: int) -> None:
        self._target = target
        self._scale = scale

    def text(self, x: float, y: float, text: str, size: int, level: int, anchor: str = "la") -> None:
        at = x * self._scale, y * self._scale
        self._target.text(at, text, fill=level, font=_font(size * self._scale), anchor=anchor)

    def box(self, x: float, y: float, right: float, bottom: float, level: int | None, edge: int) -> None:
        """A filled cell; edges of neighbours coincide."""
        corners = [round(v * self._scale) for v in (x, y, right, bottom)]
        self._target.rectangle(corners, fill=level, outline=edge, width=max(1, self._scale // 2))

    def line(self, x: float, y: float, right: float, bottom: float, level: int) -> None:
        corners = [round(v * self._scale) for v in (x, y, right, bottom)]
        self._target.line(corners, fill=level, width=max(1, self._scale // 2))


def _layout(panel: Panel) -> _Layout:
    rows, columns = panel.values.shape
    label_width = max(_width(name, LABEL_SIZE) for name in panel.rows) + 6
    row_height = ROW_HEIGHT if rows <= MANY_ROWS else LOW_ROW_HEIGHT
    texts = {cell_text(value) for value in panel.values.flat} if columns <= MANY_ROWS else set()
    number_size, cell_width = 0, min(24.0, MAX_INNER_WIDTH / columns)
    for size in NUMBER_SIZES if texts and row_height == ROW_HEIGHT else ():
        needed = max(24.0, max(_width(text, size) for text in texts) + 8)
        if needed * columns <= MAX_INNER_WIDTH or columns == 1:
            number_size, cell_width = size, needed
            break
    inner = cell_width * columns
    width = max(inner, _width(panel.title, TITLE_SIZE))
    height = TITLE_HEIGHT + (LABEL_HEIGHT if panel.columns else 0) + row_height * rows
    return _Layout(label_width, cell_width, row_height, number_size, width, height)


def _draw_panel(pen: _Pen, panel: Panel, layout: _Layout, left: float, y: float) -> None:
    """left: of the cells; the labels stand left of it."""
    pen.text(left, y, panel.title, TITLE_SIZE, TEXT)
    top = y + TITLE_HEIGHT
    if panel.columns:
        widest = max(_width(name, LABEL_SIZE) for name in panel.columns)
        step = max(1, int(np.ceil((widest + 2) / layout.cell_width)))
        for j in range(0, len(panel.columns), step):
            at = left + (j + 0.5) * layout.cell_width
            pen.text(at, top, panel.columns[j], LABEL_SIZE, SOFT_TEXT, "ma")
        top += LABEL_HEIGHT
    label_step = 1 if layout.row_height == ROW_HEIGHT else 2
    for i, row in enumerate(panel.values):
        cell_top = top + i * layout.row_height
        middle = cell_top + layout.row_height / 2
        if i % label_step == 0:
            pen.text(left - 6, middle, panel.rows[i], LABEL_SIZE, SOFT_TEXT, "rm")
        for j, value in enumerate(row):
            cell_left = left + j * layout.cell_width
            right, bottom = cell_left + layout.cell_width, cell_top + layout.row_height
            level = _level(float(value), panel.low, panel.high)
            pen.box(cell_left, cell_top, right, bottom, level, EDGE)
            if np.isnan(value) and not layout.number_size:
                pen.line(cell_left, bottom, right, cell_top, TEXT)
            if layout.number_size:
                ink = TEXT if level > 140 else WHITE
                at = (cell_left + right) / 2
                pen.text(at, middle, cell_text(value), layout.number_size, ink, "mm")


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


def _level(value: float, low: float, high: float) -> int:
    if np.isnan(value):
        return WHITE
    with np.errstate(all="ignore"):
        share = (value - low) / (high - low) if high > low else 0.0
    share = min(max(share, 0.0), 1.0) if np.isfinite(share) else float(value > low)
    return round(LIGHTEST + share * (DARKEST - LIGHTEST))


@cache
def _font(size: int) -> Font:
    """Pillow's own font, which is part of it: the same on every machine."""
    return ImageFont.load_default(size)


@cache
def _width(text: str, size: int) -> float:
    return _font(size).getlength(text)


@cache
def _palette() -> bytes:
    shades = np.linspace(0, WHITE, SHADES)
    stops = [stop for stop, _ in _STOPS]
    channels = [np.interp(shades, stops, [color[c] for _, color in _STOPS]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()
