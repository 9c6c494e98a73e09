"""What is said of an error that is recognised, and of a call that gave no answer.

Short, second person, no blame: what happened, then what to do. Both may hold {names} of what is known.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from autograder.feedback.messages import NOT_GIVEN


class Rule(NamedTuple):
    """An error that is recognised: what it is, what happened, what to do.

    error: "types: message  @ line". The type is matched whole; the message as Python prints it and the
    student's line are searched, and may be left out. The message's named groups are {names} in the others.
    """

    error: str
    headline: str
    change: str

    def match(self, type_name: str, message: str, line: str) -> re.Match[str] | None:
        """The match of the message, if all three fit."""
        said, _, at = self.error.partition("  @ ")
        types, _, pattern = said.partition(":")
        if not re.fullmatch(types, type_name) or not re.search(at, line):
            return None
        return re.search(pattern.lstrip(), message)


_TABLE: Final = r"""
NameError: name '(?P<name>seq_len)' is not defined
  seq_len is used before it has a value.
  In forward, set seq_len = seq.shape[0] before you use it; the assert at the end needs it too.
NameError: name '(?P<name>F)' is not defined
  F is not imported.
  Add import torch.nn.functional as F to a cell above the class, or write torch.softmax.
NameError: name '(?P<name>d_?k|(?:qk|v|in|input|pos|total|total_input)_dim|max_seq_len|scale)' is not defined
  {name} is known in __init__ alone: in forward, self. is missing, or it was never kept.
  In __init__, write self.{name} = {name}; in forward, use self.{name}, or Q.shape[-1] for qk_dim.
NameError: name '(?P<name>[^']+)' is not defined
  {name} has no value here.
  Define or import {name} above this line, or inside the class; then restart the kernel and run all cells.
UnboundLocalError: variable '(?P<name>[^']+)'
  {name} has no value on the way that was taken here.
  Give {name} a value in both cases, with positions (self.pos is not None) and without.
AttributeError: 'NoneType' object has no attribute  @ \bout\b
  out is still None.
  In forward, assign the result to out: the attention weights times the values, (seq_len, v_dim).
AttributeError|TypeError: 'NoneType' object (?:has no attribute|is not callable|is not sub)  @ \bself\.pos\b
  self.pos is None here: this model is built without positions (pos_dim=None).
  In forward, use self.pos only inside if self.pos is not None:.
AttributeError: ' object has no attribute '(?P<name>[KQV])m'
  There is no self.{name}m.
  In __init__, add it: nn.Linear(total_input_dim, qk_dim, bias=False) for Km and Qm, to v_dim for Vm.
AttributeError: 'PytorchTransformer' object has no attribute '(?P<name>[^']+)'
  There is no self.{name}.
  Set self.{name} in __init__, or use the name that you gave it there.
AttributeError: before Module\.__init__\(\) call
  A layer is made before nn.Module is set up.
  Keep super().__init__() as the first line of __init__.
AttributeError|TypeError: numpy\.ndarray
  A NumPy array stands where a tensor is expected.
  Stay with torch from seq to the output: no np. functions and no .numpy() in forward.
AttributeError: `np\.(?P<name>\w+)` was removed in the NumPy 2\.0 release
  np.{name} is in NumPy 1, which you used; NumPy {numpy}, which grades your code, has it no more.
  Use torch in the model; elsewhere Python says below what takes its place.
AttributeError: module 'numpy' has no attribute '(?P<name>[^']+)'
  np.{name} is not in NumPy {numpy}, which grades your code; the version that you used may have it.
  Use torch in the model; elsewhere Python's own float, int, all, any or math do what it did.
AttributeError: module 'torch(?P<part>[\w.]*)' has no attribute '(?P<name>[^']+)'
  torch{part}.{name} is not in PyTorch {torch}, which grades your code.
  Check the spelling; if it runs where you work, versions differ: use a function that both have.
AttributeError: object has no attribute|module '[\w.]+' has no attribute
  This line asks for something that is not there.
  Check the spelling; PyTorch says cat, dim and to where NumPy says concatenate, axis and astype.
TypeError|RuntimeError: None  @ \bmax_seq_len\b
  max_seq_len may be None: train_loop passes None when there are no positions.
  In __init__, use max_seq_len only inside if pos_dim is not None:.
TypeError: None  @ \bpos_dim\b
  pos_dim is None for a model without positions.
  In __init__, use (pos_dim or 0) in sums, and make the embedding only if pos_dim is not None.
TypeError: __init__\(\)  @ ^$
  PytorchTransformer does not take the arguments that the notebook passes.
  Keep the signature __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10).
TypeError: forward\(\)  @ ^$
  forward does not take the argument that the notebook passes.
  Keep the signature forward(self, seq): one tensor, (seq_len, input_dim).
TypeError: '(?:Parameter|Tensor)' object is not callable
  A tensor is called like a function.
  Write self.Km(seq), not self.Km.weight(seq), and Q.T, not Q.T().
