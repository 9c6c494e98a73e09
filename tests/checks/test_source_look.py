"""Which sources loop over rows, and which do not; and that hostile ones are looked at in no time."""

from __future__ import annotations

import textwrap

import pytest

from autograder.checks.source_kinds import Loop
from autograder.checks.vectorized import loops
from autograder.sandbox.calls import Cell
from autograder.submission.types import Origin, Program
from tests.answers.every import RIGHT
from tests.answers.upload import script_text

CLASS = "class PytorchTransformer(nn.Module):\n"
FORWARD = "def forward(self, seq):\n"


def look(source: str) -> tuple[Loop, ...]:
    return loops(Program(Origin.SCRIPT, "answer.py", (Cell("answer.py", source),)))


def forward(body: str, methods: str = "", before: str = "") -> str:
    """A program with this body of forward, other methods, and code before the class."""
    inside = FORWARD + textwrap.indent(textwrap.dedent(body), "    ")
    return before + CLASS + textwrap.indent(f"{inside}\n{textwrap.dedent(methods)}", "    ")


LOOPING = {
    "for over queries": "for q in self.Qm(seq):\n    rows.append(q @ K.T)",
    "for over the input": "for token in seq:\n    rows.append(self.Qm(token))",
    "range of seq_len": "seq_len, _ = seq.shape\nfor i in range(seq_len):\n    out[i] = seq[i] @ V",
    "range of len": "for i in range(len(seq)):\n    out.append(self.Qm(seq[i]))",
    "range of size": "for i in range(seq.size(0)):\n    s = seq[i] * 2",
    "enumerate": "Q = self.Qm(seq)\nfor i, q in enumerate(Q):\n    w = q * 2",
    "zip": "for q, k in zip(self.Qm(seq), self.Km(seq)):\n    s = q @ k",
    "while": "i = 0\nwhile i < seq.shape[0]:\n    rows.append(seq[i] * 2)\n    i += 1",
    "nested": "n = seq.shape[0]\nfor a in (1, 2):\n    for i in range(n):\n        x = seq[i] + a",
    "list comprehension": "return torch.stack([torch.softmax(q @ K, 0) for q in self.Qm(seq)])",
    "generator": "return torch.cat(tuple(self.Vm(row) for row in seq))",
    "comprehension over a range": "Q = self.Qm(seq)\nx = [Q[i] * 2 for i in range(Q.shape[0])]",
    "map": "return torch.stack(list(map(lambda q: q * 2, self.Qm(seq))))",
    "unbind": "for row in torch.unbind(self.Qm(seq)):\n    x = row @ row",
    "unpacked from a group": "qk = [self.Qm(seq), self.Km(seq)]\nQ, K = qk\nfor q in Q:\n    x = q @ K",
    "an item of a group": "qk = [self.Qm(seq), self.Km(seq)]\nfor q in qk[0]:\n    x = q * 2",
    "an item in a loop": "for t in [self.Qm(seq)]:\n    for q in t:\n        x = q * 2",
    "NumPy rows": "for q in self.Qm(seq).detach().numpy():\n    x = np.exp(q)",
    "a list of numbers": "x = [sum(row) for row in self.Qm(seq).tolist()]",
    "renamed twice": "x = seq\ny = x + 1\nn = y.shape[0]\nm = n\nfor i in range(m):\n    z = y[i] * 2",
    "in a branch": "if self.pos is not None:\n    for i in range(len(seq)):\n        x = seq[i] + 1",
    "in a try": "try:\n    for q in seq:\n        x = q + 1\nexcept ValueError:\n    pass",
    "in a nested function": "def go(q):\n    for one in q:\n        x = one * 2\ngo(self.Qm(seq))",
}
NOT_LOOPING = {
    "three projections": "Q, K, V = [layer(seq) for layer in (self.Qm, self.Km, self.Vm)]",
    "named projections": "for name in ('Qm', 'Km'):\n    made[name] = getattr(self, name)(seq)",
    "a dict of projections": "made = {n: getattr(self, n)(seq) for n in ['Qm', 'Km', 'Vm']}",
    "indices": "ids = torch.tensor([i for i in range(seq.shape[0])])",
    "indices by a list": "ids = torch.tensor(list(range(len(seq))))",
    "indices in a loop": "ids = []\nfor i in range(len(seq)):\n    ids.append(i)\nx = torch.tensor(ids)",
    "fixed heads": "heads = 1\nfor h in range(heads):\n    out = self.Qm(seq) @ self.Km(seq).T",
    "fixed layers": "x = seq\nfor _ in range(1):\n    x = self.attend(x)",
    "shapes in a loop": "for t in (Q, K, V):\n    assert t.shape[0] == seq.shape[0]",
    "printed shapes": "print([t.shape for t in (seq, self.Qm(seq))])",
    "a while of numbers": "n = 8\nwhile n > 1:\n    n //= 2",
    "sizes": "total = 1\nfor size in seq.shape:\n    total *= size",
    "zipped names": "for name, t in zip('QKV', (Q, K, V)):\n    made[name] = t * 2",
    "a string": "code = 'for q in Q: pass'\n# for q in Q\nout = self.Qm(seq)",
    "a loop that forward never calls": "out = self.Qm(seq)",
    "weights checked": "for p in self.parameters():\n    assert p.requires_grad",
    "a group with a name": "qkv = (Q, K, V)\nqkv = [t.unsqueeze(0) for t in qkv]\nx, y, z = qkv",
    "a group that grew": "parts = [seq] + [self.pos.weight]\nx = torch.cat([t for t in parts], dim=-1)",
    "a group in a loop": "made = [self.Qm(seq), self.Km(seq)]\nfor t in made:\n    s = t * 2",
    "a dict's values": "made = {'Q': self.Qm(seq)}\nfor t in made.values():\n    s = t * 2",
    "chunks": "Q, K, V = [t.contiguous() for t in self.Qm(seq).chunk(3, dim=-1)]",
    "split by sizes": "for t in torch.split(self.Qm(seq), [1, 2], dim=-1):\n    s = t * 2",
    "rows that are printed": "for row in self.Qm(seq):\n    print(row)\n    assert row.sum() < 9",
    "a while of parts": "parts = [seq]\nwhile parts:\n    x = parts.pop() * 2",
    "children": "for layer in [self.Qm, self.Km]:\n    x = layer(seq)",
}


