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
import numpy.typing as npt

from autograder.sandbox.calls import FloatArray

BoolArray = npt.NDArray[np.bool_]


class Choice(Enum):
    """Where a mistake can be made. The value is its column of a combination; beside it, what a formula does.

    n: rows of the projections' input, which is longer than the sequence if that is padded. Scores and
    outputs come in a stack: (combinations, queries, keys), (combinations, n, width).
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

    common, rare: its variants by key, each with its formula, whose form `Choice` gives; rare ones take no
    part in combinations of three.
    """

    what: str
    do: str
    common: Mapping[str, Any] = field(default_factory=dict)
    rare: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variants(self) -> dict[str, Any]:
        """All formulas by key, likelier ones first."""
        return {**self.common, **self.rare}


# --- What the formulas share. ---


def softmax(scores: FloatArray, axis: int | tuple[int, ...] = -1) -> FloatArray:
    """The softmax over an axis; NaN where a whole row is hidden."""
    shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=axis, keepdims=True))


def _log_softmax(scores: FloatArray) -> FloatArray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _misaligned(scores: FloatArray) -> FloatArray:
    """exp(scores) / exp(scores).sum(-1), the sums of the rows broadcast along the columns."""
    powers = np.exp(scores)
    return np.asarray(powers / powers.sum(axis=-1)[:, None, :])


def _widened(part: FloatArray, other: FloatArray) -> FloatArray:
    return np.pad(part, ((0, 0), (0, other.shape[1])))


def _sum(seq: FloatArray, rows: FloatArray) -> FloatArray:
    return seq + rows if rows.shape == seq.shape else seq[:0]


def _row(pos: FloatArray, index: int, n: int) -> FloatArray:
    return np.repeat(pos[index : index + 1], n, axis=0)


def _padded(seq: FloatArray, pos: FloatArray) -> FloatArray:
    return np.pad(seq, ((0, len(pos) - len(seq)), (0, 0)))


def _sinusoids(rows: FloatArray) -> FloatArray:
    """Sine in the even columns, cosine in the odd ones, wavelengths from 2 pi to 10000 * 2 pi."""
    column = np.arange(rows.shape[1])
    angle = np.arange(len(rows))[:, None] / 10000.0 ** (2 * (column // 2) / len(column))
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle))


def _transposed(matrix: FloatArray) -> FloatArray:
    return matrix.T


def _reshaped(matrix: FloatArray) -> FloatArray:
    return matrix.T.reshape(matrix.shape)


def _later(n: int) -> BoolArray:
    return np.triu(np.ones((n, n), dtype=bool), k=1)


def _squeezed(out: FloatArray) -> FloatArray:
    return out.reshape(len(out), *(size for size in out.shape[1:] if size != 1))


def _right(formula: Any) -> Mistake:
    """What the assignment asks for: the first entry of each choice."""
    return Mistake("", "", {"right": formula})


BIAS: Final = Mistake(
    "The layers have biases",
    "In __init__, give bias=False to each nn.Linear: Km, Qm and Vm are linear maps without bias.",
)
"""It is known from the layers alone: nobody knows the numbers."""

