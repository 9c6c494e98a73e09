"""Right answers in notebooks that were worked in: cells added, cut, joined, moved, run out of order."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tests.answers.answer import PLAIN_START, Answer, Draft
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
DOWNLOAD = """
from google.colab import files
files.download("submission_log.json")
"""
SCRATCH = """
Km = np.zeros((3, 3))
Qm = np.full((3, 3), 2.0)
Vm = Km + 1
print("what if", softmax(np.array([1, 2, 3])))
"""
BROKEN = "for token in tokens\n    print token\nget_K()"


def _index(drafts: list[Draft], name: str) -> int:
    return next(i for i, draft in enumerate(drafts) if draft.name == name)


def _after(name: str, *added: Draft):
    def arrange(drafts: list[Draft]) -> list[Draft]:
        at = _index(drafts, name) + 1
        return [*drafts[:at], *added, *drafts[at:]]

    return arrange


def _before_all(*added: Draft):
    return lambda drafts: [*added, *drafts]


def _code(source: str, turn: float | None = None) -> Draft:
    return Draft("my own", source, turn=turn)


def _merged(drafts: list[Draft]) -> list[Draft]:
    """One cell holds everything up to the log."""
    until = _index(drafts, "write log") + 1
    sources = [draft.source for draft in drafts[:until] if draft.is_code]
    return [Draft("all in one", "\n".join(sources)), *drafts[until:]]


def _content_split(drafts: list[Draft]) -> list[Draft]:
    """The content cell cut after the matrices, after the tests, and before the lines that save."""
    at = _index(drafts, "content")
    source = drafts[at].source
    cuts = [source.index("assert Km"), source.index("for i in range"), source.index("set_random_seed")]
    edges = [0, *cuts, len(source)]
    pieces = [source[a:b] for a, b in itertools.pairwise(edges)]
    return [
        *drafts[:at],
        *(Draft(f"content {i}", piece) for i, piece in enumerate(pieces)),
        *drafts[at + 1 :],
    ]


def _helper_at_the_end(drafts: list[Draft]) -> list[Draft]:
    """A helper that the content cell uses, written below it, run before it."""
    return [*drafts, Draft("helper", "def sharp(k):\n    return k * np.eye(3)\n", turn=2.5)]


def _model_helper_at_the_end(drafts: list[Draft]) -> list[Draft]:
    source = "def attend(q, k, v):\n    return torch.softmax(q @ k.T / k.shape[1] ** 0.5, -1) @ v\n"
    return [*drafts, Draft("helper", source, turn=1.5)]


def _position_first(drafts: list[Draft]) -> list[Draft]:
    """The position cells stand, and were run, before the content cells."""
    moved = [d for d in drafts if d.name.startswith("position")]
    rest = [d for d in drafts if not d.name.startswith("position")]
    at = _index(rest, "content hints")
    return [*rest[:at], *moved, *rest[at:]]


def _swapped_turns(drafts: list[Draft]) -> list[Draft]:
    """The position cells stand after the content cells, but were run before them."""
    turns = {"position hints": 2.1, "position": 2.2, "position compare": 2.3}
    return [replace(draft, turn=turns.get(draft.name)) for draft in drafts]


def _timed(drafts: list[Draft]) -> list[Draft]:
    timed = {"content", "position"}
    return [replace(d, source="%%time\n" + d.source) if d.name in timed else d for d in drafts]


def _without_optional(drafts: list[Draft]) -> list[Draft]:
    return drafts[: _index(drafts, "write log") + 1]


def _under_main(drafts: list[Draft]) -> list[Draft]:
    """test() and training only when run as a program, as habit has it."""

    def with_fallback(source: str) -> str:
        return source.replace("\ntest()\n", '\nif __name__ != "tests":\n    test()\n')

    return [replace(draft, source=with_fallback(draft.source)) for draft in drafts]


def _log_at_the_end(drafts: list[Draft]) -> list[Draft]:
    at = _index(drafts, "write log")
    return [*drafts[:at], *drafts[at + 1 :], drafts[at], _code(DOWNLOAD)]


RIGHT_NOTEBOOKS = (
    Answer("notebook: magics", arrange=_before_all(_code(MAGICS))),
    Answer("notebook: cell magics", arrange=_timed),
    Answer("notebook: packages not installed", arrange=_before_all(_code(NOT_INSTALLED))),
    Answer("notebook: downloads its log", arrange=_log_at_the_end),
    Answer("notebook: own training loop", arrange=_after("content compare", _code(TRAINING))),
    Answer("notebook: merged", arrange=_merged),
    Answer("notebook: content cell split", arrange=_content_split),
    Answer(
        "notebook: helper below",
        arrange=_helper_at_the_end,
        content="Km, Qm, Vm = sharp(60), sharp(1), sharp(1)",
    ),
    Answer(
        "notebook: model's helper below",
        arrange=_model_helper_at_the_end,
        forward=PLAIN_START + "out = attend(Q, K, V)",
        needs_notebook=True,
    ),
    Answer("notebook: position first", arrange=_position_first),
    Answer("notebook: run in another order", arrange=_swapped_turns),
    Answer("notebook: scratch after content", arrange=_after("content", _code(SCRATCH))),
    Answer("notebook: scratch after position", arrange=_after("position", _code(SCRATCH))),
    Answer("notebook: a broken cell, never run", arrange=_after("content", _code(BROKEN, turn=-1))),
    Answer("notebook: without the optional part", arrange=_without_optional),
    Answer("notebook: under main", arrange=_under_main),
    Answer(
        "notebook: optional before the log",
        unique=UNIQUES[0].unique,
        passes_unique=True,
        arrange=_log_at_the_end,
    ),
)
