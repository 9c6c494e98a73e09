from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def public_names(module: Path) -> Iterator[str]:
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.AnnAssign(ast.Name(name)):
                yield name
            case ast.Assign([ast.Name(name)]):
                yield name


def test_no_two_public_things_have_one_name() -> None:
    modules = defaultdict[str, list[str]](list)
    for package in ("autograder", "reference"):
        for module in sorted((ROOT / package).rglob("*.py")):
            for name in public_names(module):
                modules[name].append(module.relative_to(ROOT).as_posix())
    assert len(modules) > 300
    twice = {name: where for name, where in modules.items() if len(where) > 1 and not name.startswith("_")}
    assert twice.keys() == {"main"}  # of each command
