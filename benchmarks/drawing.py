"""Pictures as SVG, by hand: axes, lines, bars. Must not know what is measured.

A hundred lines in place of matplotlib, whose install is larger than everything else that the suite needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

COLOURS: Final = ("#0b6bcb", "#c2410c", "#6b7280", "#0f766e")
"""Of the measured arm, its floor, and further lines; told apart by those who do not see red from green, too."""
_LIMIT: Final = "#b91c1c"
_INK: Final = "#1f2937"
_FAINT: Final = "#e5e7eb"
_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 62, 44
_BAR: Final = 22

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[Point]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: how far it reaches, where its limit stands, what is written beside it."""

    name: str
    value: float
    limit: float
    text: str


def chart(title: str, x_name: str, y_name: str, lines: Sequence[Line], *, y_log: bool, limit: Point | None) -> str:
    """Lines over a logarithmic x axis. ``limit`` is a vertical (x, 0) or a horizontal (0, y) line."""
    points = [point for line in lines for point in line.points]
    limits = [limit] if limit else []
    x, x_ticks = _scale([p[0] for p in points + limits if p[0] > 0], _LEFT, _WIDTH - _RIGHT, log=True)
    ys = [p[1] for p in points + limits if p[1] > 0 or not y_log] if y_log else [0.0, 1.0]
    y, y_ticks = _scale(ys, _HEIGHT - _BOTTOM, _TOP, log=y_log)
    parts = [_text(_LEFT, 20, title, weight="bold", size=14)]
    for tick in x_ticks:
        parts += [_stroke([(x(tick), _TOP), (x(tick), _HEIGHT - _BOTTOM)], _FAINT, 1)]
        parts += [_text(x(tick), _HEIGHT - _BOTTOM + 16, label(tick), anchor="middle")]
    for tick in y_ticks:
        parts += [_stroke([(_LEFT, y(tick)), (_WIDTH - _RIGHT, y(tick))], _FAINT, 1)]
        parts += [_text(_LEFT - 6, y(tick) + 4, label(tick), anchor="end")]
    parts += [_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_name, anchor="middle")]
    parts += [_text(_LEFT, _TOP - 8, y_name)]
    if limit:
        upright: list[Point] = [(x(limit[0]), _TOP), (x(limit[0]), _HEIGHT - _BOTTOM)] if limit[0] else []
        ends = upright or [(_LEFT, y(limit[1])), (_WIDTH - _RIGHT, y(limit[1]))]
        parts += [_stroke(ends, _LIMIT, 1.5, dashed=True)]
    beside = float(_LEFT)
    for line, colour in zip(lines, COLOURS * len(lines), strict=False):
        placed = [(x(px), y(py)) for px, py in line.points if px > 0 and (py > 0 or not y_log)]
        parts += [_stroke(placed, colour, 2)]
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>' for px, py in placed if line.marked]
        parts += [_stroke([(beside, 34), (beside + 18, 34)], colour, 3), _text(beside + 23, 38, line.name)]
        beside += 45 + 6.4 * len(line.name)
    if limit:
        parts += [_stroke([(beside, 34), (beside + 18, 34)], _LIMIT, 1.5, dashed=True), _text(beside + 23, 38, "bound")]
    return _svg(_WIDTH, _HEIGHT, title, parts)


def bars(title: str, listed: Sequence[Bar], *, name_width: int = 330) -> str:
    """Horizontal bars, each as a share of its own limit; the limit stands at one place for all."""
    full = 190.0
    height = 60 + _BAR * len(listed)
    at_limit = name_width + full / 2
    parts = [_text(10, 20, title, weight="bold", size=14), _text(at_limit, 42, "bound", anchor="middle")]
    for number, bar in enumerate(listed):
        top = 50 + number * _BAR
        share = bar.value / bar.limit if bar.limit else 2.0
        held = share <= 1
        width = max(2.0, min(share, 2.0) * full / 2)
        colour = COLOURS[0] if held else COLOURS[1]
        parts += [_text(name_width - 8, top + 13, bar.name, anchor="end")]
        parts += [f'<rect x="{name_width}" y="{top}" width="{width:.1f}" height="{_BAR - 6}" fill="{colour}" rx="2"/>']
        over = " »" if share > 2 else ""
        parts += [_text(name_width + full + 8, top + 13, f"{bar.text}{over}")]
    parts += [_stroke([(at_limit, 46), (at_limit, height - 8)], _LIMIT, 1.5, dashed=True)]
    return _svg(name_width + int(full) + 180, height, title, parts)


def label(value: float) -> str:
    """A number at an axis."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"


def _scale(
    values: Sequence[float], begin: float, end: float, *, log: bool
) -> tuple[Callable[[float], float], list[float]]:
    """Where a number stands, and the ticks."""
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    if not log:
        return lambda value: begin + (value - low) / ((high - low) or 1) * (end - begin), [0, 0.25, 0.5, 0.75, 1]
    low, high = math.log10(low) - 0.03, math.log10(high) + 0.03
    low, high = (low, high) if high - low > 0.2 else (low - 0.1, high + 0.1)
    steps: Iterable[float] = (1,) if high - low > 2.5 else (1, 2, 5) if high - low > 0.4 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    ticks = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    shown = [float(f"{tick:.6g}") for tick in ticks if low <= math.log10(tick) <= high]
    return lambda value: begin + (math.log10(value) - low) / (high - low) * (end - begin), shown


def _stroke(points: Sequence[Point], colour: str, width: float, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = f'font-family="system-ui, sans-serif" fill="{_INK}" role="img"'
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return f"{head} {font}><title>{escape(title)}</title>{ground}{''.join(parts)}</svg>\n"
