"""The known mistakes of a model, one row each: what it is, what to do, and what is computed instead.

Each row stands under the choice in which it is made; within a choice, rows and their variants stand by how
often students fall into them: of two explanations that fit equally well, the earlier one is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import numpy as np

from reference.transformer import BoolArray, FloatArray


class Choice(Enum):
    """Where a mistake can be made. The value is its column of a combination; beside it, what a formula does.

    n: rows of the projections' input, which is longer than the sequence if that is padded.
    """

    POSITIONS = 0  # seq, rows = pos[:n], pos: the parts of the input; unequal lengths: PyTorch would raise
    WEIGHTS = 1  # what is done to a layer's weight, and to which layers'
    ROLES = 2  # left factor of the scores, right factor, what the attention weights multiply
    SCALE = 3  # sizes, n: the factors of the scores and of the attention weights
    SOFTMAX = 4  # scores: attention weights
    MASK = 5  # n: the factor of the scores, the keys hidden by -inf, the factor of the attention weights
    VALUES = 6  # what the attention weights multiply; "": what the roles say
    RESIDUAL = 7  # what is added to the output; "": nothing
    OUTPUT = 8  # outputs: what forward returns


@dataclass(frozen=True, eq=False)
class Mistake:
    """what: the mistake in a sentence without its full stop, which is its name as well. do: how to mend it.

    variants: by key, each with its formula, whose form `Choice` gives; likelier ones first. common: the keys
    of those that take part in combinations of three.
    """

    what: str
    do: str
    variants: Mapping[str, Any] = field(default_factory=dict)
    common: frozenset[str] = frozenset()


# --- What the formulas share. ---


def softmax(scores: FloatArray, axis: int | None = -1) -> FloatArray:
    """The softmax over an axis; NaN where a whole row is hidden."""
    shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=axis, keepdims=True))


def _widened(part: FloatArray, other: FloatArray) -> FloatArray:
    return np.pad(part, ((0, 0), (0, other.shape[1])))


def _sum(seq: FloatArray, rows: FloatArray) -> FloatArray:
    return seq + rows if rows.shape == seq.shape else seq[:0]


def _padded(seq: FloatArray, pos: FloatArray) -> FloatArray:
    return np.pad(seq, ((0, len(pos) - len(seq)), (0, 0)))


def _sinusoids(rows: FloatArray) -> FloatArray:
    """Sine in the even columns, cosine in the odd ones, wavelengths from 2 pi to 10000 * 2 pi."""
    column = np.arange(rows.shape[1])
    angle = np.arange(len(rows))[:, None] / 10000.0 ** (2 * (column // 2) / len(column))
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle))


def _later(n: int) -> BoolArray:
    return np.triu(np.ones((n, n), dtype=bool), k=1)


def _read(table: str, formulas: Mapping[str, Any]) -> tuple[Mistake, ...]:
    """What is right, and the mistakes of a table of two lines each: "common; keys | rare; keys: what", do."""
    lines = [line.strip() for line in table.strip().splitlines()]
    mistakes = [Mistake("", "", {"right": formulas["right"]})]
    for line, do in zip(lines[::2], lines[1::2], strict=True):
        keys, _, what = line.partition(": ")
        common, rare = ([key.strip() for key in part.split(";") if key] for part in f"{keys}|".split("|")[:2])
        variants = {key: formulas[key] for key in filter(None, (*common, *rare))}
        mistakes.append(Mistake(what, do, variants, frozenset(common)))
    return tuple(mistakes)


BIAS: Final = Mistake(
    "The layers have biases",
    "In __init__, give bias=False to each nn.Linear: Km, Qm and Vm are linear maps without bias.",
)
"""It is known from the layers alone: nobody knows the numbers."""

MISTAKES: Final[Mapping[Choice, tuple[Mistake, ...]]] = {
    Choice.POSITIONS: _read(
        """
        prepended: The positions stand in front of the input
          In forward, put seq first where you join the two: torch.cat([seq, positions], dim=-1).
        ignored: The positions have no effect on your output
          In forward, when self.pos is not None, append its first seq_len rows to the right of seq.
        | added; added and appended; input and sum: The positions are added to the input
          In forward, append them instead, torch.cat([seq, positions], dim=-1).
        shifted | last rows: Your tokens get the wrong rows of pos
          In forward, give token i row i, thus rows 0 to seq_len - 1: torch.arange(seq_len).
        reversed | reversed table: The positions come in reverse order
          In forward, take the rows of pos from the first on: token 0 gets row 0, token 1 row 1.
        | first row; row seq_len - 1; row seq_len: All tokens get the same row of pos
          In forward, look up one row per token: self.pos(torch.arange(seq_len)).
        | beyond; padded, cropped; padded: Rows of pos beyond seq_len take part
          In forward, use its first seq_len rows alone, self.pos.weight[:seq_len], and do not pad seq.
        | sinusoidal: Your positions are computed from sines and cosines
          In forward, use the rows of self.pos: the assignment sets them by hand.
        """,
        {
            "right": lambda seq, rows, pos: (seq, rows),
            "prepended": lambda seq, rows, pos: (rows, seq),
            "ignored": lambda seq, rows, pos: (seq, 0 * rows),
            "added": lambda seq, rows, pos: (_widened(seq, rows) + _widened(rows, seq),),
            "added and appended": lambda seq, rows, pos: (_sum(seq, rows), rows),
            "input and sum": lambda seq, rows, pos: (seq, _sum(seq, rows)),
            "shifted": lambda seq, rows, pos: (seq, pos[1 : len(seq) + 1]),
            "last rows": lambda seq, rows, pos: (seq, pos[len(pos) - len(seq) :]),
            "reversed": lambda seq, rows, pos: (seq, rows[::-1]),
            "reversed table": lambda seq, rows, pos: (seq, pos[::-1][: len(seq)]),
            "first row": lambda seq, rows, pos: (seq, np.repeat(pos[:1], len(seq), axis=0)),
            "row seq_len - 1": lambda seq, rows, pos: (seq, np.repeat(rows[-1:], len(seq), axis=0)),
            "row seq_len": lambda seq, rows, pos: (seq, np.repeat(pos[len(seq) :][:1], len(seq), axis=0)),
            "beyond": lambda seq, rows, pos: (seq, pos[len(seq) : 2 * len(seq)]),
            "padded, cropped": lambda seq, rows, pos: (_padded(seq, pos), pos),
            "padded": lambda seq, rows, pos: (_padded(seq, pos), pos),
            "sinusoidal": lambda seq, rows, pos: (seq, _sinusoids(rows)),
        },
    ),
    Choice.WEIGHTS: _read(
        """
        | transposed KQV; transposed KQ; transposed V; transposed K; transposed Q: A weight is used transposed
          In forward, call the layer, self.Km(seq): nn.Linear keeps its weight as (out, in).
        | reshaped KQV: The weights are reshaped where they need a transpose, which mixes the numbers up
          In forward, call the layer, self.Km(seq), or multiply by self.Km.weight.T.
        """,
        {
            "right": (np.transpose, ""),
            **{f"transposed {names}": (np.transpose, names) for names in ("KQV", "KQ", "V", "K", "Q")},
            "reshaped KQV": (lambda matrix: matrix.T.reshape(matrix.shape), "KQV"),
        },
    ),
    Choice.ROLES: _read(
        """
        KQV: Queries and keys are swapped in the scores: you compute K @ Q.T
          In forward, each row belongs to a query: use Q @ K.T.
        QQV: The scores are made of the queries alone: Q @ Q.T
          In forward, multiply the queries by the keys, Q @ K.T; the keys come from self.Km.
        KKV: The scores are made of the keys alone: K @ K.T
          In forward, multiply the queries by the keys, Q @ K.T; the queries come from self.Qm.
        | QVK: Keys and values are exchanged
          In forward, check the order of Q, K and V: the softmax of the scaled Q @ K.T multiplies V.
        | VKQ: Queries and values are exchanged
          In forward, check the order of Q, K and V: the softmax of the scaled Q @ K.T multiplies V.
        | QVV; VKV; VVV: The values take part in the scores
          In forward, the scores are Q @ K.T; V comes in only after the softmax.
        """,
        {"right": "QKV"}
        | {roles: roles for roles in ("KQV", "QQV", "KKV", "QVK", "VKQ", "QVV", "VKV", "VVV")},
    ),
    Choice.SCALE: _read(
        """
        none: The scores are not scaled
          In forward, divide Q @ K.T by the square root of qk_dim before the softmax.
        qk_dim: The scores are divided by qk_dim (or twice by its square root)
          In forward, divide once, by the square root of qk_dim.
        sqrt v_dim: The scores are divided by the square root of v_dim
          In forward, use qk_dim, the width of the queries and keys.
        sqrt total_dim: The scores are divided by the square root of input_dim + pos_dim
          In forward, use qk_dim, the width of the queries and keys.
        sqrt input_dim: The scores are divided by the square root of input_dim
          In forward, use qk_dim, the width of the queries and keys.
        sqrt seq_len: The scores are divided by the square root of seq_len
          In forward, use qk_dim, the width of the queries and keys: Q.shape[-1], not Q.shape[0].
        multiplied | multiplied by qk_dim: The scores are multiplied where they should be divided
          In forward, divide Q @ K.T by the square root of qk_dim.
        after: The scale comes after the softmax
          In forward, divide the scores by the square root of qk_dim first, then take the softmax.
        | both: The scale is applied twice, before and after the softmax
          In forward, keep the division of the scores and remove the one after the softmax.
        | v_dim; total_dim; input_dim; seq_len; sqrt max_seq_len: The scores are divided by another size
          In forward, look at what you divide Q @ K.T by: math.sqrt(qk_dim) is expected.
        """,
        {
            "right": lambda s, n: (s.qk_dim**-0.5, 1),
            "none": lambda s, n: (1, 1),
            "qk_dim": lambda s, n: (1 / s.qk_dim, 1),
            "sqrt v_dim": lambda s, n: (s.v_dim**-0.5, 1),
            "sqrt total_dim": lambda s, n: (s.total_dim**-0.5, 1),
            "sqrt input_dim": lambda s, n: (s.input_dim**-0.5, 1),
            "sqrt seq_len": lambda s, n: (n**-0.5, 1),
            "multiplied": lambda s, n: (s.qk_dim**0.5, 1),
            "multiplied by qk_dim": lambda s, n: (s.qk_dim, 1),
            "after": lambda s, n: (1, s.qk_dim**-0.5),
            "both": lambda s, n: (s.qk_dim**-0.5, s.qk_dim**-0.5),
            "v_dim": lambda s, n: (1 / s.v_dim, 1),
            "total_dim": lambda s, n: (1 / s.total_dim, 1),
            "input_dim": lambda s, n: (1 / s.input_dim, 1),
            "seq_len": lambda s, n: (1 / n, 1),
            "sqrt max_seq_len": lambda s, n: (s.max_seq_len**-0.5, 1),
        },
    ),
    Choice.SOFTMAX: _read(
        """
        queries: The softmax runs over the queries
          In forward, let it run over the keys: dim=-1, so that each query's weights sum to 1.
        all: One softmax runs over all scores at once
          In forward, take it for each query over its keys: dim=-1, without flattening.
        none: There is no softmax
          In forward, take softmax(scores, dim=-1) of the scaled scores before you multiply by V.
        exp: The exponentials are not divided by their sum
          In forward, divide each row by its sum, or use softmax(scores, dim=-1).
        log: The attention weights are logarithms: log_softmax is used
          In forward, use softmax.
        misaligned: The exponentials of one query are divided by the sums of others
          In forward, keep the sums in their rows: sum(dim=-1, keepdim=True).
        | linear: The scores are divided by their sum without the exponential
          In forward, take exp of the scores first, or use softmax(scores, dim=-1).
        | twice: The softmax is taken twice
          In forward, take it once, of the scaled scores.
        | of output: The softmax comes after the values
          In forward, take the softmax of the scores first, then multiply by V; mind the brackets.
        | sigmoid: A sigmoid stands where the softmax belongs
          In forward, use softmax(scores, dim=-1).
        | negated: The scores have the wrong sign in the softmax
          In forward, take the softmax of Q @ K.T / sqrt(qk_dim) without a minus (softmin negates).
        | argmax: Each query takes the one key with the largest score
          In forward, weigh all keys with softmax(scores, dim=-1).
        """,
        {
            "right": softmax,
            "queries": lambda scores: softmax(scores, -2),
            "all": lambda scores: softmax(scores, None),
            "none": lambda scores: scores,
            "exp": np.exp,
            "log": lambda scores: np.log(softmax(scores)),
            "misaligned": lambda scores: np.exp(scores) / np.exp(scores).sum(axis=-1),  # along the columns
            "linear": lambda scores: scores / scores.sum(axis=-1, keepdims=True),
            "twice": lambda scores: softmax(softmax(scores)),
            "of output": lambda scores: scores,
            "sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
            "negated": lambda scores: softmax(-scores),
            "argmax": lambda scores: np.eye(scores.shape[-1])[scores.argmax(axis=-1)],
        },
    ),
    Choice.MASK: _read(
        """
        causal | causal, after; causal, zeros: A causal mask hides the tokens that come later
          In forward, remove the mask (is_causal, tril, triu): every token attends to all tokens.
        | only later; not itself: A mask hides some of the tokens
          In forward, remove it: every token attends to all tokens, itself included.
        """,
        {
            "right": lambda n: (1, False, 1),
            "causal": lambda n: (1, _later(n), 1),
            "causal, after": lambda n: (1, False, ~_later(n)),
            "causal, zeros": lambda n: (~_later(n), False, 1),
            "only later": lambda n: (1, _later(n).T, 1),
            "not itself": lambda n: (1, np.eye(n, dtype=bool), 1),
        },
    ),
    Choice.VALUES: _read(
        """
        x | seq: The attention weights multiply the input itself
          In forward, project it first: V = self.Vm(seq), then multiply by V.
        K: The attention weights multiply the keys
          In forward, multiply them by the values, self.Vm(seq).
        Q: The attention weights multiply the queries
          In forward, multiply them by the values, self.Vm(seq).
        """,
        {"right": "", "x": "x", "seq": "seq", "K": "K", "Q": "Q"},
    ),
    Choice.RESIDUAL: _read(
        """
        seq; V | x; Q: Something is added to the output, as in a residual connection
          In forward, return the attention weights times the values and add nothing.
        """,
        {"right": "", "seq": "seq", "V": "V", "x": "x", "Q": "Q"},
    ),
    Choice.OUTPUT: _read(
        """
        transposed: The output is transposed
          At the end of forward, return it as (seq_len, v_dim), one row per token.
        flattened | flattened by column: The output is flattened
          At the end of forward, return it as (seq_len, v_dim), one row per token.
        | reshaped: The output is reshaped, which mixes the tokens' numbers up
          At the end of forward, return it as (seq_len, v_dim), without view or reshape.
        | squeezed: The output loses a dimension where seq_len or v_dim is 1
          At the end of forward, return (seq_len, v_dim) at every size: no squeeze() without a dimension.
        | batched: The output has a batch dimension
          At the end of forward, drop it (squeeze(0)) and return (seq_len, v_dim).
        | sum; mean; first; last: The output is reduced to a single row
          At the end of forward, return one row per token, without sum, mean or an index.
        """,
        {
            "right": lambda out: out,
            "transposed": lambda out: out.T,
            "flattened": lambda out: out.reshape(-1),
            "flattened by column": lambda out: out.T.reshape(-1),
            "reshaped": lambda out: out.reshape(out.shape[::-1]),
            "squeezed": np.squeeze,
            "batched": lambda out: out[None],
            "sum": lambda out: out.sum(axis=0),
            "mean": lambda out: out.mean(axis=0),
            "first": lambda out: out[0],
            "last": lambda out: out[-1],
        },
    ),
}
