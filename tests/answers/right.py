"""Right models, in as many styles as students have."""

from __future__ import annotations

from dataclasses import replace

from tests.answers.answer import (
    CODE,
    LOOKUP,
    OUT,
    PLAIN_LAYERS,
    PLAIN_START,
    PROJECT,
    SCORES,
    Answer,
    Draft,
    Drafts,
    answers,
    given,
    index,
)

AFTER_SCORES = {
    "nn.functional": "out = nn.functional.softmax(scores, -1).matmul(V)",
    "manual exp and sum": "e = torch.exp(scores)\nout = (e / e.sum(dim=1, keepdim=True)) @ V",
    "stable exp": """
        scores = scores - scores.max(dim=-1, keepdim=True).values
        weights = scores.exp()
        weights = weights / torch.sum(weights, -1).unsqueeze(-1)
        out = weights @ V""",
    "logsumexp": "out = torch.exp(scores - torch.logsumexp(scores, 1, keepdim=True)) @ V",
    "log_softmax": "out = torch.log_softmax(scores, -1).exp() @ V",
    "tensor method": "attn = scores.softmax(-1)\nself.last = attn.detach()\nout = attn @ V",
    "softmax of columns": "out = torch.softmax(scores.T, dim=0).T @ V",
}
SCALES = (
    "/ np.sqrt(self.d_k)",
    "/ torch.sqrt(torch.tensor(self.d_k, dtype=torch.float32))",
    "/ torch.tensor(float(K.size(-1))).sqrt()",
    "* torch.rsqrt(torch.tensor(1.0 * K.shape[1]))",
    "* (self.Km.out_features ** -0.5)",
    "/ pow(self.d_k, 1 / 2)",
)
AFTER_PROJECTIONS = {
    "einsum": """
        scores = torch.einsum('qd,kd->qk', Q, K) / self.d_k ** 0.5
        out = torch.einsum('qk,kv->qv', scores.softmax(dim=-1), V)""",
    "bmm": """
        Q, K, V = Q.unsqueeze(0), K.unsqueeze(0), V.unsqueeze(0)
        scores = torch.bmm(Q, K.transpose(1, 2)) / np.sqrt(self.d_k)
        out = torch.bmm(torch.softmax(scores, dim=2), V).squeeze(0)""",
    "one head of many": """
        heads = 1
        q = Q.view(seq_len, heads, self.d_k // heads).transpose(0, 1)
        k = K.view(seq_len, heads, -1).permute(1, 0, 2)
        v = V.reshape(seq_len, heads, -1).movedim(0, 1)
        attn = torch.softmax(torch.matmul(q, k.mT) / math.sqrt(k.size(-1)), dim=-1)
        out = torch.matmul(attn, v).transpose(0, 1).contiguous().view(seq_len, -1)""",
    "sdpa": "out = torch.nn.functional.scaled_dot_product_attention(Q, K, V)",
    "baddbmm": """
        zeros = torch.zeros(1, seq_len, seq_len)
        scores = torch.baddbmm(zeros, Q[None], K[None].transpose(1, 2), beta=0, alpha=1 / math.sqrt(self.d_k))
        out = (scores.softmax(-1) @ V[None]).squeeze(0)""",
    "broadcast and sum": """
        scores = (Q[:, None, :] * K[None, :, :]).sum(-1) / math.sqrt(self.d_k)
        out = (scores.softmax(-1)[:, :, None] * V[None]).sum(dim=1)""",
    "column by column": """
        scores = sum(Q[:, d : d + 1] * K[:, d] for d in range(self.d_k)) / math.sqrt(self.d_k)
        weights = scores.softmax(-1)
        out = torch.stack([weights @ V[:, column] for column in range(V.shape[1])], dim=1)""",
    "vmap": """
        attend = lambda q: torch.softmax(K @ q / math.sqrt(self.d_k), dim=0) @ V
        out = torch.vmap(attend)(Q)""",
    "scale in the queries": "Q = Q / math.sqrt(self.d_k)\nout = (Q @ K.T).softmax(-1) @ V",
    "scale in place": "s = Q @ K.T\ns /= self.d_k ** 0.5\nout = torch.softmax(s, 1) @ V",
    "fourth roots": "r = self.d_k ** 0.25\nout = torch.softmax((Q / r) @ (K / r).T, -1) @ V",
    "lambda inside": """
        softmax = lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)
        out = softmax(Q @ K.T / math.sqrt(self.d_k)) @ V""",
    "nested function": """
        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1) @ v
        out = attend(Q, K, v=V)""",
    "walrus": """
        if (n := K.shape[1]) and (scores := Q @ K.T / n ** 0.5) is not None:
            out = (attn := scores.softmax(-1)) @ V""",
    "generics": """
        qkv: Tuple[TensorFloat, TensorFloat, TensorFloat] = (Q, K, V)
        weights: "Optional[torch.Tensor]" = torch.softmax(qkv[0] @ qkv[1].T / math.sqrt(self.d_k), dim=-1)
        out: TensorFloat = weights @ qkv[2]""",
    "checks and prints": f"""
        for name, t in (("Q", Q), ("K", K), ("V", V)):
            assert t.dim() == 2 and t.shape[0] == seq_len, f"{{name}}: {{t.shape}}"
        print("shapes", [tuple(t.shape) for t in (Q, K, V)])
        {OUT}        assert torch.isfinite(out).all()""",
    "float64 inside": """
        Q, K, V = Q.double(), K.double(), V.double()
        out = (torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V).float()""",
    "float64 out": f"Q, K, V = (t.to(torch.float64) for t in (Q, K, V))\n{OUT}",
    "early return": "return torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V",
    "a try around it": f"""
        try:
            {OUT}        except RuntimeError as error:
            print("shapes", Q.shape, K.shape, V.shape)
            raise error""",
}
WHOLE_FORWARDS = {
    "einops": f"""
from einops import einsum, rearrange
{PLAIN_START}
scores = einsum(Q, rearrange(K, 'k d -> d k'), 'q d, d k -> q k') / self.d_k ** 0.5
out = einsum(scores.softmax(dim=-1), V, 'q k, k v -> q v')""",
    "batched inside": """
        x = seq if seq.dim() == 3 else seq.unsqueeze(0)
        n, seq_len, _ = x.shape
        if self.pos is not None:
            x = torch.cat((x, self.pos.weight[:seq_len].expand(n, -1, -1)), dim=2)
        scores = self.Qm(x) @ self.Km(x).transpose(-2, -1) * self.d_k ** -0.5
        out = (torch.softmax(scores, -1) @ self.Vm(x))[0]""",
    "weights by hand": """
        seq_len = len(seq)
        x = seq if self.pos is None else torch.hstack((seq, self.pos.weight[:seq_len]))
        K = x @ self.Km.weight.T
        Q = torch.nn.functional.linear(x, self.Qm.weight)
        V = torch.matmul(x, self.Vm.weight.t())
        out = torch.softmax(Q @ K.t() / (K.shape[-1] ** 0.5), dim=-1) @ V""",
}
LOOKUPS = {
    "slice": "seq = torch.cat([seq, self.pos.weight[:seq_len, :]], 1)",
    "arange on the device": """
        seq = torch.cat([seq, self.pos(torch.arange(0, seq.size(0), device=seq.device))], dim=-1)""",
    "F.embedding": """
        seq = torch.concat([seq, nn.functional.embedding(torch.arange(seq_len), self.pos.weight)], 1)""",
    "LongTensor of a range": """
        seq = torch.cat([seq, self.pos(torch.LongTensor(list(range(seq_len))))], dim=1)""",
    "indices in a comprehension": """
        seq = torch.cat([seq, self.pos(torch.tensor([i for i in range(seq_len)]))], dim=1)""",
    "token by token": "seq = torch.stack([torch.cat([seq[i], self.pos.weight[i]]) for i in range(seq_len)])",
    "narrow": "seq = torch.column_stack((seq, self.pos.weight.narrow(0, 0, seq_len)))",
    "index_select": "seq = torch.cat((seq, self.pos.weight.index_select(0, torch.arange(seq_len))), dim=-1)",
    "one-hots times weight": """
        seq = torch.cat((seq, torch.eye(seq_len, self._max_seq_len) @ self.pos.weight), dim=-1)""",
    "batched and expanded": """
        seq = torch.cat([seq[None], self.pos.weight[None, :seq_len].expand(1, -1, -1)], 2).squeeze(0)""",
}
BEFORE_PROJECTIONS = {
    "pos: into a new tensor": """
        seq_len, d = seq.shape
        if self.pos is not None:
            wide = torch.zeros(seq_len, d + self.pos.embedding_dim)
            wide[:, :d] = seq
            wide[:, d:] = self.pos.weight[:seq_len]
            seq = wide""",
    "comments and blanks": """
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
            )""",
}
BEFORE_OUT = {
    "projections in a comprehension": """
        seq_len: int = seq.size(0)
        if self.pos is not None:
            seq = torch.cat([seq, self.pos(torch.arange(seq_len))], dim=-1)
        Q, K, V = [layer(seq) for layer in (self.Qm, self.Km, self.Vm)]""",
    "projections in a loop": """
        seq_len = seq.shape[0]
        parts = [seq]
        if self.pos is not None:
            parts.append(self.pos.weight[:seq_len])
        x = torch.cat(parts, dim=-1)
        projected = {}
        for name in ("Qm", "Km", "Vm"):
            projected[name] = getattr(self, name)(x)
        Q, K, V = projected["Qm"], projected["Km"], projected["Vm"]""",
}
LAYERS = {
    "V, Q, K": """
        self.Vm = nn.Linear(total_input_dim, v_dim, bias=False)
        self.Qm = nn.Linear(total_input_dim, qk_dim, bias=False)
        self.Km = nn.Linear(total_input_dim, qk_dim, bias=False)""",
    "in a loop": """
        for name, width in {"Qm": qk_dim, "Km": qk_dim, "Vm": v_dim}.items():
            setattr(self, name, nn.Linear(in_features=total_input_dim, out_features=width, bias=False))""",
    "three at once": """
self.Km, self.Qm, self.Vm = (nn.Linear(total_input_dim, d, False) for d in (qk_dim, qk_dim, v_dim))""",
    "xavier": PLAIN_LAYERS
    + """
for layer in [self.Km, self.Qm, self.Vm]:
    nn.init.xavier_uniform_(layer.weight)""",
    "lazy": """
        self.Km = nn.LazyLinear(qk_dim, bias=False)
        self.Qm = nn.LazyLinear(qk_dim, bias=False)
        self.Vm = nn.LazyLinear(v_dim, bias=False)""",
    "seeded": "torch.manual_seed(3)\n" + PLAIN_LAYERS,
}
LAYERS_AND_FORWARD = (
    Answer(
        "nn.Softmax module",
        PLAIN_LAYERS + "self.softmax = nn.Softmax(dim=-1)",
        SCORES + "out = torch.mm(self.softmax(scores), V)",
    ),
    Answer(
        "scale in a buffer",
        PLAIN_LAYERS + 'self.register_buffer("scale", torch.tensor(math.sqrt(qk_dim)))',
        PLAIN_START + "out = torch.softmax(Q @ K.T / self.scale, dim=-1) @ V",
    ),
    Answer(
        "pos: ids in a buffer",
        PLAIN_LAYERS + 'self.register_buffer("ids", torch.arange(max_seq_len), persistent=False)',
        LOOKUP.replace(CODE, "seq = torch.cat([seq, self.pos(self.ids[:seq_len])], dim=-1)"),
    ),
    Answer(
        "pos: ids made once and kept",
        PLAIN_LAYERS + "self.ids = None",
        LOOKUP.replace(
            CODE,
            "self.ids = torch.arange(self._max_seq_len) if self.ids is None else self.ids\n"
            "    seq = torch.cat([seq, self.pos(self.ids[:seq_len])], dim=-1)",
        ),
    ),
    Answer(
        "layers: weightless beside them",
        PLAIN_LAYERS
        + "self.dropout = nn.Dropout(p=0.0)\n"
        + "self.attention = nn.Sequential(nn.Softmax(dim=-1), nn.Identity())\n"
        + "self.norms: List[float] = []",
        SCORES + "out = self.dropout(self.attention(scores)) @ V",
    ),
)
HELPERS = {
    "helper function": (
        '''
def attend(Q, K, V):
    """Attention of all queries at once."""
    return torch.softmax(Q @ K.T / math.sqrt(K.shape[1]), dim=-1) @ V
''',
        "out = attend(Q, K, V)",
    ),
    "helper lambdas and a constant": (
        "HALF = 0.5\n"
        "soft = lambda s: torch.softmax(s, dim=-1)\n"
        "scaled = lambda q, k: q @ k.T / k.size(1) ** HALF",
        "out = soft(scaled(Q, K)) @ V",
    ),
    "names imported": (
        "from math import sqrt\n"
        "from torch import softmax as sm, Tensor\n"
        "from torch.nn import functional as tnf",
        "scores: Tensor = Q @ K.T / sqrt(self.d_k)\nout = sm(scores, dim=-1) @ V",
    ),
    "a name that the hints take over": ("from torch.nn.functional import softmax", OUT.replace("torch.", "")),
    "a helper that the hints take over": (
        "def softmax(x):\n    e = torch.exp(x)\n    return e / e.sum(-1, keepdim=True)",
        "out = softmax(Q @ K.T / math.sqrt(self.d_k)) @ V",
    ),
}
REWRITES = {
    "whole rewrite": """
        class PytorchTransformer(nn.Module):
            def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
                super(PytorchTransformer, self).__init__()
                self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
                d = input_dim if pos_dim is None else input_dim + pos_dim
                self.Km = nn.Linear(d, qk_dim, bias=False)
                self.Qm = nn.Linear(d, qk_dim, bias=False)
                self.Vm = nn.Linear(d, v_dim, bias=False)

            def forward(self, seq: torch.Tensor, return_weights: bool = False) -> torch.Tensor:
                n = seq.shape[0]
                if self.pos is not None:
                    seq = torch.cat([seq, self.pos.weight[:n]], dim=-1)
                q, k, v = self.Qm(seq), self.Km(seq), self.Vm(seq)
                w = torch.softmax(q @ k.T / k.shape[-1] ** 0.5, dim=-1)
                return (w @ v, w) if return_weights else w @ v
""",
    "helper methods": """
class PytorchTransformer(nn.Module):
    SCALED: bool = True

    def __init__(self, input_dim: int, qk_dim: int, v_dim: int, pos_dim: int | None = None, max_seq_len=10):
        super().__init__()
        self.pos = self._embedding(max_seq_len, pos_dim)
        total = input_dim + (pos_dim or 0)
        self.Qm, self.Km = (nn.Linear(total, qk_dim, bias=False) for _ in range(2))
        self.Vm = nn.Linear(total, v_dim, bias=False)

    @staticmethod
    def _embedding(rows, width):
        return nn.Embedding(rows, width) if width is not None else None

    @property
    def scale(self) -> float:
        return math.sqrt(self.Km.out_features)

    def _with_positions(self, seq):
        return seq if self.pos is None else torch.cat([seq, self.pos(torch.arange(len(seq)))], -1)

    def attention(self, x):
        scores = self.Qm(x) @ self.Km(x).T / self.scale
        return scores.softmax(dim=-1)

    def forward(self, seq):
        x = self._with_positions(seq)
        return self.attention(x) @ self.Vm(x)
""",
    "base class and attention module": """
        class Projections(nn.Module):
            def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
                super().__init__()
                self.pos = nn.Embedding(max_seq_len, pos_dim) if pos_dim is not None else None
                total = input_dim + (pos_dim or 0)
                self.Km = nn.Linear(total, qk_dim, bias=False)
                self.Qm = nn.Linear(total, qk_dim, bias=False)
                self.Vm = nn.Linear(total, v_dim, bias=False)


        class Attention(nn.Module):
            def forward(self, q, k, v):
                return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.size(-1)), dim=-1) @ v


        class PytorchTransformer(Projections):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.attend = Attention()

            def forward(self, seq):
                if self.pos is not None:
                    seq = torch.cat([seq, self.pos.weight[: len(seq)]], dim=1)
                return self.attend(self.Qm(seq), self.Km(seq), self.Vm(seq))
""",
}
NUMPY_CLASS = given()[2].source.partition("class PytorchTransformer")[0]
PATCH = """
def forward(self, seq):
    seq_len = len(seq)
    if self.pos is not None:
        seq = torch.cat([seq, self.pos.weight[:seq_len]], dim=-1)
    Q, K, V = self.Qm(seq), self.Km(seq), self.Vm(seq)
    return torch.softmax(Q @ K.T / math.sqrt(self.d_k), dim=-1) @ V


PytorchTransformer.forward = forward
test()
"""


