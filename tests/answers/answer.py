"""One answer of one student: what stands in each gap of the notebook, and what that deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Union

from tests.answers.notebook import (
    CELLS,
    CONTENT,
    FORWARD,
    LAYERS,
    MARKDOWN,
    POSITION,
    UNIQUE,
    filled,
)

Share = Union[int, str]
"""Of a section's points: 1 all of them, 0 none, "less" some or all are lost, "any" not judged."""
SECTIONS = ("submission_log", "pytorch_transformer", "attention_by_content", "attention_by_position")

PLAIN_LAYERS = """
self.Km = nn.Linear(total_input_dim, qk_dim, bias=False)
self.Qm = nn.Linear(total_input_dim, qk_dim, bias=False)
self.Vm = nn.Linear(total_input_dim, v_dim, bias=False)
"""
PLAIN_START = """
seq_len = seq.shape[0]
if self.pos is not None:
    seq = torch.cat([seq, self.pos(torch.arange(seq_len))], dim=-1)
Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
"""
PLAIN_FORWARD = PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V\n"
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


Arrange = Callable[[list[Draft]], list[Draft]]


@dataclass(frozen=True)
class Answer:
    """fault: the wrong answer's name, "" for a right one. before_model: a cell of the student's own.

    model: the whole model cell, where filling its gaps will not do. arrange: moves, cuts and joins cells.
    loses: numbers of checks that must lose points, keeps: that must not, when log and notebook come.
    needs_notebook: the log's two methods do not say it all. like_jupyter: a cell stops at its first
    error, as in a notebook; else the student commented failing asserts out, which is everyday.
    passes_unique: the optional part, None if it is left alone.
    """

    name: str
    layers: str = PLAIN_LAYERS
    forward: str = PLAIN_FORWARD
    before_model: str = ""
    model: str = ""
    content: str = PLAIN_CONTENT
    position: str = PLAIN_POSITION
    unique: str = ""
    arrange: Arrange | None = None
    fault: str = ""
    verdict: Mapping[str, Share] = field(default_factory=dict, hash=False)
    loses: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    needs_notebook: bool = False
    like_jupyter: bool = False
    passes_unique: bool | None = None

    def share(self, section: str) -> Share:
        """What it deserves in a section when log and notebook come; all of it, unless said otherwise."""
        return self.verdict.get(section, 1)

    def drafts(self) -> list[Draft]:
        """The cells of the notebook, filled in, in the order in which they stand."""
        drafts = [Draft(name, source, name not in MARKDOWN) for name, source in CELLS]
        gaps = {
            LAYERS: self.layers,
            FORWARD: self.forward,
            CONTENT: self.content,
            POSITION: self.position,
            UNIQUE: self.unique or "# left for later",
        }
        for slot, code in gaps.items():
            drafts = [replace(draft, source=filled(draft.source, slot, code)) for draft in drafts]
        if self.model:
            drafts = [replace(d, source=self.model) if d.name == "model" else d for d in drafts]
        if self.before_model:
            at = next(i for i, draft in enumerate(drafts) if draft.name == "model")
            drafts.insert(at, Draft("my helpers", self.before_model))
        return self.arrange(drafts) if self.arrange else drafts


def wrong(name: str, section: str, **parts: object) -> Answer:
    """An answer with one fault of that name, in that section; the log's own section is not judged."""
    verdict: dict[str, Share] = {"submission_log": "any", section: "less"}
    verdict.update(parts.pop("verdict", {}))  # type: ignore[arg-type]  # the caller's, by name
    return Answer(name, fault=name, verdict=verdict, **parts)  # type: ignore[arg-type]  # the same
