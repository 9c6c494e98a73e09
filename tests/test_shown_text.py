"""Every text that a student controls reaches every output through one function that lets no character act."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.answers.answer import Answer
from tests.answers.every import BY_NAME
from tests.answers.run import log_of
from tests.answers.upload import notebook_text

ROOT = Path(__file__).parents[1]
ODD = "\x07\x1b[31m\x85\x9b\u202e\u2066\u2028\u2029\u200f\ufeff\u00ad"
"""Control, C1, bidirectional, line-separator, mark, byte order and soft hyphen."""
NAME = ODD.replace("\x85", "")  # what a member of a .zip or a file may be called, too
CELL = f"""
import numpy as np
class Matrix(list):
    pass
Matrix.__name__ = Matrix.__qualname__ = {ODD!r}
Km = Qm = Vm = Matrix()
"""
FORWARD = {
    "an exception's message": f"raise ValueError({ODD!r} + 'x')",
    "an exception's type": f"raise type({ODD!r}, (Exception,), {{}})()",
    "an attribute's name": f"self.register_parameter({ODD!r}, self.Km.weight); return getattr(self, {ODD!r})",
    "a missing attribute": f"return getattr(self, {ODD!r})",
    "a line of the source": f"return 1 / 0 # {ODD}".replace("\u2028", "").replace("\u2029", ""),
    "a type that is returned": f"return type({ODD!r}, (), {{}})()",
    "what is printed": f"print({ODD!r}); raise KeyError({ODD!r})",
}


def acting(text: str) -> list[str]:
    """The characters of a text that act instead of showing, but line ends and tabs."""
    return [
        f"U+{ord(char):04X} in {text[max(0, i - 40) : i + 20]!r}"
        for i, char in enumerate(text)
        if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    ]


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in (
        value.items() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    ):
        yield from texts(inner)


def written(folder: Path, answer: Answer, cells: str = "") -> Path:
    """An upload whose every name and text is odd."""
    inner = folder / f"in{NAME}"
    inner.mkdir(parents=True)
    log = json.loads(log_of(BY_NAME["plain"]))
    log |= {"torch_transformer_forward": ODD, f"key {ODD}": ODD, "attention_by_content_Q": [ODD]}
    (inner / f"submission_log{NAME}.json").write_text(json.dumps(log))
    book = json.loads(notebook_text(answer))
    sources = (cells, f"x = {ODD!r}\nraise OSError(x)", f"!ls {ODD}", f"%magic{ODD}")
    book["cells"] += [{"cell_type": "code", "metadata": {}, "outputs": [], "source": s} for s in sources]
    (inner / f"home{NAME}.ipynb").write_text(json.dumps(book))
    (folder / f"notes{NAME}.py").write_text(f"# {ODD}\nimport os.{ODD}\n", errors="surrogatepass")
    (folder / f"other{NAME}.7z").write_bytes(b"7z")
    return folder


def run(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).decode("utf-8")


@pytest.mark.parametrize("place", FORWARD)
def test_no_character_of_an_upload_acts_in_what_is_written_about_it(place: str, tmp_path: Path) -> None:
    forward = BY_NAME["plain"]
    answer = Answer(
        "odd", forward=FORWARD[place], unique=CELL if place == "what is printed" else forward.unique
    )
    upload = written(tmp_path / f"up{NAME}", answer, CELL)
    terminal = run(upload, "--html", "page.html", cwd=tmp_path)
    results = json.loads((tmp_path / "results.json").read_bytes())
    page = unescape(
        re.sub(r"<script.*?</script>", "", (tmp_path / "page.html").read_text("utf-8"), flags=re.S)
    )
    shown = [*texts(results), terminal, page]
    assert len(results["tests"]) == 14
    assert [found for text in shown for found in acting(text)] == []


def test_no_character_of_an_export_acts_in_its_tables_and_pages(tmp_path: Path) -> None:
    export, out = tmp_path / "export", tmp_path / "OUT"
    answer = Answer("odd", forward=FORWARD["an exception's message"])
    for folder in (f"submission_{NAME}1", "submission_2"):
        written(export / folder, answer)
    person = {":name": f"Ann {ODD}", ":sid": ODD, ":email": f"a{ODD}@uni.example"}
    metadata = {"submission_2": {":submitters": [person], ":created_at": ODD, ":score": 1.0}}
    (export / "submission_metadata.yml").write_text(json.dumps(metadata))
    terminal = run("regrade", export, "-o", out, "--jobs", "1", cwd=tmp_path)
    files = [path for path in out.rglob("*") if path.suffix in (".csv", ".html", ".json")]
    assert {path.suffix for path in files} == {".csv", ".html", ".json"}
    found = {"terminal": acting(terminal.replace("\rRegrading: ", "\n"))}  # a bar is drawn anew on its line
    for path in files:
        text = path.read_text("utf-8-sig")
        shown = list(texts(json.loads(text))) if path.suffix == ".json" else [unescape(text)]
        if path.parent.name != "state":  # what a worker read, for the next run: never shown as it is
            found[path.name] = [one for each in shown for one in acting(each.replace("\r\n", "\n"))]
    assert {name: bad for name, bad in found.items() if bad} == {}
