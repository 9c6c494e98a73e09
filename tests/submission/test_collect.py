from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.errors import UploadError
from autograder.settings import MAX_CODE_FILES
from autograder.submission.choose import collect
from autograder.submission.types import NoteLevel, Origin, Submission

from .samples import CLASS, IMPORTS, log_bytes, notebook_bytes

LOG = log_bytes()
NOTEBOOK = notebook_bytes(IMPORTS, CLASS)


def upload(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def told(submission: Submission, tone: NoteLevel) -> str:
    return "\n".join(notice.text for notice in submission.notices if notice.tone is tone)


def log_name(submission: Submission) -> str:
    assert submission.log is not None
    return submission.log.name


def code_name(submission: Submission) -> str:
    assert submission.program is not None
    return submission.program.name


def test_log_and_notebook_are_found_and_told(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"submission_log.json": LOG, "homework.ipynb": NOTEBOOK}))
    assert submission.log is not None
    assert submission.log.problems == ()
    assert submission.program is not None
    assert submission.program.origin is Origin.NOTEBOOK
    assert told(submission, NoteLevel.FOUND) == "Log: submission_log.json.\nCode: homework.ipynb (2 cells)."
    assert told(submission, NoteLevel.WARNING) == ""


@pytest.mark.parametrize(
    ("name", "data", "origin"),
    [
        ("submission_log.json", LOG, Origin.LOG),
        ("homework.ipynb", NOTEBOOK, Origin.NOTEBOOK),
        ("homework.py", (IMPORTS + CLASS).encode(), Origin.SCRIPT),
    ],
)
def test_a_single_file_is_an_upload_by_itself_and_in_a_folder(
    tmp_path: Path, name: str, data: bytes, origin: Origin
) -> None:
    upload(tmp_path, {name: data})
    for path in (tmp_path, tmp_path / name):
        submission = collect(path)
        assert submission.program is not None
        assert submission.program.origin is origin
        assert (submission.log is not None) == name.endswith(".json")


def test_files_of_the_system_and_the_editor_are_ignored_and_told(tmp_path: Path) -> None:
    files = {
        "homework/submission_log.json": LOG,
        "homework/homework.ipynb": NOTEBOOK,
        "homework/._submission_log.json": b"\0\5\26\7",
        "homework/.ipynb_checkpoints/homework-checkpoint.ipynb": notebook_bytes("old = 1"),
        "__MACOSX/homework/._homework.ipynb": b"\0\5\26\7",
        ".DS_Store": b"x",
        "report.pdf": b"%PDF",
    }
    submission = collect(upload(tmp_path, files))
    assert log_name(submission) == "homework/submission_log.json"
    assert code_name(submission) == "homework/homework.ipynb"
    ignored = told(submission, NoteLevel.IGNORED)
    for name in ("__MACOSX/", ".DS_Store", ".ipynb_checkpoints/", "._submission_log.json", "report.pdf"):
        assert name in ignored


def test_of_several_logs_the_one_that_fits_best_is_taken(tmp_path: Path) -> None:
    old = log_bytes(time=9e9, attention_by_position_pos=None)
    files = {"submission_log (1).json": LOG, "submission_log (2).json": old, "old_log.json": b"{}"}
    submission = collect(upload(tmp_path, files))
    assert log_name(submission) == "submission_log (1).json"
    assert "submission_log (1).json, chosen because it fits the assignment best" in told(
        submission, NoteLevel.FOUND
    )
    assert "Not used: submission_log (2).json, old_log.json" in told(submission, NoteLevel.IGNORED)


def test_a_json_that_is_nothing_of_this_assignment_is_not_taken_for_the_log(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"sample_data/anscombe.json": b"[]", "homework.ipynb": NOTEBOOK}))
    assert submission.log is None
    assert "Not used: sample_data/anscombe.json" in told(submission, NoteLevel.IGNORED)


def test_of_logs_that_fit_alike_the_newest_is_taken(tmp_path: Path) -> None:
    files = {"submission_log.json": log_bytes(time=2.0), "submission_log (1).json": log_bytes(time=1.0)}
    submission = collect(upload(tmp_path, files))
    assert log_name(submission) == "submission_log.json"
    assert "because it is the newest" in told(submission, NoteLevel.FOUND)


