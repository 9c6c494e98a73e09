"""A script's bytes to a `Program` of one cell: written by hand, exported by Colab or by nbconvert."""

from __future__ import annotations

import io
import tokenize

from autograder.submission.notebook import Reading, from_sources, refused
from autograder.submission.types import Origin
from autograder.text import NAME_LIMIT, clean


def read_script(name: str, data: bytes) -> Reading:
    """Read a .py in the encoding it declares (PEP 263). Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    text = _decoded(data)
    if text is None:
        return refused(f"{name} is not a text in UTF-8. Save it as UTF-8 and upload it again.")
    if not text.strip():
        return refused(f"{name} is empty. Upload the script or notebook that you worked in.")
    return from_sources(Origin.SCRIPT, name, [(name, text)])


def _decoded(data: bytes) -> str | None:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")  # as some editors and shells on Windows save it
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError, ValueError):
        return None
