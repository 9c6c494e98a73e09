"""Wrong models, each by the name of its fault."""

from __future__ import annotations

from typing import Any

from tests.answers.answer import (
    CODE,
    LOOKUP,
    MODEL,
    OUT,
    PLAIN_FORWARD,
    PLAIN_LAYERS,
    PLAIN_LOOKUP,
    PLAIN_START,
    PROJECT,
    RECORD,
    SCORES,
    SEQ_LEN,
    Answer,
    answers,
)

VALUES = ("2.2", "2.3", "2.4")
ONLY_VALUES: dict[str, Any] = {"loses": VALUES, "keeps": ("2.1", "2.5")}
"""What a model loses and keeps that only computes the wrong thing; so on for others."""
ONLY_POSITIONS: dict[str, Any] = {"loses": ("2.3", "2.4"), "keeps": ("2.1", "2.2")}
ONLY_LOOP: dict[str, Any] = {"loses": ("2.5",), "keeps": ("2.1", *VALUES, "2.6"), "verdict": {RECORD: 1}}
ONLY_TRAINING: dict[str, Any] = {"loses": ("2.6",), "keeps": ("2.1", *VALUES)}
FROZEN: dict[str, Any] = {"loses": ("2.1", "2.6"), "keeps": VALUES}
UNBIASED = ", bias=False"
UNSCALED = " / math.sqrt(self.d_k)"


def _projecting(projections: str) -> str:
    """A forward pass with layers of other kinds or names."""
    return f"{PLAIN_LOOKUP}Q, K, V = {projections}\n{OUT}"


def _renamed(code: str) -> str:
    return code.replace("self.Km", "self.W_k").replace("self.Qm", "self.W_q").replace("self.Vm", "self.W_v")