def test_a_notebook_that_defines_the_class_is_taken(tmp_path: Path) -> None:
    files = {"a.ipynb": NOTEBOOK, "z.ipynb": notebook_bytes("x = 1"), "scratch.py": b"y = 1\n"}
    submission = collect(upload(tmp_path, files))
    assert code_name(submission) == "a.ipynb"
    assert "because it defines PytorchTransformer" in told(submission, NoteLevel.FOUND)
    assert "Not used: z.ipynb, scratch.py" in told(submission, NoteLevel.IGNORED)


def test_the_notebook_whose_class_the_log_records_is_taken(tmp_path: Path) -> None:
    other = notebook_bytes(IMPORTS, CLASS.replace("**0.5", ""))
    files = {"submission_log.json": LOG, "a.ipynb": NOTEBOOK, "a (1).ipynb": other}
    submission = collect(upload(tmp_path, files))
    assert code_name(submission) == "a.ipynb"
    assert "the one that your log records" in told(submission, NoteLevel.FOUND)


def test_a_blank_notebook_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    blank = "class PytorchTransformer(nn.Module):\n    def forward(self, seq):\n        out = None\n"
    files = {"filled.py": (IMPORTS + CLASS).encode(), "q.ipynb": notebook_bytes(IMPORTS, blank)}
    assert code_name(collect(upload(tmp_path, files))) == "filled.py"


def test_of_a_notebook_and_its_export_the_notebook_is_taken(tmp_path: Path) -> None:
    files = {"homework.py": (IMPORTS + CLASS).encode(), "homework.ipynb": NOTEBOOK}
    assert code_name(collect(upload(tmp_path, files))) == "homework.ipynb"


def test_a_class_in_a_cell_that_does_not_parse_still_makes_the_notebook_the_code(tmp_path: Path) -> None:
    broken = notebook_bytes(IMPORTS, CLASS + "    def oops(:\n")
    submission = collect(upload(tmp_path, {"submission_log.json": LOG, "homework.ipynb": broken}))
    assert code_name(submission) == "homework.ipynb"


def test_without_the_class_in_the_notebook_the_logs_record_is_run(tmp_path: Path) -> None:
    files = {"submission_log.json": LOG, "homework.ipynb": notebook_bytes("class Transformer: pass")}
    submission = collect(upload(tmp_path, files))
    assert submission.program is not None
    assert submission.program.origin is Origin.LOG
    labels = [cell.label for cell in submission.program.cells]
    assert labels[-1].startswith("code cell 1 "), "the notebook may hold the matrices"
    assert "homework.ipynb defines no class PytorchTransformer" in told(submission, NoteLevel.WARNING)


def test_without_the_class_anywhere_the_notebook_is_run_and_the_name_asked_for(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"homework.ipynb": notebook_bytes("class Transformer: pass")}))
    assert code_name(submission) == "homework.ipynb"
    assert "defines no class PytorchTransformer" in told(submission, NoteLevel.WARNING)


def test_a_script_that_the_notebook_imports_goes_in_front_of_it(tmp_path: Path) -> None:
    files = {"model.py": (IMPORTS + CLASS).encode(), "h.ipynb": notebook_bytes("from model import *\nx = 1")}
    submission = collect(upload(tmp_path, files))
    assert submission.program is not None
    assert [cell.label for cell in submission.program.cells] == [
        "model.py",
        "code cell 1 (from model import *)",
    ]
    assert code_name(submission) == "h.ipynb"


def test_a_notebook_named_json_is_read_for_its_code(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"submission_log.json": NOTEBOOK}))
    assert code_name(submission) == "submission_log.json"
    assert submission.log is not None
    assert not submission.log.readable
    assert "is a notebook under another name" in submission.log.problems[0].message


@pytest.mark.parametrize("name", ["submission_log.ipynb", "submission_log.json.txt", "SUBMISSION_LOG.JSON"])
def test_a_log_under_another_name_is_read(tmp_path: Path, name: str) -> None:
    submission = collect(upload(tmp_path, {name: LOG}))
    assert log_name(submission) == name
    assert submission.log is not None
    assert submission.log.problems == ()


