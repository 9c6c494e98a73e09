"""One answer of one student: what stands in each gap of the notebook, and what that deserves."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Union

Share = Union[int, str]
"""Of a section's points: 1 all of them, 0 none, "less" some or all are lost, "any" not judged."""
SECTIONS = ("submission_log", "pytorch_transformer", "attention_by_content", "attention_by_position")
RECORD, MODEL, CONTENT, POSITION = SECTIONS

BLANK = Path(__file__).parents[1] / "submissions" / "blank" / "q_hand_transformer.ipynb"
"""The notebook as it is given out: the assignment's names, order and behaviour, in other words. Lines
`# <layers>`, `# <forward>`, `# <content>`, `# <position>` and `# <unique>` stand where a student writes."""
CELLS = """intro, setup, model, content hints, content, content compare, question, position hints, position,
position compare, write log, optional, unique tokens, unique, unique compare"""

CODE = "<code>"
"""In a field of `answers`: where the code of each row stands."""
PLAIN_LAYERS = """
self.Km = nn.Linear(total_input_dim, qk_dim, bias=False)
self.Qm = nn.Linear(total_input_dim, qk_dim, bias=False)
self.Vm = nn.Linear(total_input_dim, v_dim, bias=False)
"""
SEQ_LEN = "seq_len = seq.shape[0]\n"
PROJECT = "Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)\n"
OUT = "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V\n"
PLAIN_LOOKUP = f"""
{SEQ_LEN}if self.pos is not None:
    seq = torch.cat([seq, self.pos(torch.arange(seq_len))], dim=-1)
"""
PLAIN_START = PLAIN_LOOKUP + PROJECT
SCORES = PLAIN_START + "scores = Q @ K.T / math.sqrt(self.d_k)\n"
PLAIN_FORWARD = PLAIN_START + OUT
LOOKUP = f"{SEQ_LEN}if self.pos is not None:\n    {CODE}\n{PROJECT}{OUT}"
"""A forward pass with its own way to the position encodings."""
PLAIN_CONTENT = """
Km = 10 * np.eye(3)
Qm = 6 * np.eye(3)
Vm = np.eye(3)
"""
PLAIN_POSITION = """
pos = np.eye(4)
Km = np.vstack([np.zeros((3, 1)), [[25.0]], np.zeros((3, 1))])
Qm = np.vstack([np.zeros((3, 1)), 2 * np.ones((4, 1))])
Vm = np.vstack([np.eye(3), np.zeros((4, 3))])
"""


@dataclass(frozen=True)
class Draft:
    """A cell before it becomes one. turn: when it was run, if not where it stands; -1: never."""

    name: str
    source: str
    is_code: bool = True
    turn: float | None = None


Drafts = list[Draft]


def index(drafts: Drafts, name: str) -> int:
    """Where the cell of that name stands."""
    return [draft.name for draft in drafts].index(name)


def given() -> Drafts:
    """The cells of the notebook as it is given out."""
    cells = json.loads(BLANK.read_text(encoding="utf-8"))["cells"]
    names = (name.strip() for name in CELLS.split(","))
    return [
        Draft(name, "".join(cell["source"]), cell["cell_type"] == "code")
        for name, cell in zip(names, cells, strict=True)
    ]


def filled(source: str, gaps: Mapping[str, str]) -> str:
    """The source with code in the place of each `# <gap>`, at the gap's own indentation."""
    lines = []
    for line in source.splitlines():
        if (code := gaps.get(line.strip().removeprefix("# <").removesuffix(">"))) is not None:
            indent = line[: len(line) - len(line.lstrip())]
            line = textwrap.indent(textwrap.dedent(code).strip("\n"), indent)
        lines.append(line)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Answer:
    """before_model: a cell of the student's own.

    model: the whole model cell, where filling its gaps will not do. arrange: moves, cuts and joins cells.
    loses: numbers of checks that must lose points, keeps: that must not, when log and notebook come.
    verdict: by section, where it is not what loses says. needs_notebook: the log's two methods do not say
    it all. like_jupyter: a cell stops at its first error, as in a notebook; else the student commented
    failing asserts out, which is everyday. passes_unique: the optional part, None if it is left alone.
    """

    name: str
    layers: str = PLAIN_LAYERS
    forward: str = PLAIN_FORWARD
    before_model: str = ""
    model: str = ""
    content: str = PLAIN_CONTENT
    position: str = PLAIN_POSITION
    unique: str = "# left for later"
    arrange: Callable[[Drafts], Drafts] | None = None
    verdict: Mapping[str, Share] = field(default_factory=dict, hash=False)
    loses: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    needs_notebook: bool = False
    like_jupyter: bool = False
    passes_unique: bool | None = None

    def share(self, section: str) -> Share:
        """What it deserves in a section when log and notebook come: all, unless it is wrong there.

        The log's own section is not judged where anything is wrong.
        """
        wrong = {SECTIONS[int(number[0]) - 1]: "less" for number in self.loses}
        if self.loses or self.verdict:
            wrong[RECORD] = "any"
        return {**wrong, **self.verdict}.get(section, 1)

    def drafts(self) -> Drafts:
        """The cells of the notebook, filled in, in the order in which they stand."""
        gaps = {gap: getattr(self, gap) for gap in ("layers", "forward", "content", "position", "unique")}
        drafts = [replace(draft, source=filled(draft.source, gaps)) for draft in given()]
        at = index(drafts, "model")
        if self.model:
            drafts[at] = replace(drafts[at], source=self.model)
        if self.before_model:
            drafts.insert(at, Draft("my helpers", self.before_model))
        return self.arrange(drafts) if self.arrange else drafts


def answers(codes: Mapping[str, str], group: str = "", **fields: Any) -> tuple[Answer, ...]:
    """An answer for each name, with its code where `CODE` stands in a field. group: begins each name."""
    texts = {key: value for key, value in fields.items() if isinstance(value, str)}
    return tuple(
        Answer(
            group + name,
            **fields | {key: text.replace(CODE, textwrap.dedent(code)) for key, text in texts.items()},
        )
        for name, code in codes.items()
    )
