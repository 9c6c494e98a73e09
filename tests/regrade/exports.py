"""Writes exports as Gradescope writes them, of any size, from answers of every sort."""

from __future__ import annotations

import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from autograder.regrade.export import opened_zip
from autograder.regrade.types import Entry, PackedFile
from autograder.regrade.uploads import carried, unpack
from tests.answers.answer import PLAIN_FORWARD, PLAIN_START, Answer
from tests.answers.run import log_of
from tests.answers.upload import LOG, NOTEBOOK, Files, notebook_text, script_text

METADATA = "submission_metadata.yml"
FIRST_ID = 310_000
RUBRIC = {"2.2": 10.0, "2.3": 10.0, "3.2": 20.0, "4.2": 20.0}

RIGHT = Answer("plain")
EINSUM = replace(
    RIGHT,
    name="einsum",
    forward=PLAIN_START
    + "scores = torch.einsum('id,jd->ij', Q, K) / math.sqrt(self.d_k)\n"
    + "out = torch.einsum('ij,jv->iv', scores.softmax(-1), V)\n",
)
WHOLE_NUMBERS = replace(
    RIGHT, name="whole numbers", content="Km = 70 * np.eye(3, dtype=int)\nQm = Vm = np.eye(3)\n"
)
NO_SCALE = replace(RIGHT, name="no scale", forward=PLAIN_FORWARD.replace(" / math.sqrt(self.d_k)", ""))
QUERIES = replace(
    RIGHT, name="softmax over the queries", forward=PLAIN_FORWARD.replace("dim=-1) @", "dim=0) @")
)
SOFT = replace(RIGHT, name="soft", content="Km = 3 * np.eye(3)\nQm = Vm = np.eye(3)\n")
LAST = replace(
    RIGHT,
    name="last token",
    position=RIGHT.position.replace("[[25.0]], np.zeros((3, 1))", "[[-25.0]], np.zeros((3, 1))"),
)
EXITS = replace(RIGHT, name="exits", forward="import os\nos._exit(3)\n" + PLAIN_FORWARD)
GREEDY = replace(RIGHT, name="greedy", forward="torch.ones(1 << 33)\n" + PLAIN_FORWARD)
LOUD = replace(RIGHT, name="loud", forward="print('x' * 100_000)\n" + PLAIN_FORWARD)
HANGS = replace(RIGHT, name="hangs", forward="while True:\n    pass\n" + PLAIN_FORWARD)
SPIES = replace(
    RIGHT,
    name="spies",
    forward="import socket\nopen('/etc/passwd').read()\nsocket.create_connection(('192.0.2.1', 80))\n"
    + PLAIN_FORWARD,
)


def _both(answer: Answer) -> Files:
    return {LOG: log_of(answer), NOTEBOOK: notebook_text(answer)}


def _script(answer: Answer) -> Files:
    return {"submission_log (1).json": log_of(answer), "hw.py": script_text(answer)}


Kind = Callable[[], Files]
"""The files of an upload; the time in its log and a comment in its code become the student's own."""
KINDS: Mapping[str, tuple[int, Kind]] = {
    "right": (30, lambda: _both(RIGHT)),
    "right, einsum": (12, lambda: _both(EINSUM)),
    "right, a script": (6, lambda: _script(WHOLE_NUMBERS)),
    "right, the log alone": (8, lambda: {LOG: log_of(RIGHT)}),
    "no scale": (12, lambda: _both(NO_SCALE)),
    "softmax over the queries": (6, lambda: _both(QUERIES)),
    "soft": (8, lambda: _both(SOFT)),
    "away from the first": (6, lambda: _both(LAST)),
    "log cut in half": (3, lambda: {LOG: log_of(RIGHT)[:900], NOTEBOOK: notebook_text(RIGHT)}),
    "a PDF": (2, lambda: {"answer.pdf": "%PDF-1.4 nothing"}),
    "exits": (3, lambda: {NOTEBOOK: notebook_text(EXITS)}),
    "greedy": (2, lambda: {NOTEBOOK: notebook_text(GREEDY)}),
    "loud": (2, lambda: _both(LOUD)),
    "spies": (2, lambda: {LOG: log_of(RIGHT), NOTEBOOK: notebook_text(SPIES)}),
}
"""By name, with how many of a hundred there are. One that hangs costs its time limit, so it is extra."""


def write_export(
    folder: Path,
    size: int,
    *,
    seed: int = 0,
    kinds: Mapping[str, tuple[int, Kind]] = KINDS,
    hanging: int = 0,
    damaged: int = 0,
) -> dict[str, str]:
    """Write an export of that size into a new folder; gives the kind of each id.

    hanging: how many of the uploads hang, the first ones. damaged: how many more entries there are that
    are damaged, each in the next of the ways in DAMAGES.
    """
    dice = random.Random(seed)
    names = list(kinds)
    shares = [share for share, _ in kinds.values()]
    metadata: list[str] = []
    chosen: dict[str, str] = {}
    for number in range(size + damaged):
        key = f"submission_{FIRST_ID + number}"
        known = entry(number, dice)
        if number >= size:
            name = list(DAMAGES)[(number - size) % len(DAMAGES)]
            files, told = DAMAGES[name](key, known)
        else:
            name = "hangs" if number < hanging else dice.choices(names, shares)[0]
            # No log can come of an upload that hangs: its student has one from an earlier answer.
            files = {LOG: log_of(RIGHT), NOTEBOOK: notebook_text(HANGS)}
            files, told = files if number < hanging else kinds[name][1](), as_yaml({key: known})
        if files is not None:
            _write(folder / key, _own(files, number))
        metadata.append(told)
        chosen[str(FIRST_ID + number)] = name
    write_text(folder, "".join(metadata))
    return chosen


