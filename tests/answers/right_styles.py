"""Right ways to look positions up and to make layers."""

from __future__ import annotations

from tests.answers.answer import PLAIN_LAYERS, Answer
from tests.answers.right_attention import SCORES

SEQ_LEN = "seq_len = seq.shape[0]\n"
PROJECT = "Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)\n"
OUT = "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V\n"


def positions(lookup: str) -> str:
    """A forward pass with its own way to the position encodings."""
    return f"{SEQ_LEN}if self.pos is not None:\n    {lookup}\n{PROJECT}{OUT}"


POSITION_STYLES = (
    Answer("pos: slice", forward=positions("seq = torch.cat([seq, self.pos.weight[:seq_len, :]], 1)")),
    Answer(
        "pos: arange on the device",
        forward=positions(
            "seq = torch.cat([seq, self.pos(torch.arange(0, seq.size(0), device=seq.device))], dim=-1)"
        ),
    ),
    Answer(
        "pos: F.embedding",
        forward=positions(
            "seq = torch.concat([seq, nn.functional.embedding(torch.arange(seq_len), self.pos.weight)], 1)"
        ),
    ),
    Answer(
        "pos: LongTensor of a range",
        forward=positions("seq = torch.cat([seq, self.pos(torch.LongTensor(list(range(seq_len))))], dim=1)"),
    ),
    Answer(
        "pos: indices in a comprehension",
        forward=positions(
            "seq = torch.cat([seq, self.pos(torch.tensor([i for i in range(seq_len)]))], dim=1)"
        ),
    ),
    Answer(
        "pos: token by token",
        forward=positions(
            "seq = torch.stack([torch.cat([seq[i], self.pos.weight[i]]) for i in range(seq_len)])"
        ),
    ),
    Answer(
        "pos: narrow",
        forward=positions("seq = torch.column_stack((seq, self.pos.weight.narrow(0, 0, seq_len)))"),
    ),
    Answer(
        "pos: index_select",
        forward=positions(
            "seq = torch.cat((seq, self.pos.weight.index_select(0, torch.arange(seq_len))), dim=-1)"
        ),
    ),
    Answer(
        "pos: one-hots times weight",
        forward=positions(
            "seq = torch.cat((seq, torch.eye(seq_len, self._max_seq_len) @ self.pos.weight), dim=-1)"
        ),
    ),
    Answer(
        "pos: ids in a buffer",
        layers=PLAIN_LAYERS + 'self.register_buffer("ids", torch.arange(max_seq_len), persistent=False)',
        forward=positions("seq = torch.cat([seq, self.pos(self.ids[:seq_len])], dim=-1)"),
    ),
    Answer(
        "pos: ids made once and kept",
        layers=PLAIN_LAYERS + "self.ids = None",
        forward=positions(
            "self.ids = torch.arange(self._max_seq_len) if self.ids is None else self.ids\n"
            "    seq = torch.cat([seq, self.pos(self.ids[:seq_len])], dim=-1)"
        ),
    ),
    Answer(
        "pos: batched and expanded",
        forward=positions(
            "seq = torch.cat([seq[None], self.pos.weight[None, :seq_len].expand(1, -1, -1)], 2).squeeze(0)"
        ),
    ),
    Answer(
        "pos: into a new tensor",
        forward="""
seq_len, d = seq.shape
if self.pos is not None:
    wide = torch.zeros(seq_len, d + self.pos.embedding_dim)
    wide[:, :d] = seq
    wide[:, d:] = self.pos.weight[:seq_len]
    seq = wide
"""
        + PROJECT
        + OUT,
    ),
)

LAYER_STYLES = (
    Answer(
        "layers: V, Q, K",
        layers="""
self.Vm = nn.Linear(total_input_dim, v_dim, bias=False)
self.Qm = nn.Linear(total_input_dim, qk_dim, bias=False)
self.Km = nn.Linear(total_input_dim, qk_dim, bias=False)
""",
    ),
    Answer(
        "layers: in a loop",
        layers="""
for name, width in {"Qm": qk_dim, "Km": qk_dim, "Vm": v_dim}.items():
    setattr(self, name, nn.Linear(in_features=total_input_dim, out_features=width, bias=False))
""",
    ),
    Answer(
        "layers: three at once",
        layers="""
self.Km, self.Qm, self.Vm = (nn.Linear(total_input_dim, d, False) for d in (qk_dim, qk_dim, v_dim))
""",
    ),
    Answer(
        "layers: xavier",
        layers=PLAIN_LAYERS
        + """
for layer in [self.Km, self.Qm, self.Vm]:
    nn.init.xavier_uniform_(layer.weight)
""",
    ),
    Answer(
        "layers: lazy",
        layers="""
self.Km = nn.LazyLinear(qk_dim, bias=False)
self.Qm = nn.LazyLinear(qk_dim, bias=False)
self.Vm = nn.LazyLinear(v_dim, bias=False)
""",
    ),
    Answer("layers: seeded", layers="torch.manual_seed(3)\n" + PLAIN_LAYERS),
    Answer(
        "layers: weightless beside them",
        layers=PLAIN_LAYERS
        + """
self.dropout = nn.Dropout(p=0.0)
self.attention = nn.Sequential(nn.Softmax(dim=-1), nn.Identity())
self.norms: List[float] = []
""",
        forward=SCORES + "out = self.dropout(self.attention(scores)) @ V",
    ),
    Answer(
        "layers: projections in a comprehension",
        forward="""
seq_len: int = seq.size(0)
if self.pos is not None:
    seq = torch.cat([seq, self.pos(torch.arange(seq_len))], dim=-1)
Q, K, V = [layer(seq) for layer in (self.Qm, self.Km, self.Vm)]
"""
        + OUT,
    ),
    Answer(
        "layers: projections in a loop",
        forward="""
seq_len = seq.shape[0]
parts = [seq]
if self.pos is not None:
    parts.append(self.pos.weight[:seq_len])
x = torch.cat(parts, dim=-1)
projected = {}
for name in ("Qm", "Km", "Vm"):
    projected[name] = getattr(self, name)(x)
Q, K, V = projected["Qm"], projected["Km"], projected["Vm"]
"""
        + OUT,
    ),
)
