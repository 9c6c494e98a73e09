"""A script's bytes to a `Program` of one cell: written by hand, exported by Colab or by nbconvert."""

from __future__ import annotations

import io
import tokenize

from autograder.submission.notebook import Reading, from_sources, refused
from autograder.submission.types import Note, NoteLevel, Origin
from autograder.text import NAME_LIMIT, clean


def read_script(name: str, data: bytes) -> Reading:
    """Read a .py in the encoding it declares (PEP 263). Never raises, whatever data is."""
    name = clean(name, NAME_LIMIT)
    notices: tuple[Note, ...] = ()
    text = _decoded(data)
    if text is None and b"\0" not in data:
        # The code may still be right: only its comments and texts are hurt by a wrong guess.
        text = data.decode("cp1252", "replace")
        told = (
            f"{name} is not in UTF-8 and was read as Windows-1252. Save it as UTF-8 if characters look wrong."
        )
        notices = (Note(NoteLevel.WARNING, told),)
    if text is None:
        return refused(f"{name} is not a text in UTF-8. Save it as UTF-8 and upload it again.")
    if not text.strip():
        return refused(f"{name} is empty. Upload the script or notebook that you worked in.")
    reading = from_sources(Origin.SCRIPT, name, [(name, text)])
    return Reading(reading.program, (*notices, *reading.notices))


def _decoded(data: bytes) -> str | None:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")  # as some editors and shells on Windows save it
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError, ValueError):
        return None