TypeError: 'Embedding' object is not subscriptable|got Embedding|'Embedding' and|and 'Embedding'
  self.pos is a layer, not a matrix.
  Take its rows with self.pos.weight[:seq_len] or self.pos(torch.arange(seq_len)).
TypeError: 'Linear'|not Linear
  A layer is used as if it were a matrix.
  Call it on the input first: Q = self.Qm(seq).
TypeError: 'Softmax'|not Softmax
  nn.Softmax is a layer, which has to be made before it is called.
  Write nn.Softmax(dim=-1)(scores) or torch.softmax(scores, dim=-1).
TypeError: builtin_function_or_method
  A method is used without being called.
  Add the brackets, as in K.t(), or write K.T.
ModuleNotFoundError|ImportError: No module named '(?P<name>[^']+)'
  The package {name} is not installed where your code is graded.
  Make the model with torch, NumPy and Python's own modules: it needs no other package.
ImportError:
  This import does not work here.
  Check the name; torch, NumPy and Python's own modules are there.
SyntaxError|IndentationError|TabError:
  Python cannot read this line.
  Correct it, then restart the kernel and run all cells before you download the notebook again.
EOFError: reading a line
  Your code waits for input.
  Remove input(): nobody can type while it is graded.
SystemExit|KeyboardInterrupt:
  Your code ends the program instead of returning an output.
  Remove exit(), quit() and sys.exit().
NOT_GIVEN:
  Your code needs a file, the network or another program, which the grader gives to nobody.
  Take it out of the class and of the lines that the class needs.
RecursionError:
  A function calls itself without end.
  In forward, do not call self(seq) or self.forward(seq).
NotImplementedError: forward
  The class has no forward.
  Define forward(self, seq) in PytorchTransformer, indented as __init__ is.
AssertionError: Output seq_len (?P<got>\d+) != input seq_len (?P<expected>\d+)
  The output has {got} rows for a sequence of length {expected}.
  Return one row per token: look for a transpose, sum, mean, index, batch dimension, or rows beyond seq_len.
AssertionError|RuntimeError: CUDA|cuda|NVIDIA|Torch not compiled
  There is no GPU here.
  Remove .cuda() and .to('cuda'): the model runs on the CPU.
AssertionError:   @ \bassert\b
  An assert in your code does not hold.
  Look at the values that it compares; print their shapes just above.
AssertionError:
  PyTorch refuses the arguments of this line.
  Compare them with the documentation of what is called here.
RuntimeError: Can't call numpy\(\) on Tensor that requires grad
  A tensor is turned into a NumPy array in the middle, where its gradients would be lost.
  Use torch.exp, torch.sum, torch.cat, not NumPy's; with .detach() the model could not be trained.
RuntimeError: does not require grad and does not have a grad_fn
  The output is not connected to the weights, so the model cannot be trained.
  Remove .detach(), .data, .item(), .numpy(), torch.no_grad() and torch.tensor(...) from forward.
RuntimeError: have the same dtype, but got|expected scalar type \w+ but found
  Tensors of different dtypes are combined.
  Keep everything in float32: no .double() or float64 arrays; a new tensor takes dtype=seq.dtype.
RuntimeError: Sizes of tensors must match except in dimension 0
  The positions are appended below the input.
  Append them to the right of it: torch.cat([seq, positions], dim=-1).
RuntimeError: match except in dimension 1\. Expected size (?P<rows>\d+) but got size (?P<got>\d+)
  You append {got} rows of positions to {rows} tokens.
  Take the first seq_len rows of pos: self.pos.weight[:seq_len].
RuntimeError: Tensors must have same number of dimensions: got (?P<one>\d+) and (?P<other>\d+)
  A tensor of {one} dimensions is joined with one of {other}.
  Take a row of pos for every token: self.pos(torch.arange(seq_len)). There is no batch dimension.
TypeError: expected Tensor as element \d+ in argument 0, but got (?P<kind>\w+)
  torch.cat is given a {kind}.
  Join seq with the rows of pos, and only if self.pos is not None.
RuntimeError|TypeError: argument (?:#1 )?'indices'
  self.pos looks up rows by number, and is called on something else than a tensor of row numbers.
  Ask for rows 0 to seq_len - 1: self.pos(torch.arange(seq_len)).
IndexError: index out of range in self
  self.pos is asked for a row that it does not have.
  Ask for rows 0 to seq_len - 1, torch.arange(seq_len), and make the embedding with max_seq_len rows.
IndexError|ValueError: Dimension out of range|too many indices|tuple index out of range|not enough values to
  seq has two dimensions, (seq_len, input_dim), and this line expects more.
  There is no batch dimension: use dim=0, dim=1 or dim=-1, and seq_len = seq.shape[0].
RuntimeError: batch[12] must be a 3D tensor
  torch.bmm needs a batch dimension, and there is none.
  Use @ or torch.matmul.
RuntimeError: size of tensor a \((?P<one>\d+)\) must match the size of tensor b \((?P<other>\d+)\)
  Two tensors are combined number by number, and their sizes differ: {one} and {other}.
  Print both shapes. Positions are appended with torch.cat, not added; matrices multiply with @, not *.
RuntimeError: shape '(?P<shape>[^']+)' is invalid for input of size|view size is not compatible
  A view or reshape does not fit.
  Neither is needed: transpose with .T, and keep (seq_len, v_dim) as it comes out of the product.
