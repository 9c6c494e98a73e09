"""Right models in as many ways of writing Python as students have."""

from __future__ import annotations

from tests.answers.answer import PLAIN_START, Answer
from tests.answers.right_styles import OUT, PROJECT

PYTHON_STYLES = (
    Answer(
        "lambda inside",
        forward=PLAIN_START
        + """
softmax = lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)
out = softmax(Q @ K.T / math.sqrt(self.d_k)) @ V
""",
    ),
    Answer(
        "nested function",
        forward=PLAIN_START
        + """
def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1) @ v
out = attend(Q, K, v=V)
""",
    ),
    Answer(
        "walrus",
        forward=PLAIN_START
        + """
if (n := K.shape[1]) and (scores := Q @ K.T / n ** 0.5) is not None:
    out = (attn := scores.softmax(-1)) @ V
""",
    ),
    Answer(
        "generics",
        forward=PLAIN_START
        + """
qkv: Tuple[TensorFloat, TensorFloat, TensorFloat] = (Q, K, V)
weights: "Optional[torch.Tensor]" = torch.softmax(qkv[0] @ qkv[1].T / math.sqrt(self.d_k), dim=-1)
out: TensorFloat = weights @ qkv[2]
""",
    ),
    Answer(
        "checks and prints",
        forward=PLAIN_START
        + """
for name, t in (("Q", Q), ("K", K), ("V", V)):
    assert t.dim() == 2 and t.shape[0] == seq_len, f"{name}: {t.shape}"
print("shapes", [tuple(t.shape) for t in (Q, K, V)])
"""
        + OUT
        + "assert torch.isfinite(out).all()\n",
    ),
    Answer(
        "float64 inside",
        forward=PLAIN_START
        + """
Q, K, V = Q.double(), K.double(), V.double()
out = (torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V).float()
""",
    ),
    Answer(
        "float64 out",
        forward=PLAIN_START
        + """
Q, K, V = (t.to(torch.float64) for t in (Q, K, V))
out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V
""",
    ),
    Answer(
        "float64 by default",
        before_model="torch.set_default_dtype(torch.float64)",
        forward="seq = seq.to(self.Km.weight.dtype)\n" + PLAIN_START + OUT,
        needs_notebook=True,
    ),
    Answer(
        "early return",
        forward=PLAIN_START + "return torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V",
    ),
    Answer(
        "comments and blanks",
        forward="""
# TODO: done! for i in range(seq_len) was the first try
seq_len = seq.shape[0]   # number of tokens


if self.pos is not None:
    # put the positions to the right
    seq = torch.cat(
        [
            seq,
            self.pos.weight[0:seq_len],
        ],
        dim=-1,
    )
"""
        + PROJECT
        + OUT,
    ),
    Answer(
        "a try around it",
        forward=PLAIN_START
        + """
try:
    out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V
except RuntimeError as error:
    print("shapes", Q.shape, K.shape, V.shape)
    raise error
""",
    ),
)