def _patched_later(drafts: Drafts) -> Drafts:
    at = index(drafts, "model") + 1
    return [*drafts[:at], Draft("patch", PATCH), *drafts[at:]]


def _first_try_before(drafts: Drafts) -> Drafts:
    """A first class that was wrong, run, and left standing above the second."""
    at = index(drafts, "model")
    first = drafts[at].source.replace("/ math.sqrt(self.d_k)", "").replace("self.Vm(seq)", "self.Vm(seq) * 2")
    return [*drafts[:at], Draft("first try", first), *drafts[at:]]


def _split(drafts: Drafts) -> Drafts:
    """The model's cell cut in three: NumPy class, PyTorch class, test."""
    at = index(drafts, "model")
    head, _, tail = drafts[at].source.partition("class PytorchTransformer")
    parts = [head, "class PytorchTransformer" + tail.rpartition("test()")[0], "test()\n"]
    cells = [replace(drafts[at], name=f"model {i}", source=source) for i, source in enumerate(parts)]
    return [*drafts[:at], *cells, *drafts[at + 1 :]]


RIGHT_MODELS = (
    Answer("plain"),
    *answers(AFTER_SCORES, forward=SCORES + CODE),
    *answers(AFTER_PROJECTIONS, forward=PLAIN_START + CODE),
    *answers(
        {scale: scale for scale in SCALES},
        "scale: ",
        forward=PLAIN_START + f"out = torch.softmax(Q @ K.T {CODE}, dim=-1) @ V",
    ),
    *answers(WHOLE_FORWARDS, forward=CODE),
    *answers({name: code.strip() for name, code in LOOKUPS.items()}, "pos: ", forward=LOOKUP),
    *answers(BEFORE_PROJECTIONS, forward=f"{CODE}\n{PROJECT}{OUT}"),
    *answers(BEFORE_OUT, "layers: ", forward=f"{CODE}\n{OUT}"),
    *answers(LAYERS, "layers: ", layers=CODE),
    *LAYERS_AND_FORWARD,
    Answer(
        "F.softmax",
        forward=SCORES + "out = F.softmax(scores, dim=1) @ V",
        before_model="import torch.nn.functional as F",
    ),
    Answer(
        "sdpa in a batch",
        forward=PLAIN_START + "q, k, v = (t[None, None] for t in (Q, K, V))\n"
        "out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)[0, 0]",
        before_model="import torch.nn.functional as F\nprint(torch.__version__)",
    ),
    Answer(
        "float64 by default",
        forward="seq = seq.to(self.Km.weight.dtype)\n" + PLAIN_START + OUT,
        before_model="torch.set_default_dtype(torch.float64)",
        needs_notebook=True,
    ),
    *(
        Answer(name, forward=PLAIN_START + use, before_model=helper, needs_notebook=True)
        for name, (helper, use) in HELPERS.items()
    ),
    *(
        replace(answer, needs_notebook=answer.name != "whole rewrite")
        for answer in answers(REWRITES, model=f"{NUMPY_CLASS}{CODE}\n\ntest()\n")
    ),
    Answer("forward patched in later", forward="out = seq\nseq_len = 0", arrange=_patched_later),
    Answer("class defined twice", arrange=_first_try_before),
    Answer("model cell split", arrange=_split),
    Answer(
        "gradients switched off at the end",
        arrange=lambda drafts: [*drafts, Draft("end", "torch.set_grad_enabled(False)")],
    ),
)