OTHER_SUMS = {
    "no scale": "out = torch.softmax(Q @ K.T, dim=-1) @ V",
    "scaled by qk_dim": "out = torch.softmax(Q @ K.T / self.d_k, dim=-1) @ V",
    "multiplied by the root": "out = torch.softmax(Q @ K.T * math.sqrt(self.d_k), dim=-1) @ V",
    "scaled by v_dim": "out = torch.softmax(Q @ K.T / math.sqrt(V.shape[-1]), dim=-1) @ V",
    "scaled by the width": "out = torch.softmax(Q @ K.T / math.sqrt(seq.shape[-1]), dim=-1) @ V",
    "scaled by the length": "out = torch.softmax(Q @ K.T / math.sqrt(seq_len), dim=-1) @ V",
    "scaled after softmax": "out = torch.softmax(Q @ K.T, dim=-1) / math.sqrt(self.d_k) @ V",
    "scores transposed": "out = torch.softmax(K @ Q.T / math.sqrt(self.d_k), dim=-1) @ V",
    "keys asked by keys": "out = torch.softmax(K @ K.T / math.sqrt(self.d_k), dim=-1) @ V",
    "key and query layers swapped": "Q, K = K, Q\n" + OUT,
}
OTHER_WEIGHTS = {
    "softmax over queries": "out = torch.softmax(scores, dim=0) @ V",
    "softmax over everything": "out = torch.softmax(scores.flatten(), 0).view_as(scores) @ V",
    "no softmax": "out = scores @ V",
    "sigmoid": "out = torch.sigmoid(scores) @ V",
    "weights transposed": "out = torch.softmax(scores, dim=-1).T @ V",
    "causal mask": """
        scores = scores.masked_fill(torch.triu(torch.ones_like(scores), 1) == 1, -1e9)
        out = torch.softmax(scores, -1) @ V""",
    "residual": "out = torch.softmax(scores, -1) @ V + V",
    "values not used": "out = torch.softmax(scores, -1) @ K",
    "values not attended": "out = V",
    "hard attention": "out = torch.nn.functional.one_hot(scores.argmax(-1), seq_len).float() @ V",
}
OTHER_OUTPUTS = {
    "normalised output": "out = nn.functional.layer_norm(out, out.shape[-1:])",
    "relu": "out = torch.relu(out)",
    "mean over the sequence": "out = out.mean(0, keepdim=True).expand(seq_len, -1)",
}
LOOKUPS = {
    "positions prepended": "seq = torch.cat([self.pos.weight[:seq_len], seq], dim=-1)",
    "positions reversed": "seq = torch.cat([seq, self.pos.weight[:seq_len].flip(0)], dim=-1)",
    "positions shifted": (
        "seq = torch.cat([seq, self.pos(torch.arange(1, seq_len + 1) % self._max_seq_len)], dim=-1)"
    ),
    "the last positions": "seq = torch.cat([seq, self.pos.weight[-seq_len:]], dim=-1)",
    "first position everywhere": "seq = torch.cat([seq, self.pos.weight[:1].expand(seq_len, -1)], dim=-1)",
    "zeros for positions": "seq = torch.cat([seq, torch.zeros(seq_len, self.pos.embedding_dim)], dim=-1)",
    "positions added": "seq = seq + self.pos.weight[:seq_len]",
    "positions stacked below": "seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=0)",
}
LOOPED = {
    "loop over queries": """
        rows = []
        for q in Q:
            rows.append(torch.softmax(K @ q / math.sqrt(self.d_k), dim=0) @ V)
        out = torch.stack(rows)""",
    "loop over a range": """
        out = torch.zeros(seq_len, V.shape[1])
        for i in range(seq_len):
            w = torch.softmax(torch.matmul(K, Q[i]) / self.d_k ** 0.5, dim=0)
            out[i] = w @ V""",
    "loop over both": f"""
        scores = torch.zeros(seq_len, seq_len)
        for i in range(seq_len):
            for j in range(seq_len):
                scores[i, j] = Q[i].dot(K[j]) / math.sqrt(self.d_k)
        {OUT.replace("Q @ K.T" + UNSCALED, "scores")}""",
    "loop over blocks": """
        parts = [torch.softmax(q @ K.T / math.sqrt(self.d_k), dim=-1) @ V for q in Q.chunk(4)]
        out = torch.cat(parts)""",
    "comprehension over rows": """
        out = torch.stack([torch.softmax(q @ K.T / math.sqrt(self.d_k), -1) @ V for q in Q])""",
    "enumerated rows": """
        weights = [None] * seq_len
        for i, q in enumerate(Q):
            weights[i] = torch.softmax((q * K).sum(1) / math.sqrt(self.d_k), 0)
        out = torch.stack(weights) @ V""",
    "while over rows": """
        i, rows = 0, []
        while i < seq_len:
            rows.append((Q[i:i + 1] @ K.T / math.sqrt(self.d_k)).softmax(-1) @ V)
            i += 1
        out = torch.cat(rows)""",
    "map over rows": """
        out = torch.stack(list(map(lambda q: torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V, Q)))""",
    "unbind": """
        out = torch.stack([torch.softmax(K @ q / self.d_k ** 0.5, 0) @ V for q in torch.unbind(Q)])""",
}
UNTRAINABLE = {
    "values detached": "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), -1) @ V.detach()",
    "scores detached": "out = torch.softmax((Q @ K.T).detach() / math.sqrt(self.d_k), -1) @ V",
    "no_grad": """
        with torch.no_grad():
            out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), -1) @ V""",
    "numpy in the middle": """
        e = np.exp((Q @ K.T).detach().numpy() / np.sqrt(self.d_k))
        out = torch.from_numpy(e / e.sum(-1, keepdims=True)).float() @ V""",
}
ENDS = {
    "returns a tuple": "return out, seq",
    "returns None": "return None",
    "returns NumPy": "return out.detach().numpy()",
    "returns a list": "return out.tolist()",
    "returns NaN": "return out * float('nan')",
    "returns integers": "return out.round().long()",
    "returns a batch": "return out.unsqueeze(0)",
    "returns the transpose": "return out.T",
    "returns one row": "out = out[-1]",
    "raises": "raise NotImplementedError('later')",
    "misspelt": "out = atention @ V",
}
NUMPY_INSIDE = """
seq_len = len(seq)
Km, Qm, Vm = (layer.weight.T.detach().numpy() for layer in (self.Km, self.Qm, self.Vm))
pos = None if self.pos is None else self.pos.weight.detach().numpy()
out = torch.tensor(NumpyTransformer(Km, Qm, Vm, pos).forward(seq.numpy()))
"""
NUMPY_ROWS = """
rows = []
for q in Q.detach().numpy():
    e = np.exp(K.detach().numpy() @ q / np.sqrt(self.d_k))
    rows.append(e / e.sum() @ V.detach().numpy())
out = torch.tensor(np.array(rows), dtype=torch.float32)
"""

