"""Wrong models that pass the notebook's own test, or nearly: only other sizes and looks tell."""

from __future__ import annotations

from tests.answers.answer import PLAIN_FORWARD, PLAIN_LAYERS, PLAIN_START, wrong
from tests.answers.right_attention import SCORES
from tests.answers.wrong_values import MODEL, VALUES

SUBTLE = (
    wrong(
        "residual where it fits",
        MODEL,
        forward=PLAIN_FORWARD + "if out.shape == seq.shape:\n    out = out + seq",
        loses=("2.4",),
    ),
    wrong(
        "clipped length",
        MODEL,
        forward=PLAIN_FORWARD + "out = torch.cat([out[:8], torch.zeros(max(seq_len - 8, 0), out.shape[1])])",
        loses=("2.4",),
        keeps=("2.1", "2.2"),
    ),
    wrong(
        "root of a constant",
        MODEL,
        forward=PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(3), -1) @ V",
        loses=VALUES,
    ),
    wrong(
        "nearly the root",
        MODEL,
        forward=PLAIN_START + "out = torch.softmax(Q @ K.T / (math.sqrt(self.d_k) + 1e-2), -1) @ V",
        loses=VALUES,
    ),
    wrong(
        "clamped scores",
        MODEL,
        forward=SCORES + "out = torch.softmax(scores.clamp(-1, 1), -1) @ V",
        loses=VALUES,
    ),
    wrong(
        "positions at nine tenths",
        MODEL,
        forward=PLAIN_FORWARD.replace("torch.arange(seq_len))", "torch.arange(seq_len)) * 0.9"),
        loses=("2.3", "2.4"),
        keeps=("2.1", "2.2"),
    ),
    wrong(
        "frozen positions",
        MODEL,
        layers=PLAIN_LAYERS + "if self.pos is not None:\n    self.pos.weight.requires_grad_(False)",
        loses=("2.1", "2.6"),
        keeps=VALUES,
    ),
    wrong(
        "tied keys and queries", MODEL, layers=PLAIN_LAYERS + "self.Qm.weight = self.Km.weight", loses=VALUES
    ),
    wrong(
        "layer norm",
        MODEL,
        layers=PLAIN_LAYERS + "self.norm = nn.LayerNorm(v_dim)",
        forward=PLAIN_FORWARD + "out = self.norm(out)",
        loses=("2.1", *VALUES),
    ),
    wrong(
        "rows of softmax",
        MODEL,
        forward=SCORES
        + """
for i in range(seq_len):
    scores[i] = torch.softmax(scores[i].clone(), 0)
out = scores @ V
""",
        loses=("2.5",),
        keeps=("2.1", *VALUES, "2.6"),
        verdict={"submission_log": 1},
    ),
    wrong(
        "the NumPy transformer inside",
        MODEL,
        forward="""
seq_len = len(seq)
Km, Qm, Vm = (layer.weight.T.detach().numpy() for layer in (self.Km, self.Qm, self.Vm))
pos = None if self.pos is None else self.pos.weight.detach().numpy()
out = torch.tensor(NumpyTransformer(Km, Qm, Vm, pos).forward(seq.numpy()))
""",
        loses=("2.5", "2.6"),
        keeps=("2.1", *VALUES),
    ),
    wrong(
        "NumPy rows",
        MODEL,
        forward=PLAIN_START
        + """
rows = []
for q in Q.detach().numpy():
    e = np.exp(K.detach().numpy() @ q / np.sqrt(self.d_k))
    rows.append(e / e.sum() @ V.detach().numpy())
out = torch.tensor(np.array(rows), dtype=torch.float32)
""",
        loses=("2.5", "2.6"),
        keeps=("2.1", *VALUES),
    ),
)
