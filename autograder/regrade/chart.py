"""The distribution of scores as an SVG figure: before and now side by side, no script needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

BINS: Final = 10
_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 16, 14, 34


def distribution(before: Sequence[float], now: Sequence[float], full: float) -> str:
    """Bars per tenth of the full score: `before` (left out if empty) and `now`. full must be positive."""
    old, new = _counts(before, full), _counts(now, full)
    top = _round_up(max(*old, *new, 1))
    parts = [*_axes(top, full)]
    for index in range(BINS):
        first, last = full * index / BINS, full * (index + 1) / BINS
        where = f"{first:g} to {'' if index == BINS - 1 else 'under '}{last:g} points"
        left = _LEFT + index * _bin_width() + 5
        half = (_bin_width() - 10) / 2
        if before:
            parts.append(_bar(left, half, old[index], top, "before", f"{old[index]} before: {where}"))
            parts.append(_bar(left + half, half, new[index], top, "now", f"{new[index]} now: {where}"))
        else:
            parts.append(_bar(left, half * 2, new[index], top, "now", f"{new[index]} now: {where}"))
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Distribution of scores before and now">{"".join(parts)}</svg>'
    )


def _counts(scores: Sequence[float], full: float) -> list[int]:
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, max(0, int(score / full * BINS + 1e-9)))] += 1
    return counts


def _round_up(value: int) -> int:
    """The next round number, half of which is one too."""
    power = 1
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if value <= step * power:
                return step * power
        power *= 10


def _bin_width() -> float:
    return (_WIDTH - _LEFT - _RIGHT) / BINS


def _y(count: float, top: int) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - count / top)


def _bar(left: float, width: float, count: int, top: int, kind: str, title: str) -> str:
    y = _y(count, top)
    height = _HEIGHT - _BOTTOM - y
    label = f'<text x="{left + width / 2:.1f}" y="{y - 3:.1f}" class="count">{count}</text>' if count else ""
    return (
        f'<g><title>{title}</title><rect class="{kind}" x="{left:.1f}" y="{y:.1f}" '
        f'width="{width - 1:.1f}" height="{height:.1f}" rx="1.5"/>{label}</g>'
    )


def _axes(top: int, full: float) -> Iterator[str]:
    for step in sorted({0, top // 2, top}):
        y = _y(step, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="tick end">{step}</text>'
    for index in range(BINS + 1):
        x = _LEFT + index * _bin_width()
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" class="tick">{full * index / BINS:g}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle:.1f}" y="{_HEIGHT - 3}" class="tick">points</text>'
