"""`compare`: what is trained, on what, what is drawn, and what is said when it cannot be."""

from __future__ import annotations

import random
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

from autograder.__main__ import main
from autograder.assignment import Task
from autograder.compare import SHOWN, learn, sizes_of, training
from autograder.sandbox.calls import Cell
from autograder.sandbox.host import ForkServer
from reference.tasks import TASKS
from tests.answers.answer import PLAIN_FORWARD, Answer
from tests.answers.right_matrices import DESIGNS
from tests.answers.upload import LOG, log_and_notebook, write
from tests.feedback.browser import look
from tests.regrade.browser import in_a_browser
from tests.sandbox.test_training import MODEL


def page(answer: Answer, folder: Path, steps: int = 20) -> str:
    upload = write(log_and_notebook(answer), folder / "upload")
    assert main(["compare", str(upload), "-o", str(folder / "out"), "--steps", str(steps)]) == 0
    return (folder / "out" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder written for a right answer."""
    folder = tmp_path_factory.mktemp("plain")
    page(Answer("plain"), folder)
    return folder / "out"


def test_content_is_trained_on_the_sequences_that_the_notebook_draws() -> None:
    call = training(Task.CONTENT, sizes_of(Task.CONTENT, None), 30)
    random.seed(227)
    np.random.seed(227)
    for step in range(30):
        length = np.random.randint(1, 7)
        expected = np.eye(3)[random.choices(range(3), k=length)]
        np.testing.assert_array_equal(call.sequences[step], (expected, expected))


def test_position_goes_on_after_the_sequence_that_the_notebook_recorded() -> None:
    call = training(Task.POSITION, sizes_of(Task.POSITION, None), 30)
    random.seed(2017)
    np.random.seed(2017)
    for step in range(-1, 30):
        length = np.random.randint(1, 5)
        expected = np.eye(3)[random.choices(range(3), k=length)]
        if step >= 0:
            inputs, targets = call.sequences[step]
            np.testing.assert_array_equal(inputs, expected)
            np.testing.assert_array_equal(targets, np.broadcast_to(expected[0], (length, 3)))


def test_unique_tokens_have_cls_in_front_and_no_target_for_it() -> None:
    call = training(Task.UNIQUE, sizes_of(Task.UNIQUE, None), 30)
    assert all(inputs[0, 3] == 1 and len(inputs) == len(targets) + 1 for inputs, targets in call.sequences)
    assert {sign for _, targets in call.sequences for sign in targets.flat} == {-1.0, 1.0}
    assert max(len(inputs) for inputs, _ in call.sequences) == 5


@pytest.mark.parametrize("task", list(Task))
def test_the_model_has_the_sizes_of_the_hand_designed_matrices(task: Task) -> None:
    for hand in DESIGNS[task.value].values():
        sizes = sizes_of(task, hand)
        assert (sizes.input_dim, sizes.qk_dim, sizes.v_dim) == (hand.input_dim, hand.qk_dim, hand.v_dim)
        assert sizes.pos_dim == (None if hand.pos is None else hand.pos_dim)


def test_training_ends_where_the_notebooks_own_loop_ends(fork_server: ForkServer) -> None:
    steps = 40
    learned = learn(fork_server, [Cell("cell 1", MODEL)], Task.CONTENT, sizes_of(Task.CONTENT, None), steps)
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(MODEL, namespace)
    random.seed(227)
    np.random.seed(227)
    torch.manual_seed(227)
    model = namespace["PytorchTransformer"](3, 3, 3, None, None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    for _ in range(steps):
        seq = torch.FloatTensor(np.eye(3)[random.choices(range(3), k=np.random.randint(1, 7))])
        optimizer.zero_grad()
        loss = torch.nn.MSELoss()(model(seq), seq)
        loss.backward()
        optimizer.step()
    assert learned.why_reference == ""
    assert learned.losses[-1] == loss.item()
    np.testing.assert_array_equal(learned.transformer.Km, model.Km.weight.detach().numpy().T)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 1", "there is no class PytorchTransformer"),
        (MODEL.replace("torch.softmax", "torch.sofmax"), "AttributeError"),
        (MODEL.replace("@ self.Vm(seq)", "@ self.Vm(seq) * 1e30"), "its loss became NaN or infinite"),
        (MODEL.replace("self.Km", "self.key"), "lacks a weight"),
        (
            MODEL.replace(
                "    def forward(self, seq):", "    def forward(self, seq):\n        import os; os._exit(0)"
            ),
            "left",
        ),
    ],
    ids=["no class", "raises", "diverges", "other layers", "leaves"],
)
def test_a_model_that_cannot_be_trained_gives_way_to_the_reference(
    fork_server: ForkServer, source: str, why: str
) -> None:
    learned = learn(fork_server, [Cell("cell 1", source)], Task.POSITION, sizes_of(Task.POSITION, None), 15)
    assert why in learned.why_reference
    assert np.isfinite(learned.transformer.Km).all()


def test_without_code_the_reference_is_trained(fork_server: ForkServer) -> None:
    learned = learn(fork_server, [], Task.CONTENT, sizes_of(Task.CONTENT, None), 15)
    assert learned.why_reference == "there is no code to train"


def test_the_reference_learns_every_task(fork_server: ForkServer) -> None:
    for task in (Task.CONTENT, Task.POSITION):
        learned = learn(fork_server, [], task, sizes_of(task, None), 3000)
        assert learned.losses[-1000:].mean() < 0.1, task


def test_a_page_with_a_picture_of_each_task_is_written(plain: Path) -> None:
    html = (plain / "index.html").read_text(encoding="utf-8")
    assert html.count('src="data:image/png;base64,') == 2
    assert "Attention by content" in html
    assert "Attention by position" in html
    assert html.count("Designed by hand") >= 2
    assert "reference model" not in html


def test_the_text_alternative_tells_of_both_transformers(plain: Path) -> None:
    html = (plain / "index.html").read_text(encoding="utf-8")
    alts = [unescape(alt) for alt in re.findall(r'alt="([^"]*)"', html)]
    assert len(alts) == 2
    assert all("Designed by hand: Km: A [" in alt and "Learned: Km: A [" in alt for alt in alts)


def test_the_page_says_when_the_reference_model_was_trained(tmp_path: Path) -> None:
    broken = Answer("broken", forward=PLAIN_FORWARD.replace("torch.softmax", "torch.sofmax"))
    html = unescape(page(broken, tmp_path))
    assert "The student's model could not be trained: AttributeError" in html
    assert "The reference model was trained in its place." in html


def test_the_page_says_when_nothing_was_designed_by_hand(tmp_path: Path) -> None:
    html = page(Answer("no matrices", content="Km = Qm = Vm = None"), tmp_path)
    assert "Nothing designed by hand:" in html


def test_text_of_the_student_is_escaped(tmp_path: Path) -> None:
    message = 'raise ValueError("<script>alert(1)</script>")'
    html = page(Answer("raises", forward=message), tmp_path)
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html


def test_a_log_alone_is_trained_with_the_class_that_it_holds(tmp_path: Path) -> None:
    upload = tmp_path / LOG
    upload.write_text(log_and_notebook(Answer("plain"))[LOG], encoding="utf-8")
    assert main(["compare", str(upload), "-o", str(tmp_path / "out"), "--steps", "15"]) == 0
    assert "reference model" not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/nowhere/upload", "-o", "{out}"], "there is no /nowhere/upload"),
        (["{upload}", "-o", "{upload}/file"], "cannot be made a folder"),
        (["{upload}", "-o", "{out}", "--steps", "0"], "give a number from 1"),
    ],
)
def test_wrong_usage_is_said(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload = tmp_path / "upload"
    upload.mkdir()
    (upload / "file").write_text("", encoding="utf-8")
    filled = [argument.format(upload=upload, out=tmp_path / "out") for argument in arguments]
    assert main(["compare", *filled]) == 2
    assert told in capsys.readouterr().err


def test_a_sequence_of_every_task_is_shown() -> None:
    assert [task.value for task in SHOWN] == list(TASKS)


@in_a_browser
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_the_window(width: int, plain: Path) -> None:
    looked = look((plain / "index.html").read_text(encoding="utf-8"), width)
    assert looked.scroll_width <= width
    assert looked.sticks_out == []
    assert all(image["alt"] for image in looked.images)
