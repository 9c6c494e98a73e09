"""Sentences for a model whose outputs are wrong: one per fault."""

from __future__ import annotations

from typing import Final

from autograder.feedback.hypotheses.space import Fault

_SENTENCES: Final[dict[Fault, str]] = {
    Fault.POSITIONS_PREPENDED: (
        "The positions stand in front of the input. In forward, where you join the two, put seq "
        "first: torch.cat([seq, positions], dim=-1)."
    ),
    Fault.POSITIONS_IGNORED: (
        "The positions have no effect on your output. In forward, when self.pos is not None, append "
        "its first seq_len rows to the right of seq before the projections."
    ),
    Fault.POSITIONS_ADDED: (
        "The positions are added to the input. In forward, append them instead: torch.cat([seq, "
        "positions], dim=-1), so that the width becomes input_dim + pos_dim."
    ),
    Fault.POSITIONS_REVERSED: (
        "The positions come in reverse order. In forward, take the rows of pos from the first on: "
        "token 0 gets row 0, token 1 gets row 1."
    ),
    Fault.POSITIONS_WRONG_ROWS: (
        "Your tokens get the wrong rows of pos. In forward, look at the indices: token i gets row i, "
        "thus rows 0 to seq_len - 1 (torch.arange(seq_len))."
    ),
    Fault.POSITIONS_ONE_ROW: (
        "All tokens get the same row of pos. In forward, look up one row per token with "
        "torch.arange(seq_len), not with a single number."
    ),
    Fault.POSITIONS_BEYOND: (
        "Rows of pos beyond seq_len take part. In forward, use its first seq_len rows only "
        "(self.pos.weight[:seq_len]) and do not pad the sequence to max_seq_len."
    ),
    Fault.POSITIONS_SINUSOIDAL: (
        "Your positions are computed from sines and cosines. In forward, use the rows of self.pos: "
        "the assignment sets them by hand."
    ),
    Fault.WEIGHTS_TRANSPOSED: (
        "A weight is used transposed. nn.Linear keeps its weight as (out, in): in forward, call the "
        "layer, self.Km(seq), or multiply by self.Km.weight.T."
    ),
    Fault.WEIGHTS_RESHAPED: (
        "The weights are reshaped where they need a transpose; view and reshape mix the numbers up. "
        "In forward, call the layer, self.Km(seq), or multiply by self.Km.weight.T."
    ),
    Fault.SCORES_SWAPPED: (
        "Queries and keys are swapped in the scores: you compute K @ Q.T. In forward, each row "
        "belongs to a query: use Q @ K.T."
    ),
    Fault.SCORES_QUERIES_TWICE: (
        "The scores are made of the queries alone: Q @ Q.T. In forward, multiply the queries by the "
        "keys, Q @ K.T, and check that the keys come from self.Km."
    ),
    Fault.SCORES_KEYS_TWICE: (
        "The scores are made of the keys alone: K @ K.T. In forward, multiply the queries by the "
        "keys, Q @ K.T, and check that the queries come from self.Qm."
    ),
    Fault.QUERIES_VALUES_EXCHANGED: (
        "Queries and values are exchanged. In forward, check the order in which you assign or pass Q,"
        " K and V: the scores are Q @ K.T, and the attention weights multiply V."
    ),
    Fault.KEYS_VALUES_EXCHANGED: (
        "Keys and values are exchanged. In forward, check the order in which you assign or pass Q, K "
        "and V: the scores are Q @ K.T, and the attention weights multiply V."
    ),
    Fault.SCORES_USE_VALUES: (
        "The values take part in the scores. In forward, the scores are Q @ K.T; V comes in only "
        "after the softmax."
    ),
    Fault.SCALE_NONE: (
        "The scores are not scaled. In forward, divide Q @ K.T by the square root of qk_dim before "
        "the softmax."
    ),
    Fault.SCALE_QK_DIM: (
        "The scores are divided by qk_dim (or twice by its square root). In forward, divide once, by "
        "the square root of qk_dim."
    ),
    Fault.SCALE_SQRT_V_DIM: (
        "The scores are divided by the square root of v_dim. In forward, use qk_dim, the width of the"
        " queries and keys."
    ),
    Fault.SCALE_SQRT_INPUT_DIM: (
        "The scores are divided by the square root of input_dim. In forward, use qk_dim, the width of"
        " the queries and keys."
    ),
    Fault.SCALE_SQRT_TOTAL_DIM: (
        "The scores are divided by the square root of input_dim + pos_dim. In forward, use qk_dim, "
        "the width of the queries and keys."
    ),
    Fault.SCALE_SQRT_SEQ_LEN: (
        "The scores are divided by the square root of seq_len. In forward, use qk_dim, the width of "
        "the queries and keys: Q.shape[-1], not Q.shape[0]."
    ),
    Fault.SCALE_MULTIPLIED: (
        "The scores are multiplied where they should be divided. In forward, divide Q @ K.T by the "
        "square root of qk_dim."
    ),
    Fault.SCALE_AFTER_SOFTMAX: (
        "The scale comes after the softmax. In forward, divide the scores by the square root of "
        "qk_dim first, then take the softmax."
    ),
    Fault.SCALE_BEFORE_AND_AFTER: (
        "The scale is applied twice, before and after the softmax. In forward, keep the division of "
        "the scores and remove the one after the softmax."
    ),
    Fault.SCALE_OTHER_SIZE: (
        "The scores are divided by another size than the square root of qk_dim. In forward, look at "
        "what you divide Q @ K.T by: math.sqrt(qk_dim) is expected."
    ),
    Fault.SOFTMAX_OVER_QUERIES: (
        "The softmax runs over the queries. In forward, let it run over the keys, the last dimension "
        "of Q @ K.T: dim=-1, so that each query's weights sum to 1."
    ),
    Fault.SOFTMAX_OVER_ALL: (
        "One softmax runs over all scores at once. In forward, take it for each query over its keys: "
        "dim=-1, without flattening."
    ),
    Fault.SOFTMAX_NONE: (
        "There is no softmax. In forward, take softmax(scores, dim=-1) of the scaled scores before "
        "you multiply by the values."
    ),
    Fault.SOFTMAX_LOG: (
        "The attention weights are logarithms: log_softmax is used. In forward, use softmax."
    ),
    Fault.SOFTMAX_NOT_NORMALISED: (
        "The exponentials are not divided by their sum. In forward, divide each row by its sum, or "
        "use softmax(scores, dim=-1)."
    ),
    Fault.SOFTMAX_SUM_MISALIGNED: (
        "The exponentials of one query are divided by the sums of others: the sums broadcast along "
        "the wrong dimension. In forward, use sum(dim=-1, keepdim=True)."
    ),
    Fault.SOFTMAX_NO_EXPONENTIAL: (
        "The scores are divided by their sum without the exponential. In forward, take exp of the "
        "scores first, or use softmax(scores, dim=-1)."
    ),
    Fault.SOFTMAX_TWICE: ("The softmax is taken twice. In forward, take it once, of the scaled scores."),
    Fault.SOFTMAX_SIGMOID: (
        "A sigmoid stands where the softmax belongs. In forward, use softmax(scores, dim=-1)."
    ),
    Fault.SOFTMAX_NEGATED: (
        "The scores have the wrong sign in the softmax. In forward, take the softmax of Q @ K.T / "
        "sqrt(qk_dim) without a minus (softmin negates)."
    ),
    Fault.SOFTMAX_ARGMAX: (
        "Each query takes the one key with the largest score. In forward, weigh all keys with "
        "softmax(scores, dim=-1)."
    ),
    Fault.SOFTMAX_OF_OUTPUT: (
        "The softmax comes after the values. In forward, take the softmax of the scores first, then "
        "multiply by V; mind the brackets."
    ),
    Fault.MASK_CAUSAL: (
        "A causal mask hides the tokens that come later. In forward, remove the mask (is_causal, "
        "tril, triu): every token attends to all tokens."
    ),
    Fault.MASK_OTHER: (
        "A mask hides some of the tokens. In forward, remove it: every token attends to all tokens, "
        "itself included."
    ),
    Fault.VALUES_UNPROJECTED: (
        "The attention weights multiply the input itself. In forward, project it first: V = "
        "self.Vm(seq), then multiply by V."
    ),
    Fault.VALUES_ARE_KEYS: (
        "The attention weights multiply the keys. In forward, multiply them by the values, self.Vm(seq)."
    ),
    Fault.VALUES_ARE_QUERIES: (
        "The attention weights multiply the queries. In forward, multiply them by the values, self.Vm(seq)."
    ),
    Fault.RESIDUAL: (
        "Something is added to the output, as in a residual connection. In forward, return the "
        "attention weights times the values and add nothing."
    ),
    Fault.OUTPUT_TRANSPOSED: (
        "The output is transposed. At the end of forward, return it as (seq_len, v_dim), one row per token."
    ),
    Fault.OUTPUT_FLATTENED: (
        "The output is flattened. At the end of forward, return it as (seq_len, v_dim), one row per token."
    ),
    Fault.OUTPUT_RESHAPED: (
        "The output is reshaped, which mixes the tokens' numbers up. At the end of forward, return it"
        " as (seq_len, v_dim), without view or reshape."
    ),
    Fault.OUTPUT_SQUEEZED: (
        "The output loses a dimension where seq_len or v_dim is 1. At the end of forward, return "
        "(seq_len, v_dim) at every size: no squeeze() without a dimension."
    ),
    Fault.OUTPUT_BATCHED: (
        "The output has a batch dimension. At the end of forward, drop it (squeeze(0)) and return "
        "(seq_len, v_dim)."
    ),
    Fault.OUTPUT_REDUCED: (
        "The output is reduced to a single row. At the end of forward, return one row per token, "
        "(seq_len, v_dim), without sum, mean or an index."
    ),
    Fault.BIAS: (
        "The layers have biases. In __init__, give bias=False to each nn.Linear: Km, Qm and Vm are "
        "linear maps without bias."
    ),
}

_TOGETHER: Final[dict[frozenset[Fault], str]] = {
    frozenset({Fault.SCORES_SWAPPED, Fault.SOFTMAX_OVER_QUERIES}): "Together these two amount to one: the "
    "attention weights are transposed before they multiply the values. If that is what you do, remove it.",
}


def sentence(fault: Fault) -> str:
    """What the mistake is, where to look, what to change."""
    return _SENTENCES[fault]


def together(faults: tuple[Fault, ...]) -> tuple[str, ...]:
    """What is to be said of several faults at once, if anything."""
    text = _TOGETHER.get(frozenset(faults))
    return () if text is None else (text,)