MISTAKES: Final[Mapping[Choice, tuple[Mistake, ...]]] = {
    Choice.POSITIONS: (
        _right(lambda seq, rows, pos: (seq, rows)),
        Mistake(
            "The positions stand in front of the input",
            "In forward, put seq first where you join the two: torch.cat([seq, positions], dim=-1).",
            common={"prepended": lambda seq, rows, pos: (rows, seq)},
        ),
        Mistake(
            "The positions have no effect on your output",
            "In forward, when self.pos is not None, append its first seq_len rows to the right of seq.",
            common={"ignored": lambda seq, rows, pos: (seq, 0 * rows)},
        ),
        Mistake(
            "The positions are added to the input",
            "In forward, append them instead, torch.cat([seq, positions], dim=-1).",
            rare={
                "added": lambda seq, rows, pos: (_widened(seq, rows) + _widened(rows, seq),),
                "added and appended": lambda seq, rows, pos: (_sum(seq, rows), rows),
                "input and sum": lambda seq, rows, pos: (seq, _sum(seq, rows)),
            },
        ),
        Mistake(
            "Your tokens get the wrong rows of pos",
            "In forward, give token i row i, thus rows 0 to seq_len - 1: torch.arange(seq_len).",
            common={"shifted": lambda seq, rows, pos: (seq, pos[1 : len(seq) + 1])},
            rare={"last rows": lambda seq, rows, pos: (seq, pos[len(pos) - len(seq) :])},
        ),
        Mistake(
            "The positions come in reverse order",
            "In forward, take the rows of pos from the first on: token 0 gets row 0, token 1 row 1.",
            common={"reversed": lambda seq, rows, pos: (seq, rows[::-1])},
            rare={"reversed table": lambda seq, rows, pos: (seq, pos[::-1][: len(seq)])},
        ),
        Mistake(
            "All tokens get the same row of pos",
            "In forward, look up one row per token: self.pos(torch.arange(seq_len)).",
            rare={
                "first row": lambda seq, rows, pos: (seq, _row(pos, 0, len(seq))),
                "row seq_len - 1": lambda seq, rows, pos: (seq, _row(pos, len(seq) - 1, len(seq))),
                "row seq_len": lambda seq, rows, pos: (seq, _row(pos, len(seq), len(seq))),
            },
        ),
        Mistake(
            "Rows of pos beyond seq_len take part",
            "In forward, use its first seq_len rows alone, self.pos.weight[:seq_len], and do not pad seq.",
            rare={
                "beyond": lambda seq, rows, pos: (seq, pos[len(seq) : 2 * len(seq)]),
                "padded, cropped": lambda seq, rows, pos: (_padded(seq, pos), pos),
                "padded": lambda seq, rows, pos: (_padded(seq, pos), pos),
            },
        ),
        Mistake(
            "Your positions are computed from sines and cosines",
            "In forward, use the rows of self.pos: the assignment sets them by hand.",
            rare={"sinusoidal": lambda seq, rows, pos: (seq, _sinusoids(rows))},
        ),
    ),
    Choice.WEIGHTS: (
        _right((_transposed, "")),
        Mistake(
            "A weight is used transposed",
            "In forward, call the layer, self.Km(seq): nn.Linear keeps its weight as (out, in).",
            rare={
                "transposed KQV": (_transposed, "KQV"),
                "transposed KQ": (_transposed, "KQ"),
                "transposed V": (_transposed, "V"),
                "transposed K": (_transposed, "K"),
                "transposed Q": (_transposed, "Q"),
            },
        ),
        Mistake(
            "The weights are reshaped where they need a transpose, which mixes the numbers up",
            "In forward, call the layer, self.Km(seq), or multiply by self.Km.weight.T.",
            rare={"reshaped KQV": (_reshaped, "KQV")},
        ),
    ),
    Choice.ROLES: (
        _right("QKV"),
        Mistake(
            "Queries and keys are swapped in the scores: you compute K @ Q.T",
            "In forward, each row belongs to a query: use Q @ K.T.",
            common={"KQV": "KQV"},
        ),
        Mistake(
            "The scores are made of the queries alone: Q @ Q.T",
            "In forward, multiply the queries by the keys, Q @ K.T; the keys come from self.Km.",
            common={"QQV": "QQV"},
        ),
        Mistake(
            "The scores are made of the keys alone: K @ K.T",
            "In forward, multiply the queries by the keys, Q @ K.T; the queries come from self.Qm.",
            common={"KKV": "KKV"},
        ),
        Mistake(
            "Keys and values are exchanged",
            "In forward, check the order of Q, K and V: the softmax of the scaled Q @ K.T multiplies V.",
            rare={"QVK": "QVK"},
        ),
        Mistake(
            "Queries and values are exchanged",
            "In forward, check the order of Q, K and V: the softmax of the scaled Q @ K.T multiplies V.",
            rare={"VKQ": "VKQ"},
        ),
        Mistake(
            "The values take part in the scores",
            "In forward, the scores are Q @ K.T; V comes in only after the softmax.",
            rare={"QVV": "QVV", "VKV": "VKV", "VVV": "VVV"},
        ),
    ),
    Choice.SCALE: (
        _right(lambda s, n: (s.qk_dim**-0.5, 1)),
        Mistake(
            "The scores are not scaled",
            "In forward, divide Q @ K.T by the square root of qk_dim before the softmax.",
            common={"none": lambda s, n: (1, 1)},
        ),
        Mistake(
            "The scores are divided by qk_dim (or twice by its square root)",
            "In forward, divide once, by the square root of qk_dim.",
            common={"qk_dim": lambda s, n: (1 / s.qk_dim, 1)},
        ),
        Mistake(
            "The scores are divided by the square root of v_dim",
            "In forward, use qk_dim, the width of the queries and keys.",
            common={"sqrt v_dim": lambda s, n: (s.v_dim**-0.5, 1)},
        ),
        Mistake(
            "The scores are divided by the square root of input_dim + pos_dim",
            "In forward, use qk_dim, the width of the queries and keys.",
            common={"sqrt total_dim": lambda s, n: (s.total_dim**-0.5, 1)},
        ),
        Mistake(
            "The scores are divided by the square root of input_dim",
            "In forward, use qk_dim, the width of the queries and keys.",
            common={"sqrt input_dim": lambda s, n: (s.input_dim**-0.5, 1)},
        ),
        Mistake(
            "The scores are divided by the square root of seq_len",
            "In forward, use qk_dim, the width of the queries and keys: Q.shape[-1], not Q.shape[0].",
            common={"sqrt seq_len": lambda s, n: (n**-0.5, 1)},
        ),
        Mistake(
            "The scores are multiplied where they should be divided",
            "In forward, divide Q @ K.T by the square root of qk_dim.",
            common={"multiplied": lambda s, n: (s.qk_dim**0.5, 1)},
            rare={"multiplied by qk_dim": lambda s, n: (s.qk_dim, 1)},
        ),
        Mistake(
            "The scale comes after the softmax",
            "In forward, divide the scores by the square root of qk_dim first, then take the softmax.",
            common={"after": lambda s, n: (1, s.qk_dim**-0.5)},
        ),
        Mistake(
            "The scale is applied twice, before and after the softmax",
            "In forward, keep the division of the scores and remove the one after the softmax.",
            rare={"both": lambda s, n: (s.qk_dim**-0.5, s.qk_dim**-0.5)},
        ),
        Mistake(
            "The scores are divided by another size than the square root of qk_dim",
            "In forward, look at what you divide Q @ K.T by: math.sqrt(qk_dim) is expected.",
            rare={
                "v_dim": lambda s, n: (1 / s.v_dim, 1),
                "total_dim": lambda s, n: (1 / s.total_dim, 1),
                "input_dim": lambda s, n: (1 / s.input_dim, 1),
                "seq_len": lambda s, n: (1 / n, 1),
                "sqrt max_seq_len": lambda s, n: (s.max_seq_len**-0.5, 1),
            },
        ),
    ),
    Choice.SOFTMAX: (
        _right(softmax),
        Mistake(
            "The softmax runs over the queries",
            "In forward, let it run over the keys: dim=-1, so that each query's weights sum to 1.",
            common={"queries": lambda scores: softmax(scores, -2)},
        ),
        Mistake(
            "One softmax runs over all scores at once",
            "In forward, take it for each query over its keys: dim=-1, without flattening.",
            common={"all": lambda scores: softmax(scores, (-2, -1))},
        ),
        Mistake(
            "There is no softmax",
            "In forward, take softmax(scores, dim=-1) of the scaled scores before you multiply by V.",
            common={"none": lambda scores: scores},
        ),
        Mistake(
            "The exponentials are not divided by their sum",
            "In forward, divide each row by its sum, or use softmax(scores, dim=-1).",
            common={"exp": np.exp},
        ),
        Mistake(
            "The attention weights are logarithms: log_softmax is used",
            "In forward, use softmax.",
            common={"log": _log_softmax},
        ),
        Mistake(
            "The exponentials of one query are divided by the sums of others",
            "In forward, keep the sums in their rows: sum(dim=-1, keepdim=True).",
            common={"misaligned": _misaligned},
        ),
        Mistake(
            "The scores are divided by their sum without the exponential",
            "In forward, take exp of the scores first, or use softmax(scores, dim=-1).",
            rare={"linear": lambda scores: scores / scores.sum(axis=-1, keepdims=True)},
        ),
        Mistake(
            "The softmax is taken twice",
            "In forward, take it once, of the scaled scores.",
            rare={"twice": lambda scores: softmax(softmax(scores))},
        ),
        Mistake(
            "The softmax comes after the values",
            "In forward, take the softmax of the scores first, then multiply by V; mind the brackets.",
            rare={"of output": lambda scores: scores},
        ),
        Mistake(
            "A sigmoid stands where the softmax belongs",
            "In forward, use softmax(scores, dim=-1).",
            rare={"sigmoid": lambda scores: 1 / (1 + np.exp(-scores))},
        ),
        Mistake(
            "The scores have the wrong sign in the softmax",
            "In forward, take the softmax of Q @ K.T / sqrt(qk_dim) without a minus (softmin negates).",
            rare={"negated": lambda scores: softmax(-scores)},
        ),
        Mistake(
            "Each query takes the one key with the largest score",
            "In forward, weigh all keys with softmax(scores, dim=-1).",
            rare={"argmax": lambda scores: np.eye(scores.shape[-1])[scores.argmax(axis=-1)]},
        ),
    ),
    Choice.MASK: (
        _right(lambda n: (1, False, 1)),
        Mistake(
            "A causal mask hides the tokens that come later",
            "In forward, remove the mask (is_causal, tril, triu): every token attends to all tokens.",
            common={"causal": lambda n: (1, _later(n), 1)},
            rare={
                "causal, after": lambda n: (1, False, ~_later(n)),
                "causal, zeros": lambda n: (~_later(n), False, 1),
            },
        ),
        Mistake(
            "A mask hides some of the tokens",
            "In forward, remove it: every token attends to all tokens, itself included.",
            rare={
                "only later": lambda n: (1, _later(n).T, 1),
                "not itself": lambda n: (1, np.eye(n, dtype=bool), 1),
            },
        ),
    ),
    Choice.VALUES: (
        _right(""),
        Mistake(
            "The attention weights multiply the input itself",
            "In forward, project it first: V = self.Vm(seq), then multiply by V.",
            common={"x": "x"},
            rare={"seq": "seq"},
        ),
        Mistake(
            "The attention weights multiply the keys",
            "In forward, multiply them by the values, self.Vm(seq).",
            common={"K": "K"},
        ),
        Mistake(
            "The attention weights multiply the queries",
            "In forward, multiply them by the values, self.Vm(seq).",
            common={"Q": "Q"},
        ),
    ),
    Choice.RESIDUAL: (
        _right(""),
        Mistake(
            "Something is added to the output, as in a residual connection",
            "In forward, return the attention weights times the values and add nothing.",
            common={"seq": "seq", "V": "V"},
            rare={"x": "x", "Q": "Q"},
        ),
    ),
    Choice.OUTPUT: (
        _right(lambda out: out),
        Mistake(
            "The output is transposed",
            "At the end of forward, return it as (seq_len, v_dim), one row per token.",
            common={"transposed": lambda out: out.swapaxes(1, 2)},
        ),
        Mistake(
            "The output is flattened",
            "At the end of forward, return it as (seq_len, v_dim), one row per token.",
            common={"flattened": lambda out: out.reshape(len(out), -1)},
            rare={"flattened by column": lambda out: out.swapaxes(1, 2).reshape(len(out), -1)},
        ),
        Mistake(
            "The output is reshaped, which mixes the tokens' numbers up",
            "At the end of forward, return it as (seq_len, v_dim), without view or reshape.",
            rare={"reshaped": lambda out: out.reshape(len(out), out.shape[2], out.shape[1])},
        ),
        Mistake(
            "The output loses a dimension where seq_len or v_dim is 1",
            "At the end of forward, return (seq_len, v_dim) at every size: no squeeze() without a dimension.",
            rare={"squeezed": _squeezed},
        ),
        Mistake(
            "The output has a batch dimension",
            "At the end of forward, drop it (squeeze(0)) and return (seq_len, v_dim).",
            rare={"batched": lambda out: out[:, None]},
        ),
        Mistake(
            "The output is reduced to a single row",
            "At the end of forward, return one row per token, without sum, mean or an index.",
            rare={
                "sum": lambda out: out.sum(axis=1),
                "mean": lambda out: out.mean(axis=1),
                "first": lambda out: out[:, 0],
                "last": lambda out: out[:, -1],
            },
        ),
    ),
}
