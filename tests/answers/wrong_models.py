"""Wrong models by their layers, their loops, their gradients, what they return; and unfinished ones."""

from __future__ import annotations

from tests.answers.answer import PLAIN_FORWARD, PLAIN_LAYERS, PLAIN_START, wrong
from tests.answers.right_attention import SCORES
from tests.answers.right_styles import OUT, SEQ_LEN, positions
from tests.answers.wrong_values import MODEL, VALUES

LAYERS = (
    wrong("bias left on", MODEL, layers=PLAIN_LAYERS.replace(", bias=False", ""), loses=("2.1", *VALUES)),
    wrong(
        "bias on the values",
        MODEL,
        layers=PLAIN_LAYERS.replace("v_dim, bias=False", "v_dim"),
        loses=("2.1", *VALUES),
    ),
    wrong(
        "output projection",
        MODEL,
        layers=PLAIN_LAYERS + "self.out = nn.Linear(v_dim, v_dim, bias=False)",
        forward=PLAIN_FORWARD + "out = self.out(out)",
        loses=("2.1", *VALUES),
    ),
    wrong(
        "unused weight",
        MODEL,
        layers=PLAIN_LAYERS + "self.extra = nn.Linear(3, 3)",
        loses=("2.1",),
        keeps=(*VALUES, "2.5", "2.6"),
    ),
    wrong(
        "learned scale",
        MODEL,
        layers=PLAIN_LAYERS + "self.gain = nn.Parameter(torch.ones(1))",
        forward=SCORES + "out = torch.softmax(scores * self.gain, -1) @ V",
        loses=("2.1",),
        keeps=VALUES,
    ),
    wrong(
        "other layer names",
        MODEL,
        layers=PLAIN_LAYERS.replace("self.Km", "self.W_k")
        .replace("self.Qm", "self.W_q")
        .replace("self.Vm", "self.W_v"),
        forward=PLAIN_FORWARD.replace("self.Km", "self.W_k")
        .replace("self.Qm", "self.W_q")
        .replace("self.Vm", "self.W_v"),
        loses=("2.1", *VALUES),
    ),
    wrong(
        "layers transposed",
        MODEL,
        layers="self.Km = nn.Linear(qk_dim, total_input_dim, bias=False)\n"
        "self.Qm = nn.Linear(qk_dim, total_input_dim, bias=False)\n"
        "self.Vm = nn.Linear(v_dim, total_input_dim, bias=False)",
        forward=PLAIN_START.replace(
            "self.Qm(seq), self.Km(seq), self.Vm(seq)",
            "seq @ self.Qm.weight, seq @ self.Km.weight, seq @ self.Vm.weight",
        )
        + OUT,
        loses=("2.1", *VALUES),
    ),
    wrong(
        "width without positions",
        MODEL,
        layers=PLAIN_LAYERS.replace("total_input_dim", "input_dim"),
        loses=("2.1", "2.3"),
        keeps=("2.2",),
    ),
    wrong(
        "weights are parameters",
        MODEL,
        layers="self.Km = nn.Parameter(torch.randn(total_input_dim, qk_dim))\n"
        "self.Qm = nn.Parameter(torch.randn(total_input_dim, qk_dim))\n"
        "self.Vm = nn.Parameter(torch.randn(total_input_dim, v_dim))",
        forward=PLAIN_START.replace(
            "self.Qm(seq), self.Km(seq), self.Vm(seq)", "seq @ self.Qm, seq @ self.Km, seq @ self.Vm"
        )
        + OUT,
        loses=("2.1", *VALUES),
    ),
    wrong(
        "frozen values",
        MODEL,
        layers=PLAIN_LAYERS + "self.Vm.weight.requires_grad = False",
        loses=("2.1", "2.6"),
        keeps=VALUES,
    ),
)

