"""python -m tests.fuzz.guided READER: inputs that follow the coverage of a reader's code, by atheris.

    .venv/bin/pip install atheris
    .venv/bin/python -m tests.fuzz.guided log --seconds 120

Ends at the first input that is a fault, and writes it to the current folder; a minute for one input is
a fault, too. Not among the tests: atheris is not for every platform, and owns the process it runs in.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .inputs import SAMPLES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("reader", choices=SAMPLES)
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long (60)")
    asked = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris, where it has a wheel, or python -m tests.fuzz")
        return 2
    with atheris.instrument_imports(include=["autograder", "json", "zipfile"]):
        from .readers import READERS
    reader = READERS[asked.reader]

    def once(data: bytes) -> None:
        reader(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, sample in enumerate(SAMPLES[asked.reader]):
            Path(corpus, str(number)).write_bytes(sample)
        options = [f"-max_total_time={asked.seconds}", "-timeout=60", "-print_final_stats=1", corpus]
        atheris.Setup([sys.argv[0], *options], once)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