VALUE_MODELS = (
    *answers(OTHER_SUMS, forward=PLAIN_START + CODE, **ONLY_VALUES),
    *answers(OTHER_WEIGHTS, forward=SCORES + CODE, **ONLY_VALUES),
    *answers(OTHER_OUTPUTS, forward=PLAIN_FORWARD + CODE, **ONLY_VALUES),
    Answer(
        "dropout",
        PLAIN_LAYERS + "self.drop = nn.Dropout(0.5)",
        SCORES + "out = self.drop(torch.softmax(scores, dim=-1)) @ V",
        loses=VALUES,
    ),
    Answer("positions ignored", forward=SEQ_LEN + PROJECT + OUT, **ONLY_POSITIONS),
    *answers(LOOKUPS, forward=LOOKUP, **ONLY_POSITIONS),
    Answer(
        "no scale, transposed",
        forward=PLAIN_START + "out = torch.softmax(K @ Q.T, dim=-1) @ V",
        **ONLY_VALUES,
    ),
    Answer(
        "bias and a loop",
        PLAIN_LAYERS.replace(UNBIASED, ""),
        PLAIN_START + "out = torch.stack([torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V for q in Q])",
        loses=("2.1", *VALUES, "2.5"),
    ),
    Answer(
        "prepended and unscaled",
        forward=LOOKUP.replace(CODE, LOOKUPS["positions prepended"]).replace(UNSCALED, ""),
        loses=VALUES,
    ),
    Answer(
        "squeezed",
        forward=PLAIN_START
        + "out = torch.softmax((Q @ K.T).squeeze() / math.sqrt(self.d_k), -1) @ V.squeeze()",
        loses=("2.4",),
        keeps=("2.1",),
    ),
)
LAYER_MODELS = (
    Answer("bias left on", PLAIN_LAYERS.replace(UNBIASED, ""), loses=("2.1", *VALUES)),
    Answer("bias on the values", PLAIN_LAYERS.replace(f"v_dim{UNBIASED}", "v_dim"), loses=("2.1", *VALUES)),
    Answer(
        "output projection",
        PLAIN_LAYERS + "self.out = nn.Linear(v_dim, v_dim, bias=False)",
        PLAIN_FORWARD + "out = self.out(out)",
        loses=("2.1", *VALUES),
    ),
    Answer(
        "unused weight",
        PLAIN_LAYERS + "self.extra = nn.Linear(3, 3)",
        loses=("2.1",),
        keeps=(*VALUES, "2.5", "2.6"),
    ),
    Answer(
        "learned scale",
        PLAIN_LAYERS + "self.gain = nn.Parameter(torch.ones(1))",
        SCORES + "out = torch.softmax(scores * self.gain, -1) @ V",
        loses=("2.1",),
        keeps=VALUES,
    ),
    Answer("other layer names", _renamed(PLAIN_LAYERS), _renamed(PLAIN_FORWARD), loses=("2.1", *VALUES)),
    Answer(
        "layers transposed",
        "self.Km = nn.Linear(qk_dim, total_input_dim, bias=False)\n"
        "self.Qm = nn.Linear(qk_dim, total_input_dim, bias=False)\n"
        "self.Vm = nn.Linear(v_dim, total_input_dim, bias=False)",
        _projecting("seq @ self.Qm.weight, seq @ self.Km.weight, seq @ self.Vm.weight"),
        loses=("2.1", *VALUES),
    ),
    Answer(
        "width without positions",
        PLAIN_LAYERS.replace("total_input_dim", "input_dim"),
        loses=("2.1", "2.3"),
        keeps=("2.2",),
    ),
    Answer(
        "weights are parameters",
        "self.Km = nn.Parameter(torch.randn(total_input_dim, qk_dim))\n"
        "self.Qm = nn.Parameter(torch.randn(total_input_dim, qk_dim))\n"
        "self.Vm = nn.Parameter(torch.randn(total_input_dim, v_dim))",
        _projecting("seq @ self.Qm, seq @ self.Km, seq @ self.Vm"),
        loses=("2.1", *VALUES),
    ),
    Answer("frozen values", PLAIN_LAYERS + "self.Vm.weight.requires_grad = False", **FROZEN),
)
LOOP_MODELS = answers(LOOPED, forward=PLAIN_START + CODE, **ONLY_LOOP)
TRAINING_MODELS = (
    *answers(UNTRAINABLE, forward=PLAIN_START + CODE, **ONLY_TRAINING),
    Answer(
        "positions by data",
        forward=LOOKUP.replace(CODE, "seq = torch.cat([seq, self.pos.weight.data[:seq_len]], dim=-1)"),
        **ONLY_TRAINING,
    ),
)
ENDING_MODELS = answers(ENDS, forward=PLAIN_FORWARD + CODE, loses=VALUES, keeps=("2.1",))
UNFINISHED_MODELS = (
    Answer("blank", layers="", forward="", verdict={MODEL: 0}),
    Answer("layers only", forward=SEQ_LEN, loses=(*VALUES, "2.5", "2.6"), keeps=("2.1",)),
    Answer("forward only", layers="pass", loses=("2.1", *VALUES, "2.5", "2.6")),
    Answer("syntax error in the class", forward="out = (1,\nif", like_jupyter=True, verdict={MODEL: 0}),
)
SUBTLE_MODELS = (
    Answer(
        "residual where it fits",
        forward=PLAIN_FORWARD + "if out.shape == seq.shape:\n    out = out + seq",
        loses=("2.4",),
    ),
    Answer(
        "clipped length",
        forward=PLAIN_FORWARD + "out = torch.cat([out[:8], torch.zeros(max(seq_len - 8, 0), out.shape[1])])",
        loses=("2.4",),
        keeps=("2.1", "2.2"),
    ),
    *answers(
        {"root of a constant": "math.sqrt(3)", "nearly the root": "(math.sqrt(self.d_k) + 1e-2)"},
        forward=PLAIN_START + f"out = torch.softmax(Q @ K.T / {CODE}, -1) @ V",
        loses=VALUES,
    ),
    Answer(
        "clamped scores", forward=SCORES + "out = torch.softmax(scores.clamp(-1, 1), -1) @ V", loses=VALUES
    ),
    Answer(
        "positions at nine tenths",
        forward=PLAIN_FORWARD.replace("torch.arange(seq_len))", "torch.arange(seq_len)) * 0.9"),
        **ONLY_POSITIONS,
    ),
    Answer(
        "frozen positions",
        PLAIN_LAYERS + "if self.pos is not None:\n    self.pos.weight.requires_grad_(False)",
        **FROZEN,
    ),
    Answer("tied keys and queries", PLAIN_LAYERS + "self.Qm.weight = self.Km.weight", loses=VALUES),
    Answer(
        "layer norm",
        PLAIN_LAYERS + "self.norm = nn.LayerNorm(v_dim)",
        PLAIN_FORWARD + "out = self.norm(out)",
        loses=("2.1", *VALUES),
    ),
    Answer(
        "rows of softmax",
        forward=SCORES
        + "for i in range(seq_len):\n    scores[i] = torch.softmax(scores[i].clone(), 0)\nout = scores @ V",
        **ONLY_LOOP,
    ),
    *answers(
        {"the NumPy transformer inside": NUMPY_INSIDE, "NumPy rows": PLAIN_START + NUMPY_ROWS},
        forward=CODE,
        loses=("2.5", "2.6"),
        keeps=("2.1", *VALUES),
    ),
)