LOOPS = tuple(
    wrong(
        fault,
        MODEL,
        forward=forward,
        loses=("2.5",),
        keeps=("2.1", *VALUES, "2.6"),
        verdict={"submission_log": 1},
    )
    for fault, forward in (
        (
            "loop over queries",
            PLAIN_START
            + """
rows = []
for q in Q:
    rows.append(torch.softmax(K @ q / math.sqrt(self.d_k), dim=0) @ V)
out = torch.stack(rows)
""",
        ),
        (
            "loop over a range",
            PLAIN_START
            + """
out = torch.zeros(seq_len, V.shape[1])
for i in range(seq_len):
    w = torch.softmax(torch.matmul(K, Q[i]) / self.d_k ** 0.5, dim=0)
    out[i] = w @ V
""",
        ),
        (
            "loop over both",
            PLAIN_START
            + """
scores = torch.zeros(seq_len, seq_len)
for i in range(seq_len):
    for j in range(seq_len):
        scores[i, j] = Q[i].dot(K[j]) / math.sqrt(self.d_k)
out = torch.softmax(scores, dim=-1) @ V
""",
        ),
        (
            "loop over blocks",
            PLAIN_START
            + """
parts = [torch.softmax(q @ K.T / math.sqrt(self.d_k), dim=-1) @ V for q in Q.chunk(4)]
out = torch.cat(parts)
""",
        ),
        (
            "comprehension over rows",
            PLAIN_START
            + "out = torch.stack([torch.softmax(q @ K.T / math.sqrt(self.d_k), -1) @ V for q in Q])",
        ),
        (
            "enumerated rows",
            PLAIN_START
            + """
weights = [None] * seq_len
for i, q in enumerate(Q):
    weights[i] = torch.softmax((q * K).sum(1) / math.sqrt(self.d_k), 0)
out = torch.stack(weights) @ V
""",
        ),
        (
            "while over rows",
            PLAIN_START
            + """
i, rows = 0, []
while i < seq_len:
    rows.append((Q[i:i + 1] @ K.T / math.sqrt(self.d_k)).softmax(-1) @ V)
    i += 1
out = torch.cat(rows)
""",
        ),
        (
            "map over rows",
            PLAIN_START
            + "out = torch.stack(list(map(lambda q: torch.softmax(K @ q / math.sqrt(self.d_k), 0) @ V, Q)))",
        ),
        (
            "unbind",
            PLAIN_START
            + "out = torch.stack([torch.softmax(K @ q / self.d_k ** 0.5, 0) @ V for q in torch.unbind(Q)])",
        ),
    )
)

TRAINING = tuple(
    wrong(fault, MODEL, forward=forward, loses=("2.6",), keeps=("2.1", *VALUES))
    for fault, forward in (
        (
            "values detached",
            PLAIN_START + "out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), -1) @ V.detach()",
        ),
        (
            "scores detached",
            PLAIN_START + "out = torch.softmax((Q @ K.T).detach() / math.sqrt(self.d_k), -1) @ V",
        ),
        ("positions by data", positions("seq = torch.cat([seq, self.pos.weight.data[:seq_len]], dim=-1)")),
        (
            "no_grad",
            PLAIN_START
            + "with torch.no_grad():\n    out = torch.softmax(Q @ K.T / math.sqrt(self.d_k), -1) @ V",
        ),
        (
            "numpy in the middle",
            PLAIN_START
            + """
e = np.exp((Q @ K.T).detach().numpy() / np.sqrt(self.d_k))
out = torch.from_numpy(e / e.sum(-1, keepdims=True)).float() @ V
""",
        ),
    )
)

RETURNS = tuple(
    wrong(fault, MODEL, forward=PLAIN_FORWARD + code, loses=VALUES, keeps=("2.1",))
    for fault, code in (
        ("returns a tuple", "return out, seq"),
        ("returns None", "return None"),
        ("returns NumPy", "return out.detach().numpy()"),
        ("returns a list", "return out.tolist()"),
        ("returns NaN", "return out * float('nan')"),
        ("returns integers", "return out.round().long()"),
        ("returns a batch", "return out.unsqueeze(0)"),
        ("returns the transpose", "return out.T"),
        ("returns one row", "out = out[-1]"),
        ("raises", "raise NotImplementedError('later')"),
        ("misspelt", "out = atention @ V"),
    )
)

UNFINISHED = (
    wrong("blank", MODEL, layers="", forward="", verdict={"submission_log": "any", MODEL: 0}),
    wrong("layers only", MODEL, forward=SEQ_LEN, loses=(*VALUES, "2.5", "2.6"), keeps=("2.1",)),
    wrong("forward only", MODEL, layers="pass", loses=("2.1", *VALUES, "2.5", "2.6")),
    wrong(
        "syntax error in the class",
        MODEL,
        forward="out = (1,\nif",
        like_jupyter=True,
        verdict={"submission_log": "any", MODEL: 0},
    ),
)
