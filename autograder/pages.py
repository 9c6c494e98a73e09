"""Every HTML page: Jinja2's templates in autograder/templates, escaped, each page loads nothing.

Whatever a page shows goes through `text.clean` on its way out, whoever wrote it. Outputs in HTML are the
grader's own and stand as they are; the page's policy lets nothing run but the page's own script.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from autograder.errors import UsageError, writing
from autograder.text import clean, points

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
SECTION_TITLES: Final = {
    "submission_log": "Submission log",
    "pytorch_transformer": "PyTorch transformer",
    "attention_by_content": "Attention by content",
    "attention_by_position": "Attention by position",
    "unique_tokens": "Unique tokens (optional)",
}
_BESIDE: Final = ("people", "facts", "reasons", "report", "id", "before", "comparisons", "learned")
"""What else a submission's page may show. before: an old `Score`. report: what links back to id in it."""
_MAX_TEXT: Final = 100_000
_PLACE: Final = re.compile(r"(?P<label>[^\n;:]{1,80}?),? line (?P<line>\d{1,6})\b")
_MAX_CODE_LINES: Final = 3000
"""Of one file; the assignment's own notebook has some 700."""


@cache
def _environment() -> Environment:
    # Imported here: grading without --html has no need of it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = points
    return environment


def _shown(value: object) -> object:
    """What stands for a value on a page: text without what acts; markup is the grader's own."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return clean(value, _MAX_TEXT, lines=True, joiners=True)
    return value


def markup(html: str, **shown: object) -> Any:
    """Text that is HTML already, the grader's own; what is in its braces is shown, and escaped."""
    from markupsafe import Markup

    return Markup(html).format(**shown) if shown else Markup(html)  # noqa: S704 - the grader's own


def image(png: bytes, width: int, words: str) -> Any:
    """A picture that is in the page itself. width: in pixels of the page. words: what it shows."""
    return markup(
        '<img style="width:{width}px" alt="{words}" src="data:image/png;base64,{data}">',
        **{"width": width, "words": clean(words, _MAX_TEXT), "data": base64.b64encode(png).decode("ascii")},
    )


def there(path: str) -> Path:
    """A submission that a command names, as argparse's type. Raises UsageError if there is no such file."""
    if not os.path.lexists(path):
        raise UsageError(f"there is no {path}: name a folder, .ipynb, .py, .json or .zip")
    return Path(path)


def write_page(html: str, path: Path, label: str) -> None:
    """Write a page and print where it is, as label. Raises UsageError if it cannot be written."""
    with writing(f"the {label} cannot be written to {path}"):
        path.write_text(html, encoding="utf-8")
    print(f"{label}: {path}")


def render(template: str, title: str, script: str = "", **context: Any) -> str:
    """One page, complete. title: text. script: a file beside the template. context: what it names."""
    from autograder.version import version_line

    code = (_TEMPLATES / script).read_text("utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            style=markup((_TEMPLATES / "style.css").read_text("utf-8")),
            script=markup(code),
            script_hash=markup(f"sha256-{digest}"),
            version=version_line(),
            **context,
        )
    )


def submission_page(
    results: Mapping[str, Any],
    title: str = "Grading report",
    *,
    files: Sequence[Sequence[str]] = (),
    before_of: Mapping[str, Any] = MappingProxyType({}),
    only: str = "",
    **context: Any,
) -> str:
    """One submission: scores, messages, pictures, and what else is known of it.

    results: a complete results.json. files: labels and sources, in which the lines that messages name are
    marked. before_of: the old tests, by the title that they have now. only: the number of the one check that
    is told of. context: what the template shows beside, of _BESIDE.
    """
    every = results.get("tests", ())
    tests = [test for test in every if only in ("", test.get("number"))]
    checks = [_check(index, test, before_of.get(_label(test))) for index, test in enumerate(tests)]
    sections = defaultdict[str, list[dict[str, Any]]](list)
    for check in checks:
        if check["told"] or check["before_message"]:
            sections[check["section"]].append(check)
    marks = _marks(str(test.get("output", "")) for test in tests)
    return render(
        "submission.html",
        title,
        score=results.get("score", 0),
        total=sum(test.get("max_score") or 0 for test in every),
        passed=sum(test.get("status") == "passed" for test in every),
        graded=sum("status" in test for test in every),
        output=_told(results),
        checks=checks,
        sections=sections,
        files=[(label, source.splitlines()[:_MAX_CODE_LINES], marks[label]) for label, source in files],
        **(dict.fromkeys(_BESIDE, ()) | context),
    )


def _check(index: int, test: Mapping[str, Any], old: Any) -> dict[str, Any]:
    verdict, kind = _verdict(test)
    score, worth = test.get("score") or 0, test.get("max_score")
    changed = old is not None and (old.message or old.score != score)
    return {
        "index": index,
        "label": _label(test),
        "verdict": verdict,
        "kind": kind,
        "points": f"{score:g} of {worth:g}" if worth else "no points",
        "told": _told(test),
        "section": SECTION_TITLES.get((test.get("tags") or [""])[0], "Other checks"),
        "before": "–" if old is None else f"{points(old.score)} of {points(old.max_score)}",
        "before_message": old.message or "(no message)" if changed else "",
    }


def _label(test: Mapping[str, Any]) -> str:
    return f"{test.get('number', '')} {test.get('name', '')}".strip()


def _verdict(test: Mapping[str, Any]) -> tuple[str, str]:
    """In words and with a sign, since colour alone tells nothing to some readers; and its CSS class."""
    if test.get("status") == "passed":
        return "✓ passed", "passed"
    if test.get("status") == "failed":
        return ("◐ partly right", "partly") if test.get("score") else ("✗ not right", "failed")
    attempted = not str(test.get("output", "")).startswith("Not attempted")
    return ("– not graded" if attempted else "○ not attempted"), "neither"


def _told(result: Mapping[str, Any]) -> Any:
    """The output of a test or of the whole: text, or the grader's own HTML."""
    text = str(result.get("output") or "")
    return markup(text) if result.get("output_format") == "html" else text


def _marks(outputs: Iterable[str]) -> dict[str, set[int]]:
    """The lines that messages name, by the label of their cell or file."""
    marks = defaultdict[str, set[int]](set)
    for output in outputs:
        for found in _PLACE.finditer(output[:_MAX_TEXT]):
            words = found["label"].split()
            for start in range(max(0, len(words) - 6), len(words)):
                label = " ".join(words[start:]).strip("(\"'“”<>")
                marks[label].add(int(found["line"]))
    return marks
