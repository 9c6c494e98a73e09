"""The picture of a failed hand-designed task, as an HTML message: sentences, table, picture, its words.

Gradescope strips classes and style sheets and refuses long lines of images past 70 kB: styles are inline,
and the picture is one line of base64, made smaller until the whole message fits.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

from autograder.feedback.figures.draw import Drawn, cell_text, draw
from autograder.feedback.figures.panels import Panel, Rows, panels
from autograder.feedback.message import Message
from reference.tasks import Batch, SequenceTask
from reference.transformer import NumpyTransformer

MAX_PNG_BYTES: Final = 42_000
"""With base64, the words and JSON's escapes, the message stays below 64 KiB and Gradescope's 70 kB."""
MAX_ALT: Final = 2000
MAX_NUMBERS: Final = 24
"""Of a matrix that the text alternative reads out."""

_PRE: Final = "margin:0.5em 0;overflow-x:auto;white-space:pre;font-family:monospace"
_IMG: Final = "display:block;max-width:100%;height:auto;background:#fff"


def with_picture(
    sentences: Sequence[str],
    table: str,
    task: SequenceTask,
    transformer: NumpyTransformer,
    batch: Batch,
    index: int,
) -> Message:
    """The message in HTML: sentences, the table of a sequence, and its picture with its words as alt."""
    rows = panels(task, transformer, batch, index)
    parts = [f"<p>{escape(sentence)}</p>" for sentence in sentences]
    parts.append(f'<pre style="{_PRE}">{escape(table)}</pre>')
    parts.append(image_html(small_enough(rows), describe(batch.spell(index), rows)))
    return Message("\n".join(parts), "html")


def small_enough(rows: Rows) -> Drawn:
    """The picture at twice the page's resolution, or at once if that is too large a file."""
    drawn = draw(rows, scale=2)
    if len(drawn.png) > MAX_PNG_BYTES:
        drawn = draw(rows, scale=1)
    if len(drawn.png) > MAX_PNG_BYTES:
        raise ValueError(f"a picture of {len(drawn.png)} bytes cannot be shown")
    return drawn


def image_html(drawn: Drawn, words: str) -> str:
    """An img element, on one line."""
    data = base64.b64encode(drawn.png).decode("ascii")
    style = f"width:{drawn.width}px;{_IMG}"
    return f'<img style="{style}" alt="{escape(words)}" src="data:image/png;base64,{data}">'


def describe(spelled: str, rows: Rows) -> str:
    """The picture in words: every small matrix read out row by row, bounded in length."""
    told = "; ".join(read_out(panel) for row in rows for panel in row)
    text = f"The sequence {spelled} on its way through your matrices. {told}."
    return text if len(text) <= MAX_ALT else text[: MAX_ALT - 1] + "…"


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