def test_an_empty_upload_and_one_with_only_a_pdf_say_what_to_upload(tmp_path: Path) -> None:
    for files in ({}, {"report.pdf": b"%PDF"}):
        submission = collect(upload(tmp_path, files))
        assert (submission.log, submission.program) == (None, None)
        assert "There is no submission_log.json. Upload" in told(submission, NoteLevel.WARNING)
        assert "There is no code of yours" in told(submission, NoteLevel.WARNING)


@pytest.mark.parametrize(
    ("name", "reason"), [("report.pdf", "is not a .json"), ("gone.json", "There is no file")]
)
def test_a_single_file_that_cannot_be_opened_is_an_upload_error(
    tmp_path: Path, name: str, reason: str
) -> None:
    if name == "report.pdf":
        upload(tmp_path, {name: b"%PDF"})
    with pytest.raises(UploadError, match=reason):
        collect(tmp_path / name)


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_bytes(LOG)
    folder = upload(tmp_path / "upload", {"homework.ipynb": NOTEBOOK})
    (folder / "submission_log.json").symlink_to(secret)
    (folder / "more").symlink_to(tmp_path)
    submission = collect(folder)
    assert submission.log is None
    warnings = told(submission, NoteLevel.WARNING)
    assert "submission_log.json is a symbolic link and was not followed" in warnings
    assert "more is a symbolic link and was not followed" in warnings
    with pytest.raises(UploadError, match="symbolic link"):
        collect(folder / "submission_log.json")


def test_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "submission_log.json")
    submission = collect(upload(tmp_path, {"homework.ipynb": NOTEBOOK}))
    assert submission.log is None
    assert "submission_log.json is not a regular file" in told(submission, NoteLevel.WARNING)
    with pytest.raises(UploadError, match="not a regular file"):
        collect(tmp_path / "submission_log.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    folder = upload(tmp_path, {"homework.ipynb": NOTEBOOK})
    with (folder / "submission_log.json").open("wb") as stream:
        stream.truncate(10**12)
    assert "submission_log.json is larger than 4 MiB" in told(collect(folder), NoteLevel.WARNING)


def test_other_archives_are_asked_for_as_zip(tmp_path: Path) -> None:
    assert "homework.rar cannot be opened" in told(
        collect(upload(tmp_path, {"homework.rar": b"Rar!"})), NoteLevel.WARNING
    )


def test_names_that_act_are_shown_as_escapes_and_cut(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"a\x1b[2J\u202e.json": LOG, f"{'b' * 200}.pdf": b""}))
    assert log_name(submission) == "a\\x1b[2J\\u202e.json"
    assert "b" * 100 not in told(submission, NoteLevel.IGNORED)


def test_more_files_than_can_be_read_are_told(tmp_path: Path) -> None:
    many = {f"n{number}.py": b"x = 1\n" for number in range(MAX_CODE_FILES + 5)}
    submission = collect(upload(tmp_path, {**many, "a.ipynb": NOTEBOOK}))
    assert code_name(submission) == "a.ipynb"
    assert "Not used: 5 more files" in told(submission, NoteLevel.IGNORED)


def test_folders_within_folders_end_somewhere(tmp_path: Path) -> None:
    submission = collect(upload(tmp_path, {"a/" * 40 + "submission_log.json": LOG}))
    assert submission.log is None
    assert "too many folders deep" in told(submission, NoteLevel.WARNING)


def test_the_same_upload_gives_the_same_choice_whenever_it_was_unpacked(tmp_path: Path) -> None:
    files = {"a.ipynb": NOTEBOOK, "b.ipynb": NOTEBOOK}
    folder = upload(tmp_path, files)
    os.utime(folder / "a.ipynb", (9e8, 9e8))
    first = collect(folder)
    os.utime(folder / "b.ipynb", (8e8, 8e8))
    second = collect(folder)
    assert first.program == second.program
    assert first.notices == second.notices
