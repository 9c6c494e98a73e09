"""report.html in a headless browser, without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


def browse(page: Path, profile: Path, *flags: str, address: str = "") -> str:
    assert CHROMIUM
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --virtual-time-budget=5000"
    )
    command = [CHROMIUM, *quiet.split(), f"--user-data-dir={profile}", *flags, f"{page.as_uri()}{address}"]
    return subprocess.run(command, capture_output=True, timeout=600, check=True).stdout.decode("utf-8")


def drive(report: Path, folder: Path, steps: str, *flags: str) -> Any:
    """Runs steps, which fill `told`, in a copy of the page that allows it; gives `told`."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text("utf-8"))
    script = (
        "<script>const told = {}; const ids = () => state.visible"
        ".map((row) => row.id); const set = (id, value) => { const field = "
        "document.getElementById(id); field.value = value; field.dispatchEvent(new Event('input')); };"
        f"{steps}; const out = document.createElement('pre'); out.id = 'told'; "
        "out.textContent = JSON.stringify(told); document.body.replaceChildren(out);</script>"
    )
    page = folder / "driven.html"
    page.write_text(text.replace("</body>", f"{script}</body>"), "utf-8")
    found = re.search(
        r'<pre id="told">(.*?)</pre>', browse(page, folder / "profile", "--dump-dom", *flags), flags=re.DOTALL
    )
    assert found
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
