"""Words for what came instead of an answer: refusals, and attempts that died."""

from __future__ import annotations

from typing import Final

from autograder.feedback.wording.rules import Words
from autograder.sandbox.calls import End, Refusal

REFUSED: Final[dict[Refusal, Words]] = {
    Refusal.NO_CLASS: Words(
        "There is no class PytorchTransformer in your upload.",
        "Upload the notebook in which you filled in the class, and keep its name.",
    ),
    Refusal.NO_MATRICES: Words(
        "The matrices of this task are not there.",
        "Define Km, Qm and Vm (and pos, where the task asks for it) in this task's cell, run all cells and "
        "download again.",
    ),
    Refusal.NOT_KNOWN: Words(
        "The matrices of this task are not known, since a part of your program was not run.",
        "Upload submission_log.json with your notebook.",
    ),
    Refusal.NOT_NUMERIC: Words(
        "A matrix is not an array of numbers: {detail}.",
        "Write it as np.array([[...], [...]]) with rows of equal length and numbers only.",
    ),
    Refusal.NOT_A_TENSOR: Words(
        "forward returns {detail}, expected a tensor.",
        "At the end of forward, return the output alone: a tensor of shape (seq_len, v_dim).",
    ),
    Refusal.BAD_DTYPE: Words(
        "forward returns a tensor of {detail}, expected floating-point numbers.",
        "Look for .long(), .int(), argmax or a comparison in forward, and remove it.",
    ),
    Refusal.TOO_LARGE: Words(
        "The output is far too large: {detail}.",
        "Return (seq_len, v_dim), one row per token.",
    ),
    Refusal.MISSING_LAYER: Words(
        "The notebook loads weights that your model does not have: {detail}.",
        "In __init__, name the layers Km, Qm and Vm, each an nn.Linear with bias=False, and leave self.pos "
        "as it is.",
    ),
    Refusal.LAYER_SHAPE: Words(
        "A weight has another shape than the matrix that is loaded into it: {detail}.",
        "In __init__, use nn.Linear(total_input_dim, qk_dim, bias=False) for Km and Qm and "
        "nn.Linear(total_input_dim, v_dim, bias=False) for Vm, where total_input_dim is input_dim + pos_dim; "
        "pos is nn.Embedding(max_seq_len, pos_dim).",
    ),
    Refusal.NO_GRADIENT: Words(
        "The output is not connected to the weights, so the model cannot be trained.",
        "Remove .detach(), .data, .item(), .numpy(), torch.no_grad() and torch.tensor(...) from forward.",
    ),
}

NONE_RETURNED: Final = Words(
    "forward returns None.",
    "Assign the attention weights times the values to out, and end forward with return out.",
)
TUPLE_RETURNED: Final = Words(
    "forward returns {detail}, expected a tensor.",
    "Return the output alone, without the attention weights: return out.",
)
ARRAY_RETURNED: Final = Words(
    "forward returns {detail}, expected a tensor.",
    "Stay with torch to the end of forward: no .numpy() and no np. functions.",
)
NOTHING_FOUND: Final = Words(
    "Your model has no layers: its state dict is empty.",
    "In __init__, below the TODO, add self.Km, self.Qm and self.Vm, each an "
    "nn.Linear(total_input_dim, ..., bias=False).",
)
OTHER_CLASS: Final = Words(
    "There is no class PytorchTransformer, but one named {name}.",
    "Rename {name} to PytorchTransformer: the notebook makes the model by that name.",
)
NOT_A_CLASS: Final = Words(
    "PytorchTransformer is not your class any more: {detail}.",
    "Do not use the name for anything else; give the model you make another one.",
)
CLASS_FAILED: Final = Words(
    "There is no class PytorchTransformer, because a cell of your upload fails: {reason}",
    "{change}",
)
RENAME: Final = "Rename self.{found} to self.{layer}: the notebook loads {layer}.weight."

ENDED: Final[dict[End, Words]] = {
    End.CPU_TIME: Words(
        "Your code used up its time ({detail}).",
        "Look for a loop that does not end, or training inside the class; compute all scores at once with @.",
    ),
    End.WALL_TIME: Words(
        "Your code did not answer in time ({detail}).",
        "Look for sleep, a loop that does not end, or something that is waited for.",
    ),
    End.MEMORY: Words(
        "Your code needed more memory than there is.",
        "Look for a very large tensor or a list that grows; (seq_len, seq_len) is the largest that is "
        "needed.",
    ),
    End.SIGNAL: Words(
        "Your code was killed by a signal ({detail}).",
        "Look for memory that runs out, endless recursion, or calls into C libraries (ctypes).",
    ),
    End.EXIT: Words(
        "Your code left the program ({detail}).",
        "Remove exit(), quit(), sys.exit() and os._exit().",
    ),
    End.FORBIDDEN: Words(
        "Your code did something that is not allowed while it is graded ({detail}).",
        "The model needs no files, programs or network: remove them.",
    ),
    End.GARBAGE: Words(
        "Your code wrote into the grader's own channel.",
        "Do not write to file descriptors (os.write, os.close); print is fine.",
    ),
    End.NOT_RUN: Words(
        "This was not tried, after too many attempts that died.",
        "Mend what the other messages tell; the rest follows.",
    ),
    End.USED_UP: Words(
        "Not run: your program used up its time ({detail} for the whole upload).",
        "Look for sleep, training, or slow loops, in the cells and in the model.",
    ),
}

FROM_LOG: Final = Words(
    "Your code uses {name}, which the log does not hold: only your notebook has it.",
    "Upload your notebook (.ipynb) together with submission_log.json.",
)
LINE_FAILED: Final = " The line that sets it failed: {reason}"
UNKNOWN: Final = Words(
    "Your code raised an error.",
    "Build the model in your notebook with the same arguments, run it on a short sequence, and look at this "
    "line.",
)
NO_OWN_LINE: Final = "Where your model is built or called, outside your own lines"
