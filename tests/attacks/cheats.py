"""Attacks that want a wrong answer to count. The model is wrong, its scores are not scaled, and stays so."""

from __future__ import annotations

from typing import Final

from .rows import WRONG_FORWARD, Row

_PATCHING = "what compares, patched"
_LYING = "objects that lie"
_SHAPES = "shapes and numbers that lie"
_FRAMES = "frames, forged"
_TIMING = "right at other times only"

_WRONG = WRONG_FORWARD.strip().replace("return ", "out = ")
_FRAME = "b'AGF1' + bytes([{kind}]) + struct.pack('<II', {index}, len(p)) + p"
_ANSWER = "p = struct.pack('<IH', 1, 6) + b'output' + {array}\n"
_ONES = "struct.pack('<BBQQ', 1, 2, 5, 2) + np.ones((5, 2), 'f4').tobytes()"


def _sends(array: str, kind: str = "2", index: str = "0", then: str = "") -> str:
    frame = _FRAME.format(kind=kind, index=index)
    return f"{_ANSWER.format(array=array)}os.write(4, {frame})\n{then}\n{WRONG_FORWARD.strip()}"


def _gives(expression: str) -> str:
    return f"{_WRONG}\nreturn {expression}"


CHEATS: Final = (
    Row(_PATCHING, "np.allclose says yes", "np.allclose = lambda *a, **k: True"),
    Row(_PATCHING, "np.isclose says yes", "np.isclose = lambda a, b, **k: np.ones(np.shape(a), bool)"),
    Row(_PATCHING, "torch.allclose says yes", "torch.allclose = lambda *a, **k: True"),
    Row(_PATCHING, "torch.equal says yes", "torch.equal = torch.Tensor.equal = lambda *a: True"),
    Row(
        _PATCHING,
        "every seed is the same",
        "torch.manual_seed = np.random.seed = random.seed = lambda s: None",
    ),
    Row(_PATCHING, "json gives what I like", "json.loads = json.load = lambda *a, **k: {'score': 100}"),
    Row(_PATCHING, "NumPy's testing agrees", "np.testing.assert_allclose = lambda *a, **k: None"),
    Row(
        _PATCHING,
        "assertions are off",
        "import builtins; builtins.AssertionError = type('E', (BaseException,), {})",
    ),
    Row(_PATCHING, "os.write is mine", "os.write = lambda fd, data: len(data)"),
    Row(_PATCHING, "struct is mine", "struct.pack = struct.Struct.pack = None"),
    Row(_PATCHING, "softmax is mine", "torch.softmax = lambda s, dim: torch.ones_like(s)"),
    Row(_PATCHING, "random numbers are mine", "torch.randn = lambda *a, **k: torch.zeros(*a)"),
    Row(
        _PATCHING,
        "zeros become what they are compared with",
        "torch.Tensor.numpy = lambda self: np.zeros((5, 2))",
    ),
    Row(
        _PATCHING,
        "poisoned modules",
        "sys.modules['numpy'] = sys.modules['torch'] = sys.modules['math'] = None",
    ),
    Row(
        _LYING,
        "a tensor equal to everything",
        "class T(torch.Tensor):\n    __eq__ = lambda s, o: True\n    __sub__ = __rsub__ = lambda s, o: 0\n"
        "    __hash__ = None",
        _gives("out.as_subclass(T)"),
    ),
    Row(
        _LYING,
        "a tensor that answers for torch",
        "class T(torch.Tensor):\n    @classmethod\n    def __torch_function__(c, f, t, a=(), k=None):\n"
        "        return torch.zeros(5, 2)",
        _gives("out.as_subclass(T)"),
    ),
    Row(
        _LYING,
        "an object that becomes an array",
        "class A:\n    shape = (5, 2)\n    def __array__(s, *a, **k): return np.zeros((5, 2))",
        "return A()",
        ("NOT_A_TENSOR",),
    ),
    Row(
        _LYING,
        "an array equal to everything",
        "class A(np.ndarray):\n    __eq__ = lambda s, o: True",
        "return np.zeros((5, 2)).view(A)",
        ("NOT_A_TENSOR",),
    ),
    Row(
        _LYING,
        "an object that pickles itself into code",
        "class P:\n    def __reduce__(s): return (os._exit, (0,))",
        "return P()",
        ("NOT_A_TENSOR",),
    ),
    Row(_LYING, "an array of objects", "", "return np.array([object()] * 10)", ("NOT_A_TENSOR",)),
    Row(_LYING, "a class that calls itself a tensor", "class T: __class__ = torch.Tensor", "return T()"),
    Row(_SHAPES, "a scalar that broadcasts", "", _gives("out.mean()")),
    Row(_SHAPES, "one row that broadcasts", "", _gives("out[:1]")),
    Row(_SHAPES, "an empty output", "", _gives("out[:0]")),
    Row(_SHAPES, "not a number", "", _gives("out * math.nan")),
    Row(_SHAPES, "infinity", "", _gives("out * math.inf")),
    Row(_SHAPES, "complex numbers", "", _gives("out.to(torch.complex64)")),
    Row(_SHAPES, "booleans", "", _gives("out > 0")),
    Row(_SHAPES, "a sparse tensor", "", _gives("out.to_sparse()")),
    Row(_SHAPES, "a tensor of nothing", "", _gives("out.to('meta')")),
    Row(_SHAPES, "a tensor of 64 dimensions", "", _gives("out.reshape(5, 2, *[1] * 62)")),
    Row(_SHAPES, "strides of zero that stand for terabytes", "", "return torch.zeros(1).expand(2**40)"),
    Row(_FRAMES, "an answer of its own, in time", "", _sends(_ONES)),
    Row(_FRAMES, "an answer to a later call", "", _sends(_ONES, index="2"), ("GARBAGE",)),
    Row(
        _FRAMES,
        "the same answer again and again",
        "",
        _sends(_ONES, then=f"os.write(4, {_FRAME.format(kind='2', index='0')})"),
    ),
    Row(
        _FRAMES,
        "an answer cut short",
        "",
        _sends(_ONES, then="os._exit(0)").replace("len(p))", "len(p) + 9)"),
        ("GARBAGE",),
    ),
    Row(
        _FRAMES,
        "an answer that is too long",
        "",
        _sends(_ONES).replace("len(p))", "2**32 - 1)"),
        ("GARBAGE",),
    ),
    Row(
        _FRAMES,
        "more numbers than were sent",
        "",
        _sends(_ONES.replace("5, 2) +", "500, 2) +", 1)),
        ("GARBAGE",),
    ),
    Row(
        _FRAMES,
        "a shape that overflows",
        "",
        _sends("struct.pack('<BBQQ', 1, 2, 2**63, 2**63)"),
        ("GARBAGE",),
    ),
    Row(_FRAMES, "a dtype that is none", "", _sends("struct.pack('<BBQ', 99, 1, 0)"), ("GARBAGE",)),
    Row(_FRAMES, "a kind that is none", "", _sends(_ONES, kind="77"), ("GARBAGE",)),
    Row(_FRAMES, "noise", "", "os.write(4, os.urandom(4000))\n" + WRONG_FORWARD.strip(), ("GARBAGE",)),
    Row(_FRAMES, "a report of loading, again", "", _sends("b''", kind="1", index="2**32 - 1"), ("GARBAGE",)),
    Row(_FRAMES, "another end of the pipe", "", "os.dup2(os.pipe()[1], 4)\n" + WRONG_FORWARD.strip()),
    Row(
        _TIMING,
        "right on the second call only",
        "seen = []",
        "seen.append(1)\n" + _WRONG + "\nreturn out if len(seen) < 99 else out * 0",
    ),
    Row(
        _TIMING,
        "an answer from a cache of an earlier attempt",
        "store = '/dev/shm/attack-left-this'",
        "try:\n    return torch.tensor(json.load(open(store)))\nexcept OSError: pass\n"
        + WRONG_FORWARD.strip(),
    ),
)
