"""Every number that staff may want to change: seeds, tolerances, sizes, limits.

The assignment's own numbers stand in `autograder/assignment.py`, points and visibility in the
decorators of `autograder/checks`.
Sizes are in bytes, times in seconds.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- Tolerances: |got - expected| <= ATOL + RTOL * |reference side|, as np.allclose has it. ---
RTOL: Final = 1e-3
"""The notebook's relative tolerance, for the model and for the hand-designed tasks."""
TASK_ATOL: Final = 1e-8
"""The notebook's absolute tolerance for the hand-designed tasks (np.allclose's default)."""
MODEL_ATOL: Final = 1e-5
"""Absolute tolerance of the model's outputs and gradients: the rounding of float32 near zero."""

# --- Seeds of the grader's own cases. ---
EXTRA_CASES_SEED: Final = 20231
"""Cases of 2.2 and 2.3 beyond the notebook's."""
OTHER_SIZES_SEED: Final = 20232
"""Sizes and numbers of the cases of 2.4, which are not shown: change it, and let nobody see it."""
GRADIENT_SEED: Final = 20233

# --- What an upload may hold. ---
LOG_ALONE: Final[bool] = False
"""True: the class is taken from the log alone; notebooks and scripts are named, and not graded."""
MAX_UPLOAD_FILES: Final = 2000
MAX_FILE_BYTES: Final = 64 * MIB
"""A notebook with a hundred figures in its outputs is a few MiB."""
MAX_UPLOAD_BYTES: Final = 256 * MIB
"""All files of the upload together, after unpacking."""
MAX_UPLOAD_DEPTH: Final = 12
"""Folders within folders."""
MAX_ARCHIVE_ENTRIES: Final = 20_000
"""Entries in one .zip, wanted or not."""
MAX_CODE_BYTES: Final = 256 * KIB
"""Python source of one notebook or script; the assignment's notebook has 40 KiB."""
MAX_CODE_FILES: Final = 20
"""Notebooks, scripts and logs of one upload that are looked into."""
MAX_LOG_BYTES: Final = 4 * MIB
MAX_MATRIX_ITEMS: Final = 100_000
"""Numbers in one array of the log."""

# --- Limits of the student's code. An honest upload, on a machine ten times slower, meets none. ---
LOAD_CPU_SECONDS: Final = 20.0
"""CPU time for running the notebook's statements; after it, only definitions are loaded."""
CALL_CPU_SECONDS: Final = 10.0
"""CPU time for one call of the student's model."""
WALL_FACTOR: Final = 6.0
"""Wall-clock limits are the CPU limits times this: Gradescope's default is half a CPU."""
MAX_FAILED_ATTEMPTS: Final = 3
"""After so many attempts that died or hung, the calls left are not run."""
MEMORY_BYTES: Final = 512 * MIB
"""Address space of the student's code beyond what the fork server has mapped: all processes together then
stay below 1 GiB."""
MAX_ANSWER_BYTES: Final = 4 * MIB
"""The largest honest one: four matrices of MAX_MATRIX_ITEMS numbers."""
UPLOAD_CPU_SECONDS: Final = 75.0
"""CPU time of all programs, attempts and calls of one upload together."""
UPLOAD_WALL_SECONDS: Final = 150.0
"""The same by the clock: what half a CPU takes for it."""
MAX_TEXT_BYTES: Final = 4 * KIB
"""One text that comes from the student's code: an error's message, a name."""

# --- Limits of the grader's own work. An honest upload comes nowhere near them. ---
PART_CPU_SECONDS: Final = 8.0
"""CPU time for one part: reading a file, choosing, judging a check, explaining a mistake."""
GRADE_WALL_SECONDS: Final = 235.0
"""The last resort: a grader that takes longer is ended, and its results say so."""
GRADER_MEMORY_BYTES: Final = 512 * MIB
"""Address space of the grader's process beyond what it has mapped at its start."""

# --- What results.json may hold. Gradescope keeps it in a database and shows it on one page. ---
MAX_OUTPUT_BYTES: Final = 64 * KIB
"""The output of one test, as JSON; a text that is longer is cut, one in HTML is replaced."""
MAX_RESULTS_BYTES: Final = 1 * MIB
"""The whole file."""

# --- Training, for `compare` alone: the notebook's loop. ---
TRAIN_STEPS: Final = 10_001
TRAIN_LEARNING_RATE: Final = 0.03
TRAIN_SEED: Final = 227
"""The notebook seeds the first training with it, and the third one, on unique tokens, not at all."""
TRAIN_CPU_SECONDS: Final = 60.0
"""CPU time for a thousand steps."""
