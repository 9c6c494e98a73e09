"""The measurements, as commands that anyone can run after `./setup.sh --dev`:

    .venv/bin/python -m benchmarks.grading       one grade, against importing torch
    .venv/bin/python -m benchmarks.attempts      one more upload, where torch is there already
    .venv/bin/python -m benchmarks.alternatives  the same upload, graded by what staff would otherwise use
    .venv/bin/python -m benchmarks.regrade       a whole class
    .venv/bin/python -m benchmarks.environment   making the environment, against pip alone

Each says in its docstring what it measures, and prints ratios against a floor taken in the same run.
"""
