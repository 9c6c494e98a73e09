"""The autograder that a course would write by hand: unittest and gradescope-utils, all in one process.

    .venv/bin/python -m benchmarks.alternatives.plain UPLOAD --results FILE

The notebook becomes a module, which is imported right here: student code shares the process with what is
expected, and can hang it, end it, or write its results. Expected values come from reference/. It asks what
the rubric asks but for 2.5 (vectorized), which no comparison of numbers tells: 95 points.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import sys
import tempfile
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import MagicMock

import jsonschema
import numpy as np
import torch
from gradescope_utils.autograder_utils.decorators import number, weight
from gradescope_utils.autograder_utils.json_test_runner import JSONTestRunner

from reference.cases import (
    EXTRA_WITH_POSITIONS,
    EXTRA_WITHOUT_POSITIONS,
    FOR_GRADIENTS,
    Case,
    drawn_sizes,
    equivalence_cases,
    random_cases,
)
from reference.tasks import COPY_FIRST, IDENTITY, SequenceTask, drawn_sequences
from reference.transformer import NumpyTransformer

SEED, MODEL_SEED, CONTENT_SEED, POSITION_SEED = 0, 1998, 1997, 2017
RTOL, ATOL, TASK_ATOL = 1e-3, 1e-5, 1e-8
SECTIONS = ("attention_by_content", "attention_by_position")
NUMBERS = [f"{section}{part}" for section in SECTIONS for part in ("", "_Q", "_K", "_V")]
SCHEMA = {
    "type": "object",
    "required": ["time", *NUMBERS, "attention_by_position_pos", "torch_transformer_value"],
    "additionalProperties": {"type": ["number", "array", "string"]},
    "properties": {name: {"type": "array", "items": {"type": "number"}} for name in NUMBERS},
}


def trains(source: str) -> bool:
    """Whether a cell of the notebook trains a model, by its source."""
    return "train_loop(" in source and "def train_loop(" not in source


def import_notebook(path: Path) -> Any:
    """The module of a notebook's code cells, without magics and without the cells that train.

    It ends where a statement fails: what stands above is there. matplotlib, which is not, is mocked.
    """
    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.axes", "matplotlib.figure"):
        sys.modules[name] = MagicMock()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = "\n".join(source for source in sources if not trains(source)).splitlines()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the notebook writes its log again
        file = Path(folder) / "student.py"
        file.write_text("\n".join(line for line in lines if not line.startswith(("%", "!"))), "utf-8")
        spec = importlib.util.spec_from_file_location("student", file)
        student = sys.modules["student"] = importlib.util.module_from_spec(spec)
        with contextlib.redirect_stdout(None), contextlib.suppress(Exception):
            spec.loader.exec_module(student)
        os.chdir(before)
    return student


def by_content(log: dict[str, Any]) -> NumpyTransformer:
    """The matrices of the log, which is flat: tokens have 3 columns. Raises ValueError if they do not fit."""
    Q, K, V = (np.array(log[f"attention_by_content_{name}"]).reshape(3, -1) for name in "QKV")
    return NumpyTransformer(K, Q, V)


def by_position(log: dict[str, Any]) -> NumpyTransformer:
    """The same, with pos; Vm has 3 columns, which gives the rows of all."""
    Q, K, V, pos = (np.array(log[f"attention_by_position_{name}"]) for name in ("Q", "K", "V", "pos"))
    V = V.reshape(-1, 3)
    return NumpyTransformer(K.reshape(len(V), -1), Q.reshape(len(V), -1), V, pos.reshape(-1, len(V) - 3))


class Homework(unittest.TestCase):
    """model: the student's class. log: their submission_log.json."""

    model: ClassVar[Any] = None
    log: ClassVar[dict[str, Any]] = {}

    @weight(4)
    @number("1.1")
    def test_1_1_log(self) -> None:
        """The log holds every section"""
        jsonschema.validate(self.log, SCHEMA)

    @weight(2)
    @number("1.2")
    def test_1_2_arrays(self) -> None:
        """The log's arrays fit together, every number finite"""
        by_content(self.log), by_position(self.log)
        for name in NUMBERS:
            np.testing.assert_array_less(np.abs(self.log[name]), np.inf)

    @weight(4)
    @number("1.3")
    def test_1_3_outputs(self) -> None:
        """The recorded outputs are what matrices and code give"""
        for section, transformer, task, seed in (
            ("attention_by_content", by_content(self.log), IDENTITY, CONTENT_SEED),
            ("attention_by_position", by_position(self.log), COPY_FIRST, POSITION_SEED),
        ):
            output = transformer.plain(next(drawn_sequences(task, seed)).inputs).output
            np.testing.assert_allclose(self.log[section], output.ravel(), RTOL, ATOL)
        random.seed(MODEL_SEED), np.random.seed(MODEL_SEED), torch.manual_seed(MODEL_SEED)
        value = self.model(7, 4, 3, 2, 9)(torch.randn(8, 7)).detach().numpy().ravel()[2:7]
        np.testing.assert_allclose(self.log["torch_transformer_value"], value, RTOL, ATOL)

    @weight(5)
    @number("2.1")
    def test_2_1_layers(self) -> None:
        """The layers have the right shapes, and there are no others"""
        shapes = {name: tuple(value.shape) for name, value in self.model(5, 4, 3, 2, 9).named_parameters()}
        expected = {"Km.weight": (4, 7), "Qm.weight": (4, 7), "Vm.weight": (3, 7), "pos.weight": (9, 2)}
        np.testing.assert_equal(shapes, expected)

    @weight(10)
    @number("2.2")
    def test_2_2_without_positions(self) -> None:
        """Equals the NumPy transformer without positions"""
        notebooks = [case for case in equivalence_cases() if case.sizes.pos_dim is None]
        self.assert_equal([*notebooks, *random_cases(EXTRA_WITHOUT_POSITIONS, SEED)])

    @weight(10)
    @number("2.3")
    def test_2_3_with_positions(self) -> None:
        """Equals the NumPy transformer with positions"""
        notebooks = [case for case in equivalence_cases() if case.sizes.pos_dim is not None]
        self.assert_equal([*notebooks, *random_cases(EXTRA_WITH_POSITIONS, SEED)])

    @weight(5)
    @number("2.4")
    def test_2_4_other_sizes(self) -> None:
        """Equals the NumPy transformer at other sizes"""
        self.assert_equal(random_cases(drawn_sizes(SEED), SEED))

    @weight(5)
    @number("2.6")
    def test_2_6_gradients(self) -> None:
        """The gradient of every weight is right"""
        for case in random_cases(FOR_GRADIENTS, SEED):
            model = self.loaded(case)
            (model(torch.FloatTensor(case.seq)) * torch.FloatTensor(case.upstream)).sum().backward()
            expected = case.transformer.gradients(case.seq, case.upstream)
            for name in ("Km", "Qm", "Vm"):
                found = getattr(model, name).weight.grad.numpy().T
                np.testing.assert_allclose(found, expected[name], RTOL, ATOL)
            if "pos" in expected:
                np.testing.assert_allclose(model.pos.weight.grad.numpy(), expected["pos"], RTOL, ATOL)

    @weight(5)
    @number("3.1")
    def test_3_1_content_shapes(self) -> None:
        """Attention by content: the matrices have the right shapes"""
        np.testing.assert_equal(by_content(self.log).Vm.shape, (3, 3))

    @weight(20)
    @number("3.2")
    def test_3_2_identity(self) -> None:
        """Attention by content: copies each token of every sequence"""
        self.assert_solves(IDENTITY, by_content(self.log))

    @weight(5)
    @number("4.1")
    def test_4_1_position_shapes(self) -> None:
        """Attention by position: the matrices have the right shapes"""
        if len(by_position(self.log).pos) < 4:
            self.fail("pos needs a row for each of 4 tokens")

    @weight(20)
    @number("4.2")
    def test_4_2_copy_first(self) -> None:
        """Attention by position: copies the first token of every sequence"""
        self.assert_solves(COPY_FIRST, by_position(self.log))

    def loaded(self, case: Case) -> Any:
        """The student's model with the weights of a case."""
        sizes, numpy = case.sizes, case.transformer
        model = self.model(sizes.input_dim, sizes.qk_dim, sizes.v_dim, sizes.pos_dim, sizes.max_seq_len)
        weights = {f"{name}.weight": getattr(numpy, name).T for name in ("Km", "Qm", "Vm")}
        if numpy.pos is not None:
            weights["pos.weight"] = numpy.pos
        model.load_state_dict({name: torch.tensor(array).float() for name, array in weights.items()})
        return model

    def assert_equal(self, cases: Iterable[Case]) -> None:
        """The student's model gives what the NumPy transformer gives."""
        for case in cases:
            output = self.loaded(case)(torch.FloatTensor(case.seq)).detach().numpy()
            np.testing.assert_allclose(output, case.transformer.forward(case.seq).output, RTOL, ATOL)

    def assert_solves(self, task: SequenceTask, transformer: NumpyTransformer) -> None:
        """The matrices solve a task on every sequence."""
        for batch in task.all_sequences():
            right = task.judge(
                transformer.plain(batch.inputs).output, batch.expected, rtol=RTOL, atol=TASK_ATOL
            )
            if not right.all():
                self.fail(f"{(~right).sum()} of {len(right)} sequences are wrong")


def main() -> int:
    """Grade an upload."""
    parser = argparse.ArgumentParser(description="Grades an upload in this process.")
    parser.add_argument("upload", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    options = parser.parse_args()
    Homework.log = json.loads((options.upload / "submission_log.json").read_text(encoding="utf-8"))
    Homework.model = import_notebook(next(options.upload.glob("*.ipynb"))).PytorchTransformer
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(Homework)
    with options.results.open("w", encoding="utf-8") as stream:
        JSONTestRunner(visibility="visible", stream=stream).run(tests)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
