"""Every pattern of an error that torch words still fits what the installed torch says.

A failure names the patterns that a newer torch no longer meets: see docs/development.md.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from autograder.feedback.error_rules import RULES

NOT_TORCHS = re.compile(
    r"NameError|UnboundLocalError|AttributeError(\|TypeError)?: ('NoneType'|module 'numpy')"
    r"|ModuleNotFoundError|ImportError"
    r"|SyntaxError|EOFError|SystemExit|PermissionError|RecursionError|AssertionError:( Output| +@|$)"
    r"|ValueError: the output|TypeError: (__init__|forward|builtin)|Refusal\.|End\."
)
"""Patterns of Python's own errors, of the notebook's and of the grader's own words."""

PROVOKED = """
model.Km
model.Vm
model.W
module.anything
late()
x.numpy().unsqueeze(0)
__import__("numpy").cast
x.unsqueze(0)
torch.softmaxx(x)
nn.Embedding(max_seq_len, 2)
torch.arange(max_seq_len)
nn.Linear(3 + pos_dim, 2)
x(1)
pos[:2]
torch.cat([x, pos], dim=-1)
x @ pos
pos @ x
linear @ x
torch.matmul(x, linear)
x @ nn.Softmax(dim=-1)
torch.matmul(x, nn.Softmax(dim=-1))
nn.Module()(x)
x.cuda()
x.requires_grad_().numpy()
torch.softmax(x.detach().numpy(), dim=-1)
torch.ones(2).sum().backward()
x @ x.T.double()
linear(x.double())
torch.bmm(x[None], x.T[None].double())
torch.cat([x, torch.randn(3, 3)], dim=1)
torch.cat([x, torch.randn(3, 2)], dim=0)
torch.cat([x, x[0]], dim=-1)
torch.cat([x, None], dim=-1)
pos(torch.tensor([0.5]))
pos(3)
pos(torch.tensor([99]))
torch.softmax(x, dim=5)
x[0, 0, 0]
x.shape[7]
a, b, c = x.shape
torch.bmm(x, x)
torch.bmm(x[None], x)
x + torch.randn(4, 5)
x.view(7, 7)
x.T.view(-1)
torch.einsum('ij,jk->ik', x, x)
torch.softmax(x)
torch.sqrt(3)
in_place()
"""


class PytorchTransformer(nn.Module):
    """One without a single layer."""


class Late(nn.Module):
    def __init__(self):
        self.Km = nn.Linear(2, 2)


def in_place() -> None:
    weights = torch.ones(2, requires_grad=True)
    changed = torch.exp(weights)
    changed += 1
    changed.sum().backward()


def provoke(line: str) -> Exception:
    names = {
        "torch": torch, "nn": nn, "x": torch.randn(4, 3), "linear": nn.Linear(3, 3),
        "pos": nn.Embedding(4, 2), "model": PytorchTransformer(), "module": nn.Module(), "late": Late,
        "in_place": in_place,
        "max_seq_len": None, "pos_dim": None,
    }  # fmt: skip
    try:
        exec(line, names)
    except Exception as error:
        return error
    raise AssertionError(f"this torch does not mind: {line}")


def rule_of(line: str) -> str:
    """The pattern of the rule that an error of this line meets."""
    error = provoke(line)
    met = (rule.error for rule in RULES if rule.match(type(error).__name__, str(error), line))
    return next(met, f"no rule for {line}: {type(error).__name__}: {error}")


@pytest.mark.parametrize("line", PROVOKED.split("\n")[1:-1])
def test_an_error_of_torch_is_recognised(line: str) -> None:
    assert not rule_of(line).startswith("no rule")


def test_every_pattern_of_torch_s_messages_still_matches_one() -> None:
    met = {rule_of(line) for line in PROVOKED.split("\n")[1:-1]}
    unmet = [rule.error for rule in RULES if rule.error not in met and not NOT_TORCHS.match(rule.error)]
    assert unmet == [], (
        f"torch {torch.__version__} words these otherwise: mend autograder/feedback/error_rules.py"
    )
