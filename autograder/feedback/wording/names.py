"""Words for names, attributes, calls and packages that are not as the student's code has them."""

from __future__ import annotations

from typing import Final

from autograder.feedback.wording.rules import Rule, Words

_LAYER: Final = "In __init__, add self.{name} = nn.Linear(total_input_dim, {out}, bias=False)."

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "NameError",
        r"name '(?P<name>seq_len)' is not defined",
        Words(
            "seq_len is used before it has a value.",
            "In forward, set seq_len = seq.shape[0] before you use it; the assert at the end needs it too.",
        ),
    ),
    Rule(
        "NameError",
        r"name '(?P<name>F)' is not defined",
        Words(
            "F is not imported.",
            "Add import torch.nn.functional as F to a cell above the class, or write torch.softmax.",
        ),
    ),
    Rule(
        "NameError",
        r"name '(?P<name>[^']+)' is not defined",
        Words(
            "{name} has no value here.",
            "Define or import {name} above this line, or inside the class; then restart the kernel and run "
            "all cells from the top, so that nothing is left over from an earlier try.",
        ),
    ),
    Rule(
        "UnboundLocalError",
        r"variable '(?P<name>[^']+)'",
        Words(
            "{name} has no value on the way that was taken here.",
            "Give {name} a value in both cases, with positions (self.pos is not None) and without.",
        ),
    ),
    Rule(
        "AttributeError",
        r"'NoneType' object has no attribute",
        Words(
            "out is still None.",
            "In forward, assign the result to out: the attention weights times the values, (seq_len, v_dim).",
        ),
        at=r"\bout\b",
    ),
    Rule(
        "AttributeError|TypeError",
        r"'NoneType' object (?:has no attribute|is not callable|is not subscriptable)",
        Words(
            "self.pos is None here: this model is built without positions (pos_dim=None).",
            "In forward, use self.pos only inside if self.pos is not None:.",
        ),
        at=r"\bself\.pos\b",
    ),
    Rule(
        "AttributeError",
        r"' object has no attribute '(?P<name>[KQ])m'",
        Words("There is no self.{name}m.", _LAYER.format(name="{name}m", out="qk_dim")),
    ),
    Rule(
        "AttributeError",
        r"' object has no attribute 'Vm'",
        Words("There is no self.Vm.", _LAYER.format(name="Vm", out="v_dim")),
    ),
    Rule(
        "AttributeError",
        r"'PytorchTransformer' object has no attribute '(?P<name>[^']+)'",
        Words(
            "There is no self.{name}.",
            "Set self.{name} in __init__, or use the name that you gave it there.",
        ),
    ),
    Rule(
        "AttributeError",
        r"before Module\.__init__\(\) call",
        Words(
            "A layer is made before nn.Module is set up.",
            "Keep super().__init__() as the first line of __init__.",
        ),
    ),
    Rule(
        "AttributeError",
        r"'numpy\.ndarray' object has no attribute '(?P<name>[^']+)'",
        Words(
            "A NumPy array stands where a tensor is expected.",
            "Stay with torch from seq to the output: NumPy loses the gradients.",
        ),
    ),
    Rule(
        "AttributeError",
        r"'(?P<kind>\w+)' object has no attribute '(?P<name>[^']+)'|"
        r"module '(?P<module>[\w.]+)' has no attribute '(?P<missing>[^']+)'",
        Words(
            "This line asks for something that is not there.",
            "Check the spelling, and that it is PyTorch's name: NumPy's concatenate, axis and astype are "
            "cat, dim and to there.",
        ),
    ),
    Rule(
        "TypeError|RuntimeError",
        r"None",
        Words(
            "max_seq_len may be None: train_loop passes None when there are no positions.",
            "In __init__, use max_seq_len only inside if pos_dim is not None:.",
        ),
        at=r"\bmax_seq_len\b",
    ),
    Rule(
        "TypeError",
        r"None",
        Words(
            "pos_dim is None for a model without positions.",
            "In __init__, use (pos_dim or 0) in sums, and make the embedding only if pos_dim is not None.",
        ),
        at=r"\bpos_dim\b",
    ),
    Rule(
        "TypeError",
        r"__init__\(\)",
        Words(
            "PytorchTransformer does not take the arguments that the notebook passes.",
            "Keep the signature __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10).",
        ),
        at=r"^$",
    ),
    Rule(
        "TypeError",
        r"forward\(\)",
        Words(
            "forward does not take the argument that the notebook passes.",
            "Keep the signature forward(self, seq): one tensor, (seq_len, input_dim).",
        ),
        at=r"^$",
    ),
    Rule(
        "TypeError",
        r"'(?:Parameter|Tensor)' object is not callable",
        Words(
            "A tensor is called like a function.",
            "Write self.Km(seq), not self.Km.weight(seq), and Q.T, not Q.T().",
        ),
    ),
    Rule(
        "TypeError",
        r"'Embedding' object is not subscriptable|got Embedding|'Embedding' and|and 'Embedding'",
        Words(
            "self.pos is a layer, not a matrix.",
            "Take its rows with self.pos.weight[:seq_len] or self.pos(torch.arange(seq_len)).",
        ),
    ),
    Rule(
        "TypeError",
        r"'Linear'|not Linear",
        Words("A layer is used as if it were a matrix.", "Call it on the input first: Q = self.Qm(seq)."),
    ),
    Rule(
        "TypeError",
        r"'Softmax'|not Softmax",
        Words(
            "nn.Softmax is a layer, which has to be made before it is called.",
            "Write nn.Softmax(dim=-1)(scores) or torch.softmax(scores, dim=-1).",
        ),
    ),
    Rule(
        "TypeError",
        r"builtin_function_or_method",
        Words("A method is used without being called.", "Add the brackets, as in K.t(), or write K.T."),
    ),
    Rule(
        "ModuleNotFoundError|ImportError",
        r"No module named '(?P<name>[^']+)'",
        Words(
            "The package {name} is not there.",
            "Use torch, NumPy and Python's own modules; remove this import, or move it out of the model's "
            "way.",
        ),
    ),
    Rule(
        "ImportError",
        r"",
        Words(
            "This import does not work here.",
            "Check the name; torch, NumPy and Python's own modules are there.",
        ),
    ),
    Rule(
        "SyntaxError|IndentationError|TabError",
        r"",
        Words(
            "Python cannot read this line.",
            "Correct it, then restart the kernel and run all cells before you download the notebook again.",
        ),
    ),
    Rule(
        "EOFError",
        r"reading a line",
        Words("Your code waits for input.", "Remove input(): nobody can type while it is graded."),
    ),
    Rule(
        "SystemExit|KeyboardInterrupt",
        r"",
        Words(
            "Your code ends the program instead of returning an output.",
            "Remove exit(), quit() and sys.exit().",
        ),
    ),
    Rule(
        "PermissionError|OSError|FileNotFoundError|ConnectionError|URLError|gaierror|BlockingIOError",
        r"",
        Words(
            "Your code uses a file, a program or the network, which is not there while it is graded.",
            "Take it out of the class and of the lines that the class needs.",
        ),
    ),
    Rule(
        "RecursionError",
        r"",
        Words(
            "A function calls itself without end.",
            "In forward, do not call self(seq) or self.forward(seq).",
        ),
    ),
    Rule(
        "NotImplementedError",
        r"forward",
        Words(
            "The class has no forward.",
            "Define forward(self, seq) in PytorchTransformer, indented as __init__ is.",
        ),
    ),
)
