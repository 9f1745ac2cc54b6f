"""A run as a table on the terminal, and the machine it was made on. Must not know how anything was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Row, Run, Summary, missed

PACKAGES: Final = ("hotconfig", "pydantic", "pydantic-core", "pydantic-settings", "psycopg", "redis", "hiredis")
HEADINGS: Final = ("figure", "n", "p50", "p99", "p99.9", "max", "floor or peer", "ratio", "bound", "held")
_HELD: Final = {True: "yes", False: "NO", None: ""}


def environment(servers: Mapping[str, str], *, quick: bool) -> dict[str, Any]:
    """The machine and the versions that the figures hold for."""
    return {
        "samples": "quick" if quick else "full",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "servers": dict(servers),
    }


def as_cells(row: Row) -> tuple[str, ...]:
    """A row under :data:`HEADINGS`."""
    measured = row.measured
    return (
        f"{row.label} [{row.unit}]",
        str(measured.n),
        *(number(value) for value in (measured.p50, measured.p99, measured.p999, measured.maximum)),
        _floor(row.floor),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.bound is None else f"{'<' if row.below else '≤'} {row.bound:g} {row.judged.value}",
        _HELD[row.held],
    )


def as_text(rows: Sequence[Row]) -> str:
    """A table in plain characters."""
    return aligned([HEADINGS, *(as_cells(row) for row in rows)])


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Columns in plain characters, the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in table)
    )


def verdicts(rows: Sequence[Row]) -> str:
    """How many bounds were held."""
    bounded = [row for row in rows if row.held is not None]
    held = len(bounded) - len(missed(rows))
    return f"{len(rows)} rows, {held} of {len(bounded)} bounds held" if bounded else f"{len(rows)} rows, no bound"


def show(run: Run) -> None:
    """Print the table, how each row came about, the environment, and what was missed or not measured."""
    _print_table(run.rows)
    print()
    for row in run.rows:
        print(f"{row.label}{method(row)}")
    print()
    for name, value in run.environment.items():
        print(f"{name}: {value}")
    for name, reason in run.absent.items():
        print(f"not measured: {name}: {reason}")
    for name, reason in run.failed.items():
        print(f"failed: {name}: {reason}")
    for row in missed(run.rows):
        print(f"missed: {row.label}")


def method(row: Row) -> str:
    """How a row came about, its further numbers included."""
    against = f" against {row.floor_name}" if row.floor_name else ""
    warm_up = f" {row.warm_up} discarded first." if row.warm_up else ""
    also = "".join(f" {name}: {number(value)}." for name, value in row.also.items())
    return f"{against}: {row.how}{warm_up}{also}"


def number(value: float) -> str:
    """Three significant digits, without exponents."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _floor(floor: Summary | None) -> str:
    return "" if floor is None else number(floor.p50)


def _print_table(rows: Sequence[Row]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(as_text(rows))
        return
    console = Console()
    if not console.is_terminal:  # rich would wrap to 80 columns
        print(as_text(rows))
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column(HEADINGS[0], overflow="fold", min_width=24)
    for heading in HEADINGS[1:]:
        table.add_column(heading, justify="right", no_wrap=heading != "bound")
    for row in rows:
        table.add_row(*(Text(cell) for cell in as_cells(row)), style="red" if row.held is False else None)
    console.print(table)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
