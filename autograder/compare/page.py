"""The pictures of both transformers, one above the other, and the page that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from autograder.compare.learn import Learned
from autograder.compare.plan import Setting
from autograder.errors import UsageError
from autograder.feedback.figures import Drawn, draw, read_out, run_panels
from reference.tasks import Batch, SequenceTask
from reference.transformer import NumpyTransformer

_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0; background: #f4f6f9; color: #1b2330; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1400px; margin: 0 auto; padding: 24px 16px 64px; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 40px 0 8px; font-size: 1.2rem; }
p { max-width: 70ch; margin: 0 0 8px; }
p.note { border-left: 6px solid #b26a00; padding-left: 10px; }
figure { margin: 12px 0; padding: 8px; background: #fff; border: 1px solid #d6dce5; border-radius: 6px;
  overflow-x: auto; }
table { border-collapse: collapse; margin: 12px 0; background: #fff; }
th, td { padding: 6px 10px; border: 1px solid #d6dce5; text-align: left; font-weight: normal; }
td { text-align: right; }
""".strip()


@dataclass(frozen=True, eq=False)
class Comparison:
    """One task. hand None: there are no matrices to draw, and why_no_hand says why."""

    task: SequenceTask
    setting: Setting
    hand: NumpyTransformer | None
    why_no_hand: str
    learned: Learned

    @property
    def whose(self) -> str:
        """Whose model was trained."""
        return "the reference model" if self.learned.why_reference else "the student's model"

    @property
    def shown(self) -> Batch:
        """The sequence that the notebook's comparison shows, as a batch of one."""
        return self.task.batch([self.setting.shown])


def write(comparisons: list[Comparison], title: str, folder: Path) -> Path:
    """Write a PNG per task and index.html into the folder; gives the page. Raises UsageError."""
    page = folder / "index.html"
    sections = []
    try:
        for comparison in comparisons:
            drawn = picture(comparison)
            name = f"{comparison.task.name}.png"
            (folder / name).write_bytes(drawn.png)
            sections.append(_section(comparison, name, drawn))
        page.write_text(_page(title, sections), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to: {error.strerror}") from error
    return page


def picture(comparison: Comparison) -> Drawn:
    """Both transformers, one above the other: their matrices, then what these make of the same sequence."""
    task, learned, spelled = comparison.task, comparison.learned, comparison.shown.spell(0)
    told = f"Learned by {comparison.whose} in {learned.steps:,} steps, final loss {learned.final_loss:.3g}"
    pairs = [(told, learned.transformer)]
    if comparison.hand is not None:
        pairs.insert(0, ("Designed by hand", comparison.hand))
    rows = [run_panels(task, transformer, comparison.shown, 0) for _, transformer in pairs]
    first = next(i for i, panel in enumerate(rows[0]) if panel.title == "keys")
    headings = [label for label, _ in pairs] + [
        f"{label.split(' by ')[0]}, on {spelled}" for label, _ in pairs
    ]
    drawn_rows = [row[:first] for row in rows] + [row[first:] for row in rows]
    return draw(tuple(drawn_rows), headings=tuple(headings))


def mean_loss(task: SequenceTask, transformer: NumpyTransformer) -> float:
    """The mean squared error over every sequence of the task; NaN where the plain exp breaks."""
    skipped = 1 if task.has_cls else 0
    errors = [
        np.square(transformer.plain_output(batch.inputs)[:, skipped:] - batch.expected).mean(axis=(1, 2))
        for batch in task.all_sequences()
    ]
    return float(np.concatenate(errors).mean())


def _section(comparison: Comparison, name: str, drawn: Drawn) -> str:
    task, learned = comparison.task, comparison.learned
    lines = [f"<section>\n<h2>{escape(comparison.setting.title)}</h2>"]
    if comparison.hand is None:
        lines.append(f'<p class="note">Nothing designed by hand: {escape(comparison.why_no_hand)}</p>')
    if learned.why_reference:
        lines.append(
            f'<p class="note">The student\'s model could not be trained: {escape(learned.why_reference)}. '
            "The reference model was trained in its place.</p>"
        )
    rows = [("Learned", learned.transformer, f"{learned.final_loss:.3g}", f"{learned.recent_loss:.3g}")]
    if comparison.hand is not None:
        rows.insert(0, ("Designed by hand", comparison.hand, "–", "–"))
    body = "".join(
        f'<tr><th scope="row">{label}</th><td>{final}</td><td>{recent}</td>'
        f"<td>{mean_loss(task, transformer):.3g}</td></tr>"
        for label, transformer, final, recent in rows
    )
    lines.append(
        '<table><thead><tr><th scope="col">Mean squared error</th><th scope="col">last step</th>'
        '<th scope="col">last 1,000 steps</th><th scope="col">all sequences</th></tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
    spelled = comparison.shown.spell(0)
    alt = f"{comparison.setting.title}, on the sequence {spelled}. " + " ".join(
        f"{label}: " + "; ".join(read_out(panel) for panel in run_panels(task, t, comparison.shown, 0)) + "."
        for label, t, _, _ in rows
    )
    lines.append(
        f'<figure tabindex="0"><img src="{escape(name)}" width="{drawn.width}" height="{drawn.height}" '
        f'alt="{escape(alt)}"></figure>\n</section>'
    )
    return "\n".join(lines)


def _page(title: str, sections: list[str]) -> str:
    heading = f"Hand-designed against learned: {escape(title)}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{heading}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{heading}</h1>",
            "<p>Each matrix has its own scale: its lowest number is drawn lightest, its highest darkest, "
            "except for attention weights, which go from 0 to 1. The learned transformer is trained as the "
            "notebook does, under its seeds, and drawn from its trained weights.</p>",
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )
