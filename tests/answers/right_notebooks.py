"""Right answers in notebooks that were worked in: cells added, cut, joined, moved, run out of order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from tests.answers.answer import PLAIN_START, Answer, Draft, Drafts, index
from tests.answers.right_matrices import UNIQUES

TRAINING = """
set_random_seed(5)
mine = PytorchTransformer(3, 3, 3)
optimizer = torch.optim.SGD(mine.parameters(), lr=0.03)
losses = []
for epoch in range(10_001):
    x, y = make_batch_identity()
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(mine(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
plt.plot(losses)
plt.show()
"""
MAGICS = """
!pip install -q einops matplotlib
%matplotlib inline
%config InlineBackend.figure_format = 'retina'
import os
files_here = os.listdir('.')
"""
NOT_INSTALLED = """
import seaborn as sns
import pandas as pd
from tensorly import unfold
from sklearn.manifold import TSNE
"""
SCRATCH = """
Km = np.zeros((3, 3))
Qm = np.full((3, 3), 2.0)
Vm = Km + 1
print("what if", softmax(np.array([1, 2, 3])))
"""
BROKEN = "for token in tokens\n    print token\nget_K()"
SHARP = "def sharp(k):\n    return k * np.eye(3)\n"
ATTEND = "def attend(q, k, v):\n    return torch.softmax(q @ k.T / k.shape[1] ** 0.5, -1) @ v\n"
DOWNLOAD = """
from google.colab import files
files.download("submission_log.json")
"""

Arrange = Callable[[Drafts], Drafts]


def _after(name: str, source: str, turn: float | None = None) -> Arrange:
    """With a cell of the student's own below that one."""

    def arrange(drafts: Drafts) -> Drafts:
        at = index(drafts, name) + 1
        return [*drafts[:at], Draft("my own", source, turn=turn), *drafts[at:]]

    return arrange


def _merged(drafts: Drafts) -> Drafts:
    """One cell holds everything up to the log."""
    until = index(drafts, "write log") + 1
    sources = [draft.source for draft in drafts[:until] if draft.is_code]
    return [Draft("all in one", "\n".join(sources)), *drafts[until:]]


def _content_split(drafts: Drafts) -> Drafts:
    """The content cell cut after the matrices, after the tests, and before the lines that save."""
    at = index(drafts, "content")
    source = drafts[at].source
    cuts = [source.index(text) for text in ("assert Km", "for i in range", "set_random_seed")]
    pieces = [Draft("content piece", source[a:b]) for a, b in itertools.pairwise([0, *cuts, len(source)])]
    return [*drafts[:at], *pieces, *drafts[at + 1 :]]


def _position_first(drafts: Drafts) -> Drafts:
    """The position cells stand, and were run, before the content cells."""
    moved = [d for d in drafts if d.name.startswith("position")]
    rest = [d for d in drafts if not d.name.startswith("position")]
    at = index(rest, "content hints")
    return [*rest[:at], *moved, *rest[at:]]


def _swapped_turns(drafts: Drafts) -> Drafts:
    """The position cells stand after the content cells, but were run before them."""
    turns = {"position hints": 2.1, "position": 2.2, "position compare": 2.3}
    return [replace(draft, turn=turns.get(draft.name)) for draft in drafts]


def _timed(drafts: Drafts) -> Drafts:
    timed = {"content", "position"}
    return [replace(d, source="%%time\n" + d.source) if d.name in timed else d for d in drafts]


def _under_main(drafts: Drafts) -> Drafts:
    """test() only when run as a program, as habit has it."""
    guarded = '\nif __name__ != "tests":\n    test()\n'
    return [replace(draft, source=draft.source.replace("\ntest()\n", guarded)) for draft in drafts]


def _log_at_the_end(drafts: Drafts) -> Drafts:
    at = index(drafts, "write log")
    return [*drafts[:at], *drafts[at + 1 :], drafts[at], Draft("my own", DOWNLOAD)]


ARRANGED: dict[str, Arrange] = {
    "magics": lambda drafts: [Draft("my own", MAGICS), *drafts],
    "cell magics": _timed,
    "packages not installed": lambda drafts: [Draft("my own", NOT_INSTALLED), *drafts],
    "downloads its log": _log_at_the_end,
    "own training loop": _after("content compare", TRAINING),
    "merged": _merged,
    "content cell split": _content_split,
    "position first": _position_first,
    "run in another order": _swapped_turns,
    "scratch after content": _after("content", SCRATCH),
    "scratch after position": _after("position", SCRATCH),
    "a broken cell, never run": _after("content", BROKEN, turn=-1),
    "without the optional part": lambda drafts: drafts[: index(drafts, "write log") + 1],
    "under main": _under_main,
}
RIGHT_NOTEBOOKS = (
    *(Answer(f"notebook: {name}", arrange=arrange) for name, arrange in ARRANGED.items()),
    Answer(
        "notebook: helper below",
        arrange=_after("unique compare", SHARP, turn=2.5),
        content="Km, Qm, Vm = sharp(60), sharp(1), sharp(1)",
    ),
    Answer(
        "notebook: model's helper below",
        arrange=_after("unique compare", ATTEND, turn=1.5),
        forward=PLAIN_START + "out = attend(Q, K, V)",
        needs_notebook=True,
    ),
    Answer(
        "notebook: optional before the log",
        unique=UNIQUES["one-hot places"],
        passes_unique=True,
        arrange=_log_at_the_end,
    ),
)
