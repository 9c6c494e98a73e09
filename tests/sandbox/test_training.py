"""Training in the sandbox takes the steps that the notebook's loop takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from autograder.sandbox.calls import Answer, Cell, Raised, Refusal, Refused, Sizes, Train
from autograder.sandbox.host import ForkServer

MODEL = """
import torch
from torch import nn

class PytorchTransformer(nn.Module):
    def __init__(self, input_dim, qk_dim, v_dim, pos_dim=None, max_seq_len=10):
        super().__init__()
        self.pos = None if pos_dim is None else nn.Embedding(max_seq_len, pos_dim)
        total = input_dim + (pos_dim or 0)
        self.Qm = nn.Linear(total, qk_dim, bias=False)
        self.Km = nn.Linear(total, qk_dim, bias=False)
        self.Vm = nn.Linear(total, v_dim, bias=False)
        self.d_k = qk_dim

    def forward(self, seq):
        if self.pos is not None:
            seq = torch.cat([seq, self.pos(torch.arange(len(seq)))], dim=1)
        scores = self.Qm(seq) @ self.Km(seq).T / self.d_k ** 0.5
        return torch.softmax(scores, dim=-1) @ self.Vm(seq)
"""
SIZES = Sizes(3, 2, 3, 2, 4)


def call(steps: int = 12, *, ignored: int = 0, reference: bool = False) -> Train:
    draws = np.random.default_rng(3)
    drawn = (np.eye(3)[draws.integers(0, 3, size=draws.integers(1 + ignored, 5))] for _ in range(steps))
    return Train(SIZES, 227, 0.03, tuple((seq, seq[ignored:]) for seq in drawn), reference)


def trained(train: Train) -> tuple[list[float], npt.NDArray[np.float32]]:
    """Losses and Km of the same training, here, by torch's own optimizer."""
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(MODEL, namespace)
    torch.manual_seed(train.seed)
    model = namespace["PytorchTransformer"](3, 2, 3, 2, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=train.learning_rate)
    losses = []
    for inputs, targets in train.sequences:
        optimizer.zero_grad()
        output = model(torch.FloatTensor(inputs))[-len(targets) :]
        loss = torch.nn.functional.mse_loss(output, torch.FloatTensor(targets))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.Km.weight.detach().numpy().T


def answers(fork_server: ForkServer, source: str, *calls: Train) -> list[Answer]:
    outcomes = fork_server.run([Cell("cell 1", source)], calls).outcomes
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Answer)]


@pytest.mark.parametrize("ignored", [0, 1])
def test_training_gives_the_losses_and_weights_of_torchs_own_sgd(
    fork_server: ForkServer, ignored: int
) -> None:
    train = call(ignored=ignored)
    (answer,) = answers(fork_server, MODEL, train)
    losses, Km = trained(train)
    np.testing.assert_array_equal(answer.arrays["losses"], losses)
    np.testing.assert_array_equal(answer.arrays["Km"], Km)
    assert answer.arrays["pos"].shape == (4, 2)


def test_the_reference_model_trains_where_there_is_no_program(fork_server: ForkServer) -> None:
    outcome = fork_server.run([], [call(60, reference=True)]).outcomes[0]
    assert isinstance(outcome, Answer)
    losses = outcome.arrays["losses"]
    assert losses[-20:].mean() < losses[:20].mean()


def test_a_model_cut_off_from_its_weights_cannot_be_trained(fork_server: ForkServer) -> None:
    source = MODEL.replace("@ self.Vm(seq)", "@ self.Vm(seq)).detach()").replace(
        "torch.softmax", "(torch.softmax"
    )
    outcome = fork_server.run([Cell("cell 1", source)], [call()]).outcomes[0]
    assert outcome == Refused(Refusal.NO_GRADIENT, "")


def test_an_output_of_another_shape_is_not_broadcast_into_a_loss(fork_server: ForkServer) -> None:
    source = MODEL.replace("@ self.Vm(seq)", "@ self.Vm(seq)[:, :1]")
    outcome = fork_server.run([Cell("cell 1", source)], [call()]).outcomes[0]
    assert isinstance(outcome, Raised)
    assert "expected" in outcome.message


def test_a_model_without_the_layers_is_refused(fork_server: ForkServer) -> None:
    outcome = fork_server.run([Cell("cell 1", MODEL.replace("self.Km", "self.key"))], [call()]).outcomes[0]
    assert isinstance(outcome, Refused)
    assert outcome.reason is Refusal.MISSING_LAYER
