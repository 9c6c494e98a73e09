"""report.html: one file that shows whose grade moves and why, without a network.

The summary is plain HTML made here; the table of submissions is drawn by the page's own script from
data embedded as JSON. The page's policy allows nothing but this one script and this one style, so
even a slip in escaping could not run what a student wrote.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from autograder.regrade.page_data import page_data
from autograder.regrade.sections import summary
from autograder.regrade.state import replace
from autograder.regrade.types import Row

_PAGE: Final = Path(__file__).resolve().parent / "page"


def write_report(rows: Sequence[Row], notes: Sequence[str], path: Path, *, anonymous: bool) -> None:
    """Put report.html in its place. anonymous: no names, student numbers or emails in it."""
    style = (_PAGE / "report.css").read_text("utf-8")
    script = (_PAGE / "report.js").read_text("utf-8")
    data = page_data(rows, anonymous=anonymous)
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Regrade</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{summary(rows, notes, data, anonymous=anonymous)}\n"
        f'<script type="application/json" id="data">{_embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )
    replace(path, page.encode("utf-8", "replace"), durable=True)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _embedded(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
