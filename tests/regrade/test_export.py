from __future__ import annotations

import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.errors import UploadError, UsageError
from autograder.regrade.export import read_export
from autograder.regrade.types import Entry, Score
from autograder.regrade.uploads import digest_of
from tests.regrade.exports import METADATA, files_of, path_of, write_plain, zipped

TWO = {"11": {"a.txt": "one", "sub/b.txt": "two"}, "12": {"a.txt": "three"}}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "assignment_9_export"
    write_plain(folder, {name: {"a.txt": files["a.txt"]} for name, files in TWO.items()})
    (folder / "submission_11" / "sub").mkdir()
    (folder / "submission_11" / "sub" / "b.txt").write_text("two")
    return folder


def metadata(folder: Path, text: str) -> dict[str, Entry]:
    (folder / METADATA).write_text(text, "utf-8")
    return {entry.id: entry for entry in read_export(folder).entries}


def test_a_folder_and_its_zip_give_the_same_entries_and_uploads(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "export.zip")
    for one, other in zip(read_export(export).entries, read_export(path).entries, strict=True):
        assert replace(one, upload=None) == replace(other, upload=None)
        assert files_of(one, export) == files_of(other, path)
        assert digest_of(files_of(one, export)) == digest_of(files_of(other, path))


def test_a_zip_is_unpacked_to_the_files_of_the_folder(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "export.zip")
    entry = read_export(path).entries[0]
    place = path_of(entry, path, tmp_path)
    found = {p.relative_to(place).as_posix(): p.read_text() for p in place.rglob("*") if p.is_file()}
    assert found == TWO["11"]


def test_the_export_may_lie_one_folder_down(export: Path) -> None:
    assert len(read_export(export.parent).entries) == 2


def test_keys_that_are_missing_are_left_empty(export: Path) -> None:
    entries = metadata(export, "submission_11:\n  :submitters:\n  - :name: Ana\nsubmission_12: {}\n")
    assert (entries["11"].submitters[0].name, entries["11"].submitters[0].email) == ("Ana", "")
    assert entries["12"].submitters == ()
    assert entries["12"].before == Score()


def test_a_student_number_keeps_its_zeros(export: Path) -> None:
    entries = metadata(export, "submission_11:\n  :submitters:\n  - :sid: 00123\n    :name: No\n")
    assert (entries["11"].submitters[0].sid, entries["11"].submitters[0].name) == ("00123", "No")


def test_tags_of_ruby_are_read_as_plain_data(export: Path) -> None:
    text = (
        "submission_11: !ruby/object:Submission\n  :score: 7.5\n  :results: !ruby/hash:Hash\n    tests: []\n"
    )
    before = metadata(export, text)["11"].before
    assert before is not None
    assert before.total == 7.5


def test_a_damaged_entry_is_told_and_costs_nobody_else(export: Path) -> None:
    (export / METADATA).write_text(
        "submission_11:\n  :score: [1, {\nsubmission_12:\n  :score: 3.0\n", "utf-8"
    )
    found = read_export(export)
    assert [entry.id for entry in found.entries] == ["11", "12"]
    assert found.entries[0].before == Score()
    assert found.entries[1].before.total is not None
    assert "submission_11" in found.notes[0]