def _own(files: Files, number: int) -> Files:
    """The files as one student's: another time in the log, another comment in the code."""
    return {
        name: text.replace("1700000000.5", f"{1_700_000_000 + 977 * number}.25").replace(
            "# left for later", f"# left for later by student {number}"
        )
        for name, text in files.items()
    }


def _write(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def entry(number: int, dice: random.Random) -> dict[str, Any]:
    """What Gradescope knows of a submission: alone or in a group, on time or late, at the n-th attempt."""
    group = 2 if dice.random() < 0.1 else 1
    day = 9 if dice.random() < 0.1 else 1
    scores = {number: points if dice.random() < 0.8 else 0.0 for number, points in RUBRIC.items()}
    return {
        ":submitters": [
            {
                ":name": f"Zoë Øster {number}-{i}",
                ":sid": f"0{number:05d}{i}",
                ":email": f"s{number}.{i}@uni.example",
            }
            for i in range(group)
        ],
        ":created_at": f"2024-03-0{day} 1{number % 10}:00:00.123456789 Z",
        ":score": sum(scores.values()),
        ":status": "processed",
        ":results": {
            "tests": [
                {
                    "name": f"{key}) a check",
                    "number": key,
                    "score": score,
                    "max_score": RUBRIC[key],
                    "output": "" if score else "Test Failed: <b>False</b> is not true\n  at line 3",
                }
                for key, score in scores.items()
            ]
        },
        ":history": [{":score": 0.0, ":created_at": "2024-02-28 10:00:00 Z"}] * dice.choice((0, 0, 1, 3)),
    }


def as_yaml(metadata: Mapping[str, Any]) -> str:
    return yaml.dump(dict(metadata), allow_unicode=True, sort_keys=False)


def write_text(folder: Path, text: str) -> None:
    """The metadata, as they stand in the file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METADATA).write_text(f"---\n{text}", encoding="utf-8")


Damage = Callable[[str, dict[str, Any]], tuple[Files | None, str]]
"""Of a key and its entry: the upload, None if it has no folder, and what the metadata say of it."""
ODD_NAMES = (
    '=HYPERLINK("http://x.example")',
    'O\'Neil, "Bob"\nJr.',
    "\u202eevil\u0000\x1b[31m",
    "علی\u200cرضا",
)
DAMAGES: Mapping[str, Damage] = {
    "an entry cut in half": lambda key, _: (_both(RIGHT), f'{key}:\n  :submitters:\n  - :name: "An\n'),
    "an entry that is nothing": lambda key, _: (_both(RIGHT), f"{key}: ~\n"),
    "an entry of nothings": lambda key, known: (_both(SOFT), as_yaml({key: dict.fromkeys(known)})),
    "an entry of other sorts": lambda key, known: (
        _both(RIGHT),
        as_yaml({key: {":submitters": 7, ":score": ".nan", ":results": {"tests": [None, {"name": [1]}]}}}),
    ),
    "odd names": lambda key, known: (
        _both(NO_SCALE),
        as_yaml({key: {**known, ":submitters": [{":name": name, ":sid": "+1"} for name in ODD_NAMES]}}),
    ),
    "brackets without an end": lambda key, _: (_both(RIGHT), f"{key}:\n  :score: {'[' * 20_000}\n"),
    "no entry": lambda key, _: (_both(RIGHT), ""),
    "no folder": lambda key, known: (None, as_yaml({key: known})),
    "an empty folder": lambda key, known: ({}, as_yaml({key: known})),
    "a zip cut in half": lambda key, known: ({"hw.zip": "PK\x03\x04 and no more"}, as_yaml({key: known})),
}
"""Ways in which an entry of an export may be damaged or odd, by name."""


def zipped(folder: Path, path: Path) -> Path:
    """The export as the zip that Gradescope gives: everything below one folder of any name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path("assignment_77_export", file.relative_to(folder)))
    return path


def files_of(entry: Entry, export: Path) -> tuple[PackedFile, ...]:
    """What would be graded of an entry of this export."""
    assert entry.upload is not None
    if export.is_dir():
        return tuple(carried(entry.upload, None))
    with opened_zip(export) as archive:
        return tuple(carried(entry.upload, archive))


def path_of(entry: Entry, export: Path, folder: Path) -> Path:
    """The same, unpacked into a new folder below this one."""
    return unpack(files_of(entry, export), Path(tempfile.mkdtemp(dir=folder)))


def write_plain(folder: Path, uploads: Mapping[str, Mapping[str, str]]) -> Path:
    """An export with one submission for each id, of these files: for a grader that is not the real one."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, files in uploads.items():
        _write(folder / f"submission_{name}", files)
    dice = random.Random(1)
    write_text(folder, as_yaml({f"submission_{name}": entry(i, dice) for i, name in enumerate(uploads)}))
    return folder