@pytest.mark.parametrize("how", LOOPING)
def test_a_loop_over_rows_is_found(how: str) -> None:
    assert look(forward(LOOPING[how]))


@pytest.mark.parametrize("how", NOT_LOOPING)
def test_what_does_not_go_over_rows_is_left_alone(how: str) -> None:
    assert (
        look(forward(NOT_LOOPING[how], methods="def unused(self, Q):\n    for q in Q:\n        q * 2")) == ()
    )


@pytest.mark.parametrize("answer", RIGHT, ids=lambda answer: answer.name)
def test_no_right_answer_is_taken_for_a_loop(answer: object) -> None:
    assert look(script_text(answer)) == ()  # type: ignore[arg-type]  # parametrised


def test_a_loop_is_found_where_it_stands() -> None:
    (loop,) = look(forward("x = 1\nfor q in self.Qm(seq):\n    y = q * 2"))
    assert (loop.label, loop.line, loop.over) == ("answer.py", 4, "self.Qm(seq)")


def test_a_loop_in_a_method_that_forward_calls_is_found() -> None:
    source = forward("return self.rows(self.Qm(seq))", "def rows(self, x):\n    return [r * 2 for r in x]")
    assert len(look(source)) == 1


def test_a_loop_in_a_function_that_forward_calls_is_found() -> None:
    before = "def rows(x):\n    return torch.stack([r * 2 for r in x])\n"
    assert len(look(forward("return rows(self.Qm(seq))", before=before))) == 1


def test_a_forward_pass_that_hands_over_to_a_looping_class_is_found() -> None:
    other = "class NumpyTransformer:\n    def forward(self, seq):\n        for q in seq:\n            q * 2\n"
    source = forward("return NumpyTransformer(self.Km.weight.numpy()).forward(seq.numpy())", before=other)
    assert [loop.line for loop in look(source)] == [3]


def test_a_loop_elsewhere_in_the_program_is_left_alone() -> None:
    before = "def train(batches):\n    for b in batches:\n        model(b)\nfor x in data:\n    x * 2\n"
    assert look(forward("return self.Qm(seq)", before=before)) == ()


def _calls(*, returns: str) -> str:
    """Forty functions, each of which calls the next one twice: a million million walks."""
    return "".join(f"def f{i}(x):\n    {returns} f{i + 1}(x) + f{i + 1}(x)\n" for i in range(40))


def _nested(line: str, depth: int) -> str:
    return "".join("    " * i + line.format(i) + "\n" for i in range(depth)) + "    " * depth + "seq * 2"


HOSTILE = {
    "parentheses": forward("x = " + "(" * 150 + "seq" + ")" * 150),
    "signs": forward("x = " + "-" * 3000 + "seq"),
    "a long sum": forward("x = seq" + " + seq" * 20_000),
    "many lists": forward("x = [" + ", ".join(["[q for q in (1, 2)]"] * 5000) + "]"),
    "deep blocks": forward(_nested("if seq is not {}:", 90)),
    "deep loops": forward(_nested("for b{} in seq:", 18)),
    "calls that double": forward("f0(seq)", before=_calls(returns="x =")),
    "returns that double": forward("return f0(seq)", before=_calls(returns="return")),
    "recursion": forward("return self.forward(seq)"),
    "two that call each other": forward(
        "return self.a(seq)", "def a(self, x):\n    return self.b(x)\ndef b(self, x):\n    return self.a(x)"
    ),
    "its own base": "class PytorchTransformer(PytorchTransformer):\n    forward = forward\n",
    "no Python": "def forward(",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_sources_are_looked_at_in_bounded_steps(source: str) -> None:
    assert len(look(source)) < 100
