"""Which pictures a run has: bounds at a glance, the distribution of every latency, how things grow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.drawing import Bar, Line, Point, bars, chart
from benchmarks.report import number
from benchmarks.results import Judged, Row, Run, Summary

TIMES: Final = ("ns", "µs", "ms", "s")
_BOUNDED: Final = {Judged.P50: 0.5, Judged.P99: 0.99, Judged.P999: 0.999, Judged.MAXIMUM: 1.0}
_TEXT: Final = 48


def pictures(run: Run) -> Mapping[str, str]:
    """The SVG documents by file name, in the order of the report."""
    found = dict(_bounds(run))
    for row in run.rows:
        if row.unit in TIMES and row.measured.n > 1 and row.along is None:
            found[file_name(row)] = _distribution(row)
    for rows in _grown(run):
        found[file_name(rows[0])] = _growth(rows)
        for what in rows[0].also:
            if sum(row.also.get(what, 0) > 0 for row in rows) < 2:
                continue  # a logarithmic axis has no room for zeros
            found[f"{_slug(f'{rows[0].figure} {what} along {rows[0].along}')}.svg"] = _further(rows, what)
    return found


def file_name(row: Row) -> str:
    """The picture of a row: its distribution, or how it grows."""
    if row.along is not None:
        return f"{_slug(f'{row.figure} {row.name} along {row.along} {row.unit}')}.svg"
    return f"{_slug(f'{row.label} {row.unit}')}.svg"


def _bounds(run: Run) -> Iterator[tuple[str, str]]:
    listed = [
        Bar(
            name=_cut(row.label),
            value=row.value,
            limit=row.bound,
            text=f"{number(row.value)} {'<' if row.below else '≤'} {row.bound:g} {row.judged.value}",
        )
        for row in run.rows
        if row.value is not None and row.bound is not None
    ]
    if listed:
        yield "bounds.svg", bars("Every bound, and how much of it is used", listed)


def _distribution(row: Row) -> str:
    lines = [Line("hotconfig", _cdf(row.measured))]
    if row.floor is not None:
        lines.append(Line(_cut(row.floor_name or "floor"), _cdf(row.floor)))
    limit = (row.bound, 0.0) if row.bound is not None and row.judged in _BOUNDED else None
    x_name = f"{row.unit}, logarithmic; n = {row.measured.n:,}"
    return chart(row.label, x_name, "share of samples", lines, y_log=False, limit=limit)


def _cdf(summary: Summary) -> list[Point]:
    """A share for every number that was kept. Of a thinned sample the hundred greatest weigh one each."""
    kept, n = summary.kept, summary.n
    body = len(kept) - 100 if n > len(kept) else len(kept)
    weights = [(n - 100) / body] * body + [1.0] * (len(kept) - body) if n > len(kept) else [1.0] * len(kept)
    return [(value, total / n) for value, total in zip(kept, itertools.accumulate(weights), strict=True)]


def _grown(run: Run) -> Iterator[list[Row]]:
    series: dict[tuple[str, str, str], list[Row]] = {}
    for row in run.rows:
        if row.along is not None and row.at is not None:
            series.setdefault((row.figure, row.name, row.unit), []).append(row)
    yield from (sorted(rows, key=lambda row: row.at or 0) for rows in series.values() if len(rows) > 1)


def _growth(rows: list[Row]) -> str:
    first = rows[0]
    parts = {"p50": "p50", "p99": "p99", "max": "maximum"} if any(row.measured.n > 1 for row in rows) else {"": "p50"}
    lines = [
        Line(name or first.unit, [(row.at or 0, getattr(row.measured, part)) for row in rows], marked=True)
        for name, part in parts.items()
    ]
    bounds = {row.bound for row in rows if row.bound is not None and row.judged in _BOUNDED}
    limit = (0.0, bounds.pop()) if len(bounds) == 1 else None
    x_name, y_name = f"{first.along}, logarithmic", f"{first.unit}, logarithmic"
    return chart(f"{first.figure}: {first.name}", x_name, y_name, lines, y_log=True, limit=limit)


def _further(rows: list[Row], what: str) -> str:
    first = rows[0]
    line = Line(first.figure, [(row.at or 0, row.also[what]) for row in rows if what in row.also], marked=True)
    x_name = f"{first.along}, logarithmic"
    return chart(f"{first.figure}: {what}", x_name, "logarithmic", [line], y_log=True, limit=None)


def _cut(text: str) -> str:
    """Shortened in the middle: names differ at both ends."""
    return text if len(text) <= _TEXT else f"{text[: _TEXT // 2]}…{text[-_TEXT // 2 + 1 :]}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("µ", "u")).strip("-")
