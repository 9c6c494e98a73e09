"""results.json as one HTML page for a person: scores, messages, pictures, nothing loaded from elsewhere.

Outputs in HTML are the grader's own and stand as they are; everything else is escaped, and the page's own
policy lets nothing run and nothing load, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_SECTIONS: Final = {
    "submission_log": "Submission log",
    "pytorch_transformer": "PyTorch transformer",
    "attention_by_content": "Attention by content",
    "attention_by_position": "Attention by position",
    "unique_tokens": "Unique tokens (optional)",
}
_OTHER: Final = "Other checks"
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")

_STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: #1b2330; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 24px 16px 64px; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; }
h2 { margin: 40px 0 12px; font-size: 1.2rem; }
h3 { margin: 0; font-size: 1rem; flex: 1 1 12rem; }
a { color: #0b4f9c; }
.score { margin: 8px 0 0; font-size: 1.15rem; }
.score strong { font-size: 1.6rem; }
table { border-collapse: collapse; width: 100%; margin: 24px 0 0; background: #fff; }
caption { text-align: left; padding: 0 0 8px; color: #4a5668; }
th, td { padding: 6px 10px; border: 1px solid #d6dce5; text-align: left; font-weight: normal; }
thead th { background: #e9edf3; }
td { white-space: nowrap; }
td.points { text-align: right; }
article { margin: 12px 0; padding: 14px 16px; background: #fff; border: 1px solid #d6dce5;
  border-left: 6px solid #8a94a3; border-radius: 6px; }
article.passed { border-left-color: #1d7a3e; }
article.failed { border-left-color: #b3261e; }
article.partly { border-left-color: #b26a00; }
article header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; }
article header span { white-space: nowrap; }
.message { margin-top: 10px; }
.message p { margin: 0 0 8px; }
.message img { border: 1px solid #d6dce5; border-radius: 4px; padding: 4px; margin-top: 8px; }
pre { margin: 0; font: 0.875rem/1.5 ui-monospace, monospace; }
pre.text { white-space: pre-wrap; }
.upload { margin: 24px 0 0; padding: 14px 16px; background: #fff; border: 1px solid #d6dce5;
  border-radius: 6px; }
@media (max-width: 480px) { th, td { padding: 4px 6px; font-size: 0.875rem; } }
@media print { body { background: #fff; } article { break-inside: avoid; } }
""".strip()


def html_report(results: Mapping[str, Any], title: str = "Grading report") -> str:
    """One self-contained page. results: a complete results.json, as `results` gives it. title: text."""
    tests: Sequence[Mapping[str, Any]] = results.get("tests", ())
    total = sum(test.get("max_score") or 0 for test in tests)
    passed = sum(test.get("status") == "passed" for test in tests)
    graded = sum("status" in test for test in tests)
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<main>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="score"><strong>{results.get("score", 0):g}</strong> of {total:g} points; '
        f"{passed} of {graded} checks passed.</p>",
    ]
    if results.get("output"):
        told = _message(results["output"], results.get("output_format", "text"))
        parts.append(f'<section class="upload" aria-label="About the upload">{told}</section>')
    if tests:
        parts.append(_overview(tests))
    for name, group in _told_by_section(tests):
        parts.append(f"<section>\n<h2>{escape(name)}</h2>")
        parts += [_article(index, test) for index, test in group]
        parts.append("</section>")
    parts.append("</main>\n</body>\n</html>\n")
    return "\n".join(parts)


def _told_by_section(
    tests: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[tuple[int, Mapping[str, Any]]]]]:
    """The tests with something to say, with their places in the list, under headings by their first tags."""
    groups: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for index, test in enumerate(tests):
        if test.get("output"):
            tag = (test.get("tags") or [""])[0]
            groups.setdefault(_SECTIONS.get(tag, tag or _OTHER), []).append((index, test))
    return list(groups.items())


def _overview(tests: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for index, test in enumerate(tests):
        label = escape(_label(test))
        if test.get("output"):
            label = f'<a href="#check-{index}">{label}</a>'
        cells = f'<td>{_verdict(test)}</td><td class="points">{_points(test)}</td>'
        rows.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    head = '<tr><th scope="col">Check</th><th scope="col">Verdict</th><th scope="col">Points</th></tr>'
    body = "\n".join(rows)
    return (
        f"<table>\n<caption>All checks</caption>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _article(index: int, test: Mapping[str, Any]) -> str:
    kind = {"✓": "passed", "✗": "failed", "◐": "partly"}.get(_verdict(test)[0], "neither")
    head = f"<h3>{escape(_label(test))}</h3><span>{_verdict(test)}, {_points(test)}</span>"
    message = _message(test["output"], test.get("output_format", "text"))
    return (
        f'<article id="check-{index}" class="{kind}">\n<header>{head}</header>\n'
        f'<div class="message">{message}</div>\n</article>'
    )


def _label(test: Mapping[str, Any]) -> str:
    return f"{test.get('number', '')} {test.get('name', '')}".strip()


def _verdict(test: Mapping[str, Any]) -> str:
    """In words and with a sign: colour alone tells nothing to some readers."""
    if test.get("status") == "passed":
        return "✓ passed"
    if test.get("status") != "failed":
        return "– not graded"
    return "◐ partly right" if test.get("score") else "✗ not right"


def _points(test: Mapping[str, Any]) -> str:
    if not test.get("max_score"):
        return "no points"
    return f"{test.get('score') or 0:g} of {test['max_score']:g}"


def _message(text: str, text_format: str) -> str:
    if text_format == "html":
        return text
    if text_format == "ansi":
        text = _COLOURS.sub("", text)
    return f'<pre class="text">{escape(text)}</pre>'
