"""What is shown while the suite works. Draws only when it is told something, so that no sample is taken meanwhile.

A thread that refreshes a spinner would take the interpreter from what is measured.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.report import verdicts
from benchmarks.results import Row

_DRAW_EVERY_S: Final = 0.5


class Screen(Protocol):
    """Hears how a run goes on."""

    def begin(self, figure: str) -> None:
        """A figure is measured from now on."""

    def tell(self, line: str) -> None:
        """What it does at present."""

    def round(self, done: int, of: int) -> None:
        """So many of its present rounds are done."""

    def end(self, figure: str, rows: Sequence[Row], reason: str | None) -> None:
        """It has its rows, or none for a reason."""


class _Lines:
    """For logs and pipes: a line per event, to stderr."""

    def begin(self, figure: str) -> None:
        self.tell(f"{figure} …")

    def tell(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def round(self, done: int, of: int) -> None:
        """Too many for lines."""

    def end(self, figure: str, rows: Sequence[Row], reason: str | None) -> None:
        self.tell(f"{figure}: {reason or verdicts(rows)}")


class _Live:
    """For a terminal: one table that grows."""

    def __init__(self, figures: Sequence[str], live: Live) -> None:
        self._live = live
        self._begun_s = self._drawn_s = time.monotonic()
        self._states: dict[str, tuple[str, str]] = dict.fromkeys(figures, ("", ""))
        self._took_s: dict[str, float] = {}
        self._current = ""

    def begin(self, figure: str) -> None:
        self._current, self._begun_s = figure, time.monotonic()
        self._say("…", "cyan")

    def tell(self, line: str) -> None:
        self._say(line, "cyan")

    def round(self, done: int, of: int) -> None:
        if time.monotonic() - self._drawn_s >= _DRAW_EVERY_S:
            full = 20 * done // of
            self._say(f"{'━' * full}{'╌' * (20 - full)} {done} of {of}", "cyan")

    def end(self, figure: str, rows: Sequence[Row], reason: str | None) -> None:
        self._took_s[figure] = time.monotonic() - self._begun_s
        style = "yellow" if reason else "red" if any(row.held is False for row in rows) else "green"
        self._say(reason or verdicts(rows), style)

    def _say(self, text: str, style: str) -> None:
        self._states[self._current] = (text, style)
        self._drawn_s = time.monotonic()
        table = Table("figure", "", "s", box=None, pad_edge=False)
        for figure, (state, how) in self._states.items():
            took_s = self._took_s.get(figure, self._drawn_s - self._begun_s if figure == self._current else None)
            table.add_row(figure, Text(state, style=how), "" if took_s is None else f"{took_s:.0f}")
        done = len(self._took_s)
        table.add_row("", Text(f"{done} of {len(self._states)} figures", style="dim"), "")
        self._live.update(table, refresh=True)


@contextmanager
def screen(figures: Sequence[str]) -> Generator[Screen]:
    """Show a run of these figures until the block ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _Live(figures, live)
