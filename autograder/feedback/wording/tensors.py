"""Words for errors of PyTorch: shapes, dimensions, dtypes, gradients."""

from __future__ import annotations

from typing import Final

from autograder.feedback.wording.rules import Rule, Words

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "AssertionError",
        r"Output seq_len (?P<got>\d+) != input seq_len (?P<expected>\d+)",
        Words(
            "The output has {got} rows for a sequence of length {expected}.",
            "Return (seq_len, v_dim), one row per token: look for a transpose, a sum, a mean, an index or an "
            "added batch dimension at the end of forward, or rows of pos beyond seq_len.",
        ),
    ),
    Rule(
        "AssertionError",
        r"CUDA",
        Words("There is no GPU here.", "Remove .cuda() and .to('cuda'): the model runs on the CPU."),
    ),
    Rule(
        "AssertionError",
        r"",
        Words(
            "An assert in your code does not hold.",
            "Look at the values that it compares; print their shapes just above.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"CUDA|cuda",
        Words("There is no GPU here.", "Remove .cuda() and .to('cuda'): the model runs on the CPU."),
    ),
    Rule(
        "RuntimeError",
        r"Can't call numpy\(\) on Tensor that requires grad",
        Words(
            "A tensor is turned into a NumPy array in the middle, where its gradients would be lost.",
            "Use torch's function instead of NumPy's (torch.exp, torch.sum, torch.cat); do not .detach(), "
            "for then the model cannot be trained.",
        ),
    ),
    Rule(
        "TypeError",
        r"numpy\.ndarray",
        Words(
            "A NumPy array stands where a tensor is expected.",
            "Stay with torch from seq to the output: no np. functions and no .numpy() in forward.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"does not require grad and does not have a grad_fn",
        Words(
            "The output is not connected to the weights, so the model cannot be trained.",
            "Remove .detach(), .data, .item(), .numpy(), torch.no_grad() and torch.tensor(...) from forward.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"(?:to have the same dtype, but got:? (?P<one>\w+) (?:!=|and) (?P<other>\w+))",
        Words(
            "Two matrices of different dtypes are multiplied: {one} and {other}.",
            "Keep everything in float32: no .double(), no torch.from_numpy of float64 arrays; a new tensor "
            "takes dtype=seq.dtype.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"expected scalar type (?P<one>\w+) but found (?P<other>\w+)",
        Words(
            "Tensors of different dtypes are combined: {one} and {other}.",
            "Keep everything in float32: no .double(), no torch.from_numpy of float64 arrays; a new tensor "
            "takes dtype=seq.dtype.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"Sizes of tensors must match except in dimension 0",
        Words(
            "The positions are appended below the input.",
            "Append them to the right of it: torch.cat([seq, positions], dim=-1).",
        ),
    ),
    Rule(
        "RuntimeError",
        r"Sizes of tensors must match except in dimension 1\. Expected size (?P<rows>\d+) but got size "
        r"(?P<got>\d+)",
        Words(
            "You append {got} rows of positions to {rows} tokens.",
            "Take the first seq_len rows of pos: self.pos.weight[:seq_len].",
        ),
    ),
    Rule(
        "RuntimeError",
        r"Tensors must have same number of dimensions: got (?P<one>\d+) and (?P<other>\d+)",
        Words(
            "A tensor of {one} dimensions is joined with one of {other}.",
            "Take a row of pos for every token, (seq_len, pos_dim): self.pos(torch.arange(seq_len)). There "
            "is no batch dimension.",
        ),
    ),
    Rule(
        "TypeError",
        r"expected Tensor as element \d+ in argument 0, but got (?P<kind>\w+)",
        Words(
            "torch.cat is given a {kind}.",
            "Join seq with the rows of pos, and only if self.pos is not None.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"argument #1 'indices' to have one of the following scalar types",
        Words(
            "self.pos is called on the input; it looks up rows by number.",
            "Ask for rows 0 to seq_len - 1: self.pos(torch.arange(seq_len)).",
        ),
    ),
    Rule(
        "TypeError",
        r"embedding\(\): argument 'indices'",
        Words(
            "self.pos is called on a number; it takes a tensor of row numbers.",
            "Ask for rows 0 to seq_len - 1: self.pos(torch.arange(seq_len)).",
        ),
    ),
    Rule(
        "IndexError",
        r"index out of range in self",
        Words(
            "self.pos is asked for a row that it does not have.",
            "Ask for rows 0 to seq_len - 1 alone, torch.arange(seq_len), and make the embedding with "
            "max_seq_len rows.",
        ),
    ),
    Rule(
        "IndexError|ValueError",
        r"Dimension out of range|too many indices|tuple index out of range|not enough values to unpack",
        Words(
            "seq has two dimensions, (seq_len, input_dim), and this line expects more.",
            "There is no batch dimension: use dim=0, dim=1 or dim=-1, and seq_len = seq.shape[0].",
        ),
    ),
    Rule(
        "RuntimeError",
        r"batch1 must be a 3D tensor|batch2 must be a 3D tensor",
        Words("torch.bmm needs a batch dimension, and there is none.", "Use @ or torch.matmul."),
    ),
    Rule(
        "RuntimeError",
        r"size of tensor a \((?P<one>\d+)\) must match the size of tensor b \((?P<other>\d+)\)",
        Words(
            "Two tensors are combined number by number, and their sizes differ: {one} and {other}.",
            "Print both shapes above this line. Positions are appended with torch.cat, not added; nothing is "
            "added to the output; matrices are multiplied with @, not *.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"shape '(?P<shape>[^']+)' is invalid for input of size|view size is not compatible",
        Words(
            "A view or reshape does not fit.",
            "Neither is needed: transpose with .T, and keep (seq_len, v_dim) as it comes out of the product.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"einsum\(\)",
        Words(
            "The letters of einsum do not fit the shapes.",
            "For the scores use 'id,jd->ij' of Q and K; for the output 'ij,jv->iv' of the weights and V.",
        ),
    ),
    Rule(
        "TypeError",
        r"softmax\(\).*\"dim\"",
        Words(
            "The softmax does not know its dimension.", "Let it run over the keys: softmax(scores, dim=-1)."
        ),
    ),
    Rule(
        "TypeError",
        r"(?P<name>\w+)\(\): argument '\w+' \(position \d+\) must be Tensor, not (?P<kind>int|float)",
        Words(
            "torch.{name} takes a tensor, and gets a plain number.",
            "For plain numbers use Python: math.{name}(...), or qk_dim ** 0.5 for the square root.",
        ),
    ),
    Rule(
        "RuntimeError",
        r"in-?place operation",
        Words(
            "A tensor is changed in place that the gradients still need.",
            "Make a new tensor instead: no +=, no functions that end in _, no assignment to slices.",
        ),
    ),
    Rule(
        "ValueError",
        r"the output has the shape (?P<got>\([\d, ]*\)), expected (?P<expected>\([\d, ]*\))",
        Words(
            "The output has the shape {got}; expected {expected}, (seq_len, v_dim).",
            "Return one row per token at the end of forward.",
        ),
    ),
)
