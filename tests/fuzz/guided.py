"""python -m tests.fuzz.guided READER FOLDER: inputs that follow the coverage of a reader's code, by atheris.

    .venv/bin/pip install atheris
    .venv/bin/python -m tests.fuzz.guided log /tmp/log-inputs --seconds 120

FOLDER keeps the inputs that reached something new, for the next run. The first input that is a fault ends
the run and is written to the current folder; one that takes a minute is a fault, too. Not among the tests:
atheris is not for every platform, and takes over the process it runs in.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris, where it has a wheel, or python -m tests.fuzz")
        return 2
    with atheris.instrument_imports(include=["autograder", "json", "zipfile"]):
        from .inputs import SAMPLES
        from .readers import READERS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long (60)")
    asked = parser.parse_args()
    reader = READERS[asked.reader]

    def once(data: bytes) -> None:
        reader(data)

    asked.folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(SAMPLES[asked.reader]):
        (asked.folder / f"sample{number}").write_bytes(sample)
    options = [f"-max_total_time={asked.seconds}", "-timeout=60", "-print_final_stats=1", str(asked.folder)]
    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