RuntimeError: einsum\(\)
  The letters of einsum do not fit the shapes.
  For the scores use 'id,jd->ij' of Q and K; for the output 'ij,jv->iv' of the weights and V.
TypeError: softmax\(\).*\"dim\"
  The softmax does not know its dimension.
  Let it run over the keys: softmax(scores, dim=-1).
TypeError: (?P<name>\w+)\(\): argument '\w+' \(position \d+\) must be Tensor, not (?:int|float)
  torch.{name} takes a tensor, and gets a plain number.
  For plain numbers use Python: math.{name}(...), or qk_dim ** 0.5 for the square root.
RuntimeError: in-?place operation
  A tensor is changed in place that the gradients still need.
  Make a new tensor instead: no +=, no functions that end in _, no assignment to slices.
ValueError: the output has the shape (?P<got>\([\d, ]*\)), expected (?P<expected>\([\d, ]*\))
  The output has the shape {got}; expected {expected}, (seq_len, v_dim).
  Return one row per token at the end of forward.
Refusal.NO_CLASS:
  There is no class PytorchTransformer in your upload.
  Upload the notebook in which you filled in the class, and keep its name.
Refusal.NOT_A_TENSOR: ^None$
  forward returns None.
  Assign the attention weights times the values to out, and end forward with return out.
Refusal.NOT_A_TENSOR:
  forward returns {detail}, expected a tensor.
  Return the output alone, a tensor (seq_len, v_dim): no attention weights beside it, no NumPy on the way.
Refusal.BAD_DTYPE:
  forward returns a tensor of {detail}, expected floating-point numbers.
  Look for .long(), .int(), argmax or a comparison in forward, and remove it.
Refusal.TOO_LARGE:
  The output is far too large: {detail}.
  Return (seq_len, v_dim), one row per token.
Refusal.MISSING_LAYER: there is nothing$|^[^;]*$
  Your model has no layers: its state dict is empty.
  In __init__, add self.Km, self.Qm and self.Vm, each an nn.Linear(total_input_dim, ..., bias=False).
Refusal.MISSING_LAYER:
  The notebook loads weights that your model does not have: {detail}.
  In __init__, name the layers Km, Qm and Vm, each an nn.Linear without bias, and leave self.pos as it is.
Refusal.LAYER_SHAPE:
  A weight has another shape than the matrix that is loaded into it: {detail}.
  Km and Qm map input_dim + pos_dim to qk_dim, Vm to v_dim; pos is nn.Embedding(max_seq_len, pos_dim).
Refusal.NO_GRADIENT:
  The output is not connected to the weights, so the model cannot be trained.
  Remove .detach(), .data, .item(), .numpy(), torch.no_grad() and torch.tensor(...) from forward.
End.CPU_TIME:
  Your code used up its time ({detail}).
  Look for a loop that does not end, or training inside the class; compute all scores at once with @.
End.WALL_TIME:
  Your code did not answer in time ({detail}).
  Look for sleep, a loop that does not end, or something that is waited for.
End.MEMORY:
  Your code needed more memory than there is.
  Look for a very large tensor or a list that grows; (seq_len, seq_len) is the largest needed.
End.SIGNAL:
  Your code was killed by a signal ({detail}).
  Look for memory that runs out, endless recursion, or calls into C libraries (ctypes).
End.EXIT:
  Your code left the program ({detail}).
  Remove exit(), quit(), sys.exit() and os._exit().
End.FORBIDDEN:
  Your code did something that is not allowed while it is graded ({detail}).
  The model needs no files, programs or network: remove them.
End.GARBAGE:
  Your code wrote into the grader's own channel.
  Do not write to file descriptors (os.write, os.close); print is fine.
End.USED_UP:
  Your program used up its time ({detail} for the whole upload), so this was not run.
  Look for sleep, training, or slow loops, in the cells and in the model.
End.NOT_RUN:
  This was not tried, after too many attempts that died.
  Mend what the other messages tell; the rest follows.
"""
"""Three lines for each `Rule`. The first that fits is told, so special ones stand above general ones."""
_LINES: Final = _TABLE.replace("NOT_GIVEN", NOT_GIVEN).strip().splitlines()

RULES: Final = tuple(map(Rule, _LINES[::3], map(str.strip, _LINES[1::3]), map(str.strip, _LINES[2::3])))
