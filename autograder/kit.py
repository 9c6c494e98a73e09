"""`run_autograder kit`: what students may run themselves before they upload.

The kit is the grader's own package without what is secret: the solutions, the checks that are hidden or whose
inputs are, with those inputs' seeds and sizes, and the models that the grader has for itself.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from autograder.bundle import add_output, write_files
from autograder.errors import GraderFault
from autograder.version import PROJECT, grading_files, version_line

WITHHELD: Final = ("2.4",)
"""Numbers of the checks whose inputs students do not see."""
SECRETS: Final = {"OTHER_SIZES_SEED": "0", "OTHER_SIZES": "()"}
"""What gives those inputs, by the constants' names, and what stands in the kit instead."""
MODEL: Final = "ReferenceModel"
"""The grader's own PytorchTransformer, which only `compare` needs."""
_LEFT_OUT: Final = ("reference/solutions.py", "requirements.txt")
_ADDED: Final = "autograder/at_home.py"
_BORROWED: Final = ("gradescope_utils/", "gradescope_utils-")
"""gradescope-utils, which Colab does not have; of its metadata, the licence."""
_CHECK: Final = "autograder/templates/check.py.txt"
"""What students run; WITHHELD and VERSION in it are replaced."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and give its exit status. Raises UsageError and GraderFault."""
    parser = argparse.ArgumentParser(
        prog="run_autograder kit",
        description="Write what students may run themselves before they upload, without solutions.",
    )
    add_output(parser, "check.zip")
    output = parser.parse_args(arguments).output
    files = kit_files(PROJECT)
    write_files(output, {f"check/{name}": content for name, content in files.items()})
    print(f"{output}: {len(files)} files, {output.stat().st_size:,} bytes, {version_line()}")
    return 0


def kit_files(root: Path) -> dict[str, bytes]:
    """The kit's files by name. Raises GraderFault if something secret is not where it is looked for."""
    texts = {
        name: (root / name).read_text(encoding="utf-8")
        for name in (*grading_files(root), _ADDED)
        if name.endswith((".py", ".json")) and name not in _LEFT_OUT
    }
    found: list[str] = []
    files = {name: _without_secrets(text, found).encode() for name, text in texts.items()}
    wanted = {*WITHHELD, *SECRETS, MODEL}
    if set(found) != wanted:
        raise GraderFault(f"no kit was written: {', '.join(sorted(wanted - set(found)))} is not where it was")
    files["LICENSE"] = (root / "LICENSE").read_bytes()
    check = (root / _CHECK).read_text(encoding="utf-8")
    files["check.py"] = (
        check.replace("WITHHELD", ", ".join(WITHHELD)).replace("VERSION", version_line()).encode()
    )
    return files | _borrowed()


def _borrowed() -> dict[str, bytes]:
    package = distribution("gradescope-utils")
    return {
        str(path): Path(str(package.locate_file(path))).read_bytes()
        for path in package.files or ()
        if str(path).startswith(_BORROWED) and (path.suffix == ".py" or path.name == "LICENSE")
    }


def _without_secrets(source: str, found: list[str]) -> str:
    """The source without what is secret; what was taken out is added to found."""
    lines = source.splitlines(keepends=True)
    for first, last, instead in sorted(_cuts(ast.parse(source), found), reverse=True):
        lines[first - 1 : last] = [instead]
    return "".join(lines)


def _cuts(tree: ast.Module, found: list[str]) -> Iterator[tuple[int, int, str]]:
    """The first and last line of each thing to take out, and what stands there instead."""
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)) if name in SECRETS:
                found.append(name)
                yield node.lineno, node.end_lineno or 0, f"{name} = {SECRETS[name]}\n"
            case ast.ClassDef(owner, body=members):
                for method in (one for one in members if isinstance(one, ast.FunctionDef)):
                    number, last = _decorated(method, "number"), method.end_lineno or 0
                    if number in WITHHELD:
                        found.append(str(number))
                    if number in WITHHELD or _decorated(method, "visibility") not in (None, "visible"):
                        yield method.decorator_list[0].lineno, last, "    # withheld\n"
                    elif owner == MODEL:
                        found.append(MODEL)
                        yield method.body[0].lineno, last, "        raise NotImplementedError\n"


def _decorated(method: ast.FunctionDef, decorator: str) -> object:
    """The argument that a method's decorator of that name has; None without one."""
    for call in method.decorator_list:
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == decorator:
            return call.args[0].value if isinstance(call.args[0], ast.Constant) else ast.unparse(call.args[0])
    return None
