"""Writes happy_path.txt: the project's modules that grading a perfect upload imports."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.performance.test_happy_path import MODULES, UPLOADS, observe, own


def main() -> None:
    """Grade the perfect upload and write what that imported."""
    with tempfile.TemporaryDirectory() as folder:
        modules = own(observe(UPLOADS / "perfect", Path(folder)))
    MODULES.write_text("".join(f"{name}\n" for name in sorted(modules)), encoding="utf-8")


if __name__ == "__main__":
    main()
