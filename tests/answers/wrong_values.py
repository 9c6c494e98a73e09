"""Wrong models that compute something else, each with its fault's name."""

from __future__ import annotations

from tests.answers.answer import PLAIN_FORWARD, PLAIN_LAYERS, PLAIN_START, Answer, wrong
from tests.answers.right_styles import OUT, PROJECT, SCORES, SEQ_LEN, positions

MODEL = "pytorch_transformer"
LOOKS = ("2.1", "2.5")
"""What a model that only computes the wrong thing keeps."""
VALUES = ("2.2", "2.3", "2.4")


def _computes(fault: str, forward: str) -> Answer:
    """A model with the right layers that computes something else."""
    return wrong(fault, MODEL, forward=forward, loses=VALUES, keeps=LOOKS)


def _positions(fault: str, lookup: str) -> Answer:
    """A model that is right without positions."""
    return wrong(fault, MODEL, forward=positions(lookup), loses=("2.3", "2.4"), keeps=("2.1", "2.2"))


COMPUTE = (
    _computes("no scale", PLAIN_START + "out = torch.softmax(Q @ K.T, dim=-1) @ V"),
    _computes("scaled by qk_dim", PLAIN_START + "out = torch.softmax(Q @ K.T / self.d_k, dim=-1) @ V"),
    _computes(
        "multiplied by the root",
        PLAIN_START + "out = torch.softmax(Q @ K.T * math.sqrt(self.d_k), dim=-1) @ V",
    ),
    _computes(
        "scaled by v_dim", PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(V.shape[-1]), dim=-1) @ V"
    ),
    _computes(
        "scaled by the width",
        PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(seq.shape[-1]), dim=-1) @ V",
    ),
    _computes(
        "scaled by the length", PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(seq_len), dim=-1) @ V"
    ),
    _computes(
        "scaled after softmax", PLAIN_START + "out = torch.softmax(Q @ K.T, dim=-1) / math.sqrt(self.d_k) @ V"
    ),
    _computes("softmax over queries", SCORES + "out = torch.softmax(scores, dim=0) @ V"),
    _computes(
        "softmax over everything", SCORES + "out = torch.softmax(scores.flatten(), 0).view_as(scores) @ V"
    ),
    _computes("no softmax", SCORES + "out = scores @ V"),
    _computes("sigmoid", SCORES + "out = torch.sigmoid(scores) @ V"),
    _computes(
        "scores transposed", PLAIN_START + "out = torch.softmax(K @ Q.T / math.sqrt(self.d_k), dim=-1) @ V"
    ),
    _computes("weights transposed", SCORES + "out = torch.softmax(scores, dim=-1).T @ V"),
    _computes(
        "keys asked by keys", PLAIN_START + "out = torch.softmax(K @ K.T / math.sqrt(self.d_k), dim=-1) @ V"
    ),
    _computes("key and query layers swapped", PLAIN_START + "Q, K = K, Q\n" + OUT),
    _computes(
        "causal mask",
        SCORES + "scores = scores.masked_fill(torch.triu(torch.ones_like(scores), 1) == 1, -1e9)\n"
        "out = torch.softmax(scores, -1) @ V",
    ),
    _computes("residual", SCORES + "out = torch.softmax(scores, -1) @ V + V"),
    _computes("normalised output", PLAIN_FORWARD + "out = nn.functional.layer_norm(out, out.shape[-1:])"),
    _computes("relu", PLAIN_FORWARD + "out = torch.relu(out)"),
    _computes("values not used", SCORES + "out = torch.softmax(scores, -1) @ K"),
    _computes("values not attended", SCORES + "out = V"),
    _computes(
        "hard attention", SCORES + "out = torch.nn.functional.one_hot(scores.argmax(-1), seq_len).float() @ V"
    ),
    _computes(
        "mean over the sequence", PLAIN_FORWARD + "out = out.mean(0, keepdim=True).expand(seq_len, -1)"
    ),
    wrong(
        "dropout",
        MODEL,
        layers=PLAIN_LAYERS + "self.drop = nn.Dropout(0.5)",
        forward=SCORES + "out = self.drop(torch.softmax(scores, dim=-1)) @ V",
        loses=("2.2", "2.3", "2.4"),
    ),
)

POSITION = (
    wrong(
        "positions ignored",
        MODEL,
        forward=SEQ_LEN + PROJECT + OUT,
        loses=("2.3", "2.4"),
        keeps=("2.1", "2.2"),
    ),
    _positions("positions prepended", "seq = torch.cat([self.pos.weight[:seq_len], seq], dim=-1)"),
    _positions("positions reversed", "seq = torch.cat([seq, self.pos.weight[:seq_len].flip(0)], dim=-1)"),
    _positions(
        "positions shifted",
        "seq = torch.cat([seq, self.pos(torch.arange(1, seq_len + 1) % self._max_seq_len)], dim=-1)",
    ),
    _positions("the last positions", "seq = torch.cat([seq, self.pos.weight[-seq_len:]], dim=-1)"),
    _positions(
        "first position everywhere", "seq = torch.cat([seq, self.pos.weight[:1].expand(seq_len, -1)], dim=-1)"
    ),
    _positions(
        "zeros for positions", "seq = torch.cat([seq, torch.zeros(seq_len, self.pos.embedding_dim)], dim=-1)"
    ),
    _positions("positions added", "seq = seq + self.pos.weight[:seq_len]"),
    _positions("positions stacked below", "seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=0)"),
)

TWO = (
    wrong(
        "no scale, transposed",
        MODEL,
        forward=PLAIN_START + "out = torch.softmax(K @ Q.T, dim=-1) @ V",
        loses=VALUES,
        keeps=LOOKS,
    ),
    wrong(
        "bias and a loop",
        MODEL,
        layers=PLAIN_LAYERS.replace(", bias=False", ""),
        forward=PLAIN_START
        + "out = torch.stack([torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V for q in Q])",
        loses=("2.1", *VALUES, "2.5"),
    ),
    wrong(
        "prepended and unscaled",
        MODEL,
        forward=positions("seq = torch.cat([self.pos.weight[:seq_len], seq], dim=-1)").replace(
            " / math.sqrt(self.d_k)", ""
        ),
        loses=VALUES,
    ),
    wrong(
        "squeezed",
        MODEL,
        forward=PLAIN_START
        + "out = torch.softmax((Q @ K.T).squeeze() / math.sqrt(self.d_k), -1) @ V.squeeze()",
        loses=("2.4",),
        keeps=("2.1",),
    ),
)
