"""The notebook's first two code cells: helpers, training and tests; the two transformers."""

from __future__ import annotations

SETUP = '''\
"""Imports, helpers, training and tests."""

from __future__ import annotations

import time
import json
import inspect
import random
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn as nn
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

NDArrayFloat = npt.NDArray[np.floating[Any]]
TensorFloat = torch.Tensor


@dataclass
class PlotConfig:
    width: float = 20.0
    height: float = 5.0
    colormap: str = "Reds"


@dataclass
class TrainingConfig:
    num_epochs: int = 10_001
    learning_rate: float = 3e-2


PLOT_CONFIG = PlotConfig()
TRAIN_CONFIG = TrainingConfig()
plt.rcParams["figure.figsize"] = [PLOT_CONFIG.width, PLOT_CONFIG.height]

RELATIVE_TOLERANCE = 1e-3
TEST_ITERATIONS = 10
TEST_MAX_SEQ_LEN = 4
TEST_INPUT_DIM = 5


def set_random_seed(seed: int = 42) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


_set_seed = set_random_seed


def rescale_and_plot(arr: NDArrayFloat, title: str = "", ax: Optional[Axes] = None) -> None:
    low, high = arr.min(), arr.max()
    ax.imshow((arr - low) / max(high - low, 1e-12), cmap=PLOT_CONFIG.colormap)
    ax.set_title(title)


def save_figure(fig: Figure, name: str) -> Path:
    target = Path("plots") / f"{name}.png"
    fig.savefig(target)
    return target


def train_loop(
    make_batch: Callable[[], Tuple[TensorFloat, TensorFloat]],
    input_dim: int,
    qk_dim: int,
    v_dim: int,
    pos_dim: Optional[int] = None,
    max_seq_len: Optional[int] = None,
    remove_cls: bool = False,
    num_epochs: int = TRAIN_CONFIG.num_epochs,
    lr: float = TRAIN_CONFIG.learning_rate,
) -> Tuple['PytorchTransformer', float]:
    model = PytorchTransformer(input_dim, qk_dim, v_dim, pos_dim, max_seq_len)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    loss_fn = nn.MSELoss()
    last = 0.0
    for step in range(num_epochs):
        seq, target = make_batch()
        optimizer.zero_grad()
        out = model(seq)
        loss = loss_fn(out[1:] if remove_cls else out, target)
        loss.backward()
        optimizer.step()
        last = loss.item()
        if step % 1000 == 0:
            print(f"step {step}: {last:.6f}")
    return model, last


def compare_transformers(
    hand_transformer: 'NumpyTransformer',
    learned_transformer: 'PytorchTransformer',
    seq: NDArrayFloat,
    plot: bool = True,
) -> Tuple[NDArrayFloat, NDArrayFloat]:
    by_hand = hand_transformer.forward(seq, plot=plot)
    weights = [getattr(learned_transformer, n).weight.T.detach().numpy() for n in ("Km", "Qm", "Vm")]
    pos = learned_transformer.pos
    learned = NumpyTransformer(*weights, None if pos is None else pos.weight.detach().numpy())
    return by_hand, learned.forward(seq, plot=plot)


def test(seed: int = 42) -> None:
    set_random_seed(seed)
    qk_dim = np.random.randint(1, 5)
    v_dim = np.random.randint(1, 5)
    for i in range(TEST_ITERATIONS):
        Km = np.random.randn(TEST_INPUT_DIM, qk_dim)
        Qm = np.random.randn(TEST_INPUT_DIM, qk_dim)
        Vm = np.random.randn(TEST_INPUT_DIM, v_dim)
        pos_dim, pos = None, None
        if i < TEST_ITERATIONS // 2:
            pos_dim = np.random.randint(2, 4)
            pos = np.random.randn(TEST_MAX_SEQ_LEN, pos_dim)
        width = TEST_INPUT_DIM - (pos_dim or 0)
        seq = np.random.randn(np.random.randint(1, TEST_MAX_SEQ_LEN + 1), width)
        expected = NumpyTransformer(Km, Qm, Vm, pos).forward(seq)
        model = PytorchTransformer(width, qk_dim, v_dim, pos_dim, TEST_MAX_SEQ_LEN)
        state = model.state_dict()
        state['Km.weight'] = torch.FloatTensor(Km.T)
        state['Qm.weight'] = torch.FloatTensor(Qm.T)
        state['Vm.weight'] = torch.FloatTensor(Vm.T)
        if pos is not None:
            state['pos.weight'] = torch.FloatTensor(pos)
        model.load_state_dict(state)
        got = model(torch.FloatTensor(seq)).detach().numpy()
        if not np.allclose(expected, got, rtol=RELATIVE_TOLERANCE):
            raise ValueError("the two transformers differ")
    print("the two transformers agree")
    set_random_seed(1998)
    model = PytorchTransformer(7, 4, 3, 2, 9)
    o = model(torch.randn(8, 7))
    TO_SAVE["torch_transformer_shape"] = list(o.shape)
    TO_SAVE["torch_transformer_value"] = o.view(-1).tolist()[2:7]
    TO_SAVE["torch_transformer_init"] = inspect.getsource(PytorchTransformer.__init__)
    TO_SAVE["torch_transformer_forward"] = inspect.getsource(PytorchTransformer.forward)


TO_SAVE: dict[str, Any] = {"time": time.time()}
'''

