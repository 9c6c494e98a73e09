"""Right ways to compute attention: softmax, products and scale in as many styles as students have."""

from __future__ import annotations

from tests.answers.answer import PLAIN_LAYERS, PLAIN_START, Answer

SCORES = PLAIN_START + "scores = Q @ K.T / math.sqrt(self.d_k)\n"

SOFTMAX_STYLES = (
    Answer("plain"),
    Answer(
        "F.softmax",
        forward=SCORES + "out = F.softmax(scores, dim=1) @ V",
        before_model="import torch.nn.functional as F",
    ),
    Answer("nn.functional", forward=SCORES + "out = nn.functional.softmax(scores, -1).matmul(V)"),
    Answer(
        "nn.Softmax module",
        layers=PLAIN_LAYERS + "self.softmax = nn.Softmax(dim=-1)",
        forward=SCORES + "out = torch.mm(self.softmax(scores), V)",
    ),
    Answer(
        "manual exp and sum",
        forward=SCORES + "e = torch.exp(scores)\nout = (e / e.sum(dim=1, keepdim=True)) @ V",
    ),
    Answer(
        "stable exp",
        forward=SCORES
        + """
scores = scores - scores.max(dim=-1, keepdim=True).values
weights = scores.exp()
weights = weights / torch.sum(weights, -1).unsqueeze(-1)
out = weights @ V
""",
    ),
    Answer(
        "logsumexp", forward=SCORES + "out = torch.exp(scores - torch.logsumexp(scores, 1, keepdim=True)) @ V"
    ),
    Answer("log_softmax", forward=SCORES + "out = torch.log_softmax(scores, -1).exp() @ V"),
    Answer(
        "tensor method",
        forward=SCORES + "attn = scores.softmax(-1)\nself.last = attn.detach()\nout = attn @ V",
    ),
    Answer("softmax of columns", forward=SCORES + "out = torch.softmax(scores.T, dim=0).T @ V"),
)

PRODUCT_STYLES = (
    Answer(
        "einsum",
        forward=PLAIN_START
        + """
scores = torch.einsum('qd,kd->qk', Q, K) / self.d_k ** 0.5
out = torch.einsum('qk,kv->qv', scores.softmax(dim=-1), V)
""",
    ),
    Answer(
        "einops",
        forward="from einops import einsum, rearrange\n"
        + PLAIN_START
        + """
scores = einsum(Q, rearrange(K, 'k d -> d k'), 'q d, d k -> q k') / self.d_k ** 0.5
out = einsum(scores.softmax(dim=-1), V, 'q k, k v -> q v')
""",
    ),
    Answer(
        "bmm",
        forward=PLAIN_START
        + """
Q, K, V = Q.unsqueeze(0), K.unsqueeze(0), V.unsqueeze(0)
scores = torch.bmm(Q, K.transpose(1, 2)) / np.sqrt(self.d_k)
out = torch.bmm(torch.softmax(scores, dim=2), V).squeeze(0)
""",
    ),
    Answer(
        "batched inside",
        forward="""
x = seq if seq.dim() == 3 else seq.unsqueeze(0)
n, seq_len, _ = x.shape
if self.pos is not None:
    x = torch.cat((x, self.pos.weight[:seq_len].expand(n, -1, -1)), dim=2)
scores = self.Qm(x) @ self.Km(x).transpose(-2, -1) * self.d_k ** -0.5
out = (torch.softmax(scores, -1) @ self.Vm(x))[0]
""",
    ),
    Answer(
        "one head of many",
        forward=PLAIN_START
        + """
heads = 1
q = Q.view(seq_len, heads, self.d_k // heads).transpose(0, 1)
k = K.view(seq_len, heads, -1).permute(1, 0, 2)
v = V.reshape(seq_len, heads, -1).movedim(0, 1)
attn = torch.softmax(torch.matmul(q, k.mT) / math.sqrt(k.size(-1)), dim=-1)
out = torch.matmul(attn, v).transpose(0, 1).contiguous().view(seq_len, -1)
""",
    ),
    Answer("sdpa", forward=PLAIN_START + "out = torch.nn.functional.scaled_dot_product_attention(Q, K, V)"),
    Answer(
        "sdpa in a batch",
        forward=PLAIN_START + "q, k, v = (t[None, None] for t in (Q, K, V))\n"
        "out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)[0, 0]",
        before_model="import torch.nn.functional as F\nprint(torch.__version__)",
    ),
    Answer(
        "baddbmm",
        forward=PLAIN_START
        + """
zeros = torch.zeros(1, seq_len, seq_len)
scores = torch.baddbmm(zeros, Q[None], K[None].transpose(1, 2), beta=0, alpha=1 / math.sqrt(self.d_k))
out = (scores.softmax(-1) @ V[None]).squeeze(0)
""",
    ),
    Answer(
        "broadcast and sum",
        forward=PLAIN_START
        + """
scores = (Q[:, None, :] * K[None, :, :]).sum(-1) / math.sqrt(self.d_k)
out = (scores.softmax(-1)[:, :, None] * V[None]).sum(dim=1)
""",
    ),
    Answer(
        "weights by hand",
        forward="""
seq_len = len(seq)
x = seq if self.pos is None else torch.hstack((seq, self.pos.weight[:seq_len]))
K = x @ self.Km.weight.T
Q = torch.nn.functional.linear(x, self.Qm.weight)
V = torch.matmul(x, self.Vm.weight.t())
out = torch.softmax(Q @ K.t() / (K.shape[-1] ** 0.5), dim=-1) @ V
""",
    ),
    Answer(
        "vmap",
        forward=PLAIN_START
        + """
attend = lambda q: torch.softmax(K @ q / math.sqrt(self.d_k), dim=0) @ V
out = torch.vmap(attend)(Q)
""",
    ),
)

_SCALE_CODES = tuple(
    Answer(f"scale: {code}", forward=PLAIN_START + f"out = torch.softmax(Q @ K.T {code}, dim=-1) @ V")
    for code in (
        "/ np.sqrt(self.d_k)",
        "/ torch.sqrt(torch.tensor(self.d_k, dtype=torch.float32))",
        "/ torch.tensor(float(K.size(-1))).sqrt()",
        "* torch.rsqrt(torch.tensor(1.0 * K.shape[1]))",
        "* (self.Km.out_features ** -0.5)",
        "/ pow(self.d_k, 1 / 2)",
    )
)
SCALES = (
    *_SCALE_CODES,
    Answer(
        "scale in the queries",
        forward=PLAIN_START + "Q = Q / math.sqrt(self.d_k)\nout = (Q @ K.T).softmax(-1) @ V",
    ),
    Answer(
        "scale in place",
        forward=PLAIN_START + "s = Q @ K.T\ns /= self.d_k ** 0.5\nout = torch.softmax(s, 1) @ V",
    ),
    Answer(
        "fourth roots",
        forward=PLAIN_START + "r = self.d_k ** 0.25\nout = torch.softmax((Q / r) @ (K / r).T, -1) @ V",
    ),
    Answer(
        "scale in a buffer",
        layers=PLAIN_LAYERS + 'self.register_buffer("scale", torch.tensor(math.sqrt(qk_dim)))',
        forward=PLAIN_START + "out = torch.softmax(Q @ K.T / self.scale, dim=-1) @ V",
    ),
)