def test_references_inside_references_do_not_blow_up(export: Path) -> None:
    bomb = "".join(f"  :k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(40))
    entries = metadata(export, f"submission_11:\n{bomb}  :submitters: *a39\n  :score: 2\n")
    assert entries["11"].before.total is not None
    assert entries["11"].submitters == ()


def test_an_old_score_that_is_no_number_is_none(export: Path) -> None:
    entries = metadata(export, "submission_11:\n  :score: .nan\nsubmission_12:\n  :score: lots\n")
    assert entries["11"].before == Score()
    assert entries["12"].before == Score()


def test_an_entry_without_files_is_there_with_its_damage(export: Path) -> None:
    entries = metadata(export, "submission_99:\n  :submitters:\n  - :name: Ana\n")
    assert entries["99"].upload is None
    assert "submission_99" in entries["99"].damage


def test_files_without_an_entry_are_graded_without_a_name(export: Path) -> None:
    entries = metadata(export, "submission_11: {}\n")
    assert entries["12"].upload is not None
    assert entries["12"].submitters == ()


def test_a_folder_of_anything_has_one_submission_per_folder_or_file(tmp_path: Path) -> None:
    (tmp_path / "ana").mkdir()
    for name in ("ben.ipynb", "chen.json", "chen.ipynb", ".hidden"):
        (tmp_path / name).touch()
    assert {entry.id for entry in read_export(tmp_path).entries} == {"ana", "ben", "chen.json", "chen.ipynb"}


def test_a_zip_of_anything_has_one_submission_per_folder_or_file(tmp_path: Path) -> None:
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("class/ana/log.json", "1")
        archive.writestr("class/ben/log.json", "2")
        archive.writestr("class/chen.json", "3")
    entries = {entry.id: entry for entry in read_export(path).entries}
    assert set(entries) == {"ana", "ben", "chen"}
    (single,) = path_of(entries["chen"], path, tmp_path).iterdir()
    assert (single.name, single.read_text()) == ("chen.json", "3")


def test_a_name_that_cannot_be_a_file_name_becomes_an_id_that_can(tmp_path: Path) -> None:
    (tmp_path / "Ána / 1".replace("/", "∕")).mkdir()
    (tmp_path / "-rf").mkdir()
    ids = [entry.id for entry in read_export(tmp_path).entries]
    assert len(set(ids)) == 2
    assert all(name.isascii() and name[0].isalnum() and " " not in name for name in ids)


def test_links_and_paths_that_leave_the_zip_are_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    link = zipfile.ZipInfo("x/submission_1/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"x/{METADATA}", "submission_1: {}\n")
        archive.writestr("x/submission_1/log.json", "1")
        archive.writestr(link, "/etc/passwd")
        archive.writestr("x/submission_1/../../../evil", "1")
    found = read_export(path)
    place = path_of(found.entries[0], path, tmp_path)
    assert [file.name for file in place.rglob("*")] == ["log.json"]
    assert len(found.notes) == 2


def test_a_link_in_a_folder_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "class" / "ana").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "class" / "ana" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "class" / "ben").symlink_to(tmp_path)
    found = read_export(tmp_path / "class")
    assert [(entry.id, files_of(entry, tmp_path)) for entry in found.entries] == [("ana", ())]
    assert found.notes == ("left out: ben is a link", "left out: ana/link is a link")


def test_a_damaged_member_costs_its_own_submission_only(export: Path, tmp_path: Path) -> None:
    path = zipped(export, tmp_path / "export.zip")
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("assignment_77_export/submission_12/a.txt").header_offset
    data = bytearray(path.read_bytes())
    data[at + 40 + len("assignment_77_export/submission_12/a.txt") - 8] ^= 0xFF
    path.write_bytes(data)
    first, second = read_export(path).entries
    assert digest_of(files_of(first, path))
    with pytest.raises(UploadError):
        files_of(second, path)


@pytest.mark.parametrize("name", ["nothing", "text.zip", "empty"])
def test_what_is_no_export_is_refused_in_plain_words(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=name):
        read_export(tmp_path / name)


def folders_of(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "submission_log.json").write_text("{}")
    return root


def test_no_two_submissions_share_an_id_however_alike_their_folders_are(tmp_path: Path) -> None:
    names = ["a", "A", "a-ca978112", "A-559aead0", "a b", "a/b".replace("/", "∕"), "a-b"]
    entries = read_export(folders_of(tmp_path, *names)).entries
    assert len({entry.id.casefold() for entry in entries}) == len(names)


def test_folder_names_in_any_script_are_kept_to_be_shown(tmp_path: Path) -> None:
    names = ["Ána García", "李雷", "علی\u200cرضا"]
    assert {entry.folder for entry in read_export(folders_of(tmp_path, *names)).entries} == set(names)