MODEL = '''\
class NumpyTransformer:
    def __init__(
        self, Km: NDArrayFloat, Qm: NDArrayFloat, Vm: NDArrayFloat, pos: Optional[NDArrayFloat] = None
    ):
        assert Km.ndim == Qm.ndim == Vm.ndim == 2
        assert Km.shape == Qm.shape and Km.shape[0] == Vm.shape[0], (Km.shape, Qm.shape, Vm.shape)
        self.Km, self.Qm, self.Vm, self.pos = Km, Qm, Vm, pos
        self.qk_dim = Qm.shape[1]

    def forward(self, seq: NDArrayFloat, verbose: bool = False, plot: bool = False) -> NDArrayFloat:
        if self.pos is not None:
            assert len(seq) <= self.pos.shape[0]
            seq = np.concatenate([seq, self.pos[:len(seq)]], axis=-1)
        K, Q, V = seq @ self.Km, seq @ self.Qm, seq @ self.Vm
        if plot:
            fig, axs = plt.subplots(nrows=1, ncols=3)
            for ax, title, drawn in zip(axs, "KQV", (K, Q, V)):
                rescale_and_plot(drawn.T, title, ax)
            plt.show()
        rows = []
        for q in Q:
            e = np.exp(K @ q / np.sqrt(self.qk_dim))
            rows.append(e / e.sum() @ V)
        return np.array(rows)


class PytorchTransformer(nn.Module):
    """To be filled in."""

    def __init__(
        self,
        input_dim: int,
        qk_dim: int,
        v_dim: int,
        pos_dim: Optional[int] = None,
        max_seq_len: int = 10,
    ) -> None:
        """Make the layers."""
        super().__init__()
        assert input_dim > 0 and qk_dim > 0 and v_dim > 0
        self._input_dim = input_dim
        self._max_seq_len = max_seq_len
        if pos_dim is not None:
            self.pos: Optional[nn.Embedding] = nn.Embedding(max_seq_len, pos_dim)
        else:
            self.pos = None
        total_input_dim = input_dim + (pos_dim if pos_dim is not None else 0)
        # <layers>
        self.d_k = qk_dim

    def forward(self, seq) -> torch.Tensor:
        """(seq_len, input_dim) to (seq_len, v_dim)."""
        out = None
        # <forward>
        assert out.shape[0] == seq_len, f"{out.shape[0]} rows for {seq_len} tokens"
        return out


test()
'''