def test_metadata_beside_other_folders_hide_nobody(tmp_path: Path) -> None:
    (folders_of(tmp_path, "ana", "ben") / METADATA).write_text("submission_1:\n  :score: 3\n")
    found = read_export(tmp_path)
    assert [entry.id for entry in found.entries] == ["ana", "ben"]
    assert "belongs to none of these folders" in found.notes[0]
    folders_of(tmp_path, "submission_1")
    assert {entry.id for entry in read_export(tmp_path).entries} == {"ana", "ben", "1"}


def test_the_metadata_in_the_only_upload_set_no_name_no_id_and_no_score(tmp_path: Path) -> None:
    (folders_of(tmp_path, "ana") / "ana" / METADATA).write_text("submission_1:\n  :score: 100\n")
    (entry,) = read_export(tmp_path).entries
    assert (entry.id, entry.before, entry.submitters) == ("ana", Score(), ())


def test_canvas_files_are_grouped_by_student(tmp_path: Path) -> None:
    for name in ("ruizana_11_901_submission_log.json", "ruizana_11_902_hw.ipynb", "lil_LATE_12_903_hw.ipynb"):
        (tmp_path / name).write_text("{}")
    entries = {entry.id: entry for entry in read_export(tmp_path).entries}
    assert set(entries) == {"ruizana_11", "lil_12"}
    place = path_of(entries["ruizana_11"], tmp_path, tmp_path)
    assert {file.name for file in place.iterdir()} == {"submission_log.json", "hw.ipynb"}


def test_a_folder_that_is_one_submission_is_told_and_not_graded_as_several(tmp_path: Path) -> None:
    for name in ("submission_log.json", "hw.ipynb"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match="looks like one submission"):
        read_export(tmp_path)


def test_a_readme_beside_the_folders_is_asked_about(tmp_path: Path) -> None:
    (folders_of(tmp_path, "ana", "ben") / "README.md").write_text("notes")
    with pytest.raises(UsageError, match=r"README.md: is that a submission\?"):
        read_export(tmp_path)
    assert len(read_export(tmp_path, folders_only=True).entries) == 2


def tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    return root


def as_zip(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("zipped_too", [False, True])
@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (
            (
                "Ana García_1042_assignsubmission_file_/submission_log.json",
                "Ana García_1042_assignsubmission_file_/hw.ipynb",
                "Ben Li_1043_assignsubmission_file_/submission_log.json",
            ),
            ["Ana-Garc-a_1042_assignsubmission_file_-", "Ben-Li_1043_assignsubmission_file_-"],
        ),
        (("ana/ps1/hw.ipynb", "ana/ps1/timestamp.txt", "ben/ps1/hw.ipynb"), ["ana", "ben"]),
        (
            ("ruizana_11_901_hw.ipynb", "ruizana_11_902_submission_log.json", "lil_LATE_12_903_hw.ipynb"),
            ["lil_12", "ruizana_11"],
        ),
    ],
    ids=["moodle", "nbgrader", "canvas"],
)
def test_the_tree_of_another_system_is_a_class(
    tmp_path: Path, files: tuple[str, ...], ids: list[str], zipped_too: bool
) -> None:
    export = tree(tmp_path / "submitted", *files)
    if zipped_too:
        export = as_zip(export, tmp_path / "export.zip")
    entries = read_export(export).entries
    assert len(entries) == len(ids)
    for entry, expected in zip(sorted(entries, key=lambda one: one.id), ids, strict=True):
        assert entry.id.startswith(expected)
        place = path_of(entry, export, tmp_path)
        assert any(file.suffix in (".ipynb", ".json") for file in place.rglob("*"))


def test_a_student_called_as_another_ones_files_are_hides_nobody(tmp_path: Path) -> None:
    export = tree(tmp_path, "ruizana_11/hw.ipynb", "ruizana_11_901_hw.ipynb")
    assert len(read_export(export).entries) == 2
