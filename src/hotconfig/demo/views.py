"""How the demo is shown: as a live table in a terminal, as lines elsewhere.

Owns words and layout. Must not know where figures come from.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from hotconfig.demo.places import Place
from hotconfig.demo.processes import NAMES
from hotconfig.demo.protocol import Arrived
from hotconfig.demo.rounds import LIMIT_MS, Measured
from hotconfig.demo.services import STEPS, Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

PACE_S: Final = 0.4
"""Between two changes in a terminal, so that they can be followed by eye; it counts in no figure."""

CAPTION: Final = (
    "Since store.update was called. written: until it returned, the change committed and announced; "
    "seen: until the process read the new value, which may be earlier."
)

MAX_ROWS: Final = 12
"""Rows of the table of what others change; the oldest go first."""


class View(Protocol):
    """What a way of showing has to do. Called by one thread, in this order."""

    def progress(self, line: str) -> None:
        """Something is under way that takes a while."""

    def begin(self) -> None:
        """A round begins."""

    def measured(self, change: Measured) -> None:
        """One of its changes was made."""

    def finish(self, lines: Sequence[str]) -> None:
        """It is over, and this is what to say about it."""

    def invite(self, lines: Sequence[str]) -> None:
        """How to go on by hand."""

    def arrived(self, process: str, change: Arrived) -> None:
        """A process saw a change that somebody made."""

    def close(self) -> None:
        """Leave the terminal in order. May be called at any moment, and twice."""


class Lines:
    """Plain lines: progress on standard error, the rest on ``out``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def progress(self, line: str) -> None:
        _write(sys.stderr, line)

    def begin(self) -> None:
        _write(self._out, CAPTION)
        columns = "".join(f"{f'seen by {name}':>14}" for name in NAMES)
        _write(self._out, f"{'what':24}{'old → new':44}{'written':>10}{columns}")

    def measured(self, change: Measured) -> None:
        step = change.step
        columns = "".join(f"{_ms(change.seen_ms[name]):>14}" for name in NAMES)
        _write(self._out, f"{step.what:24}{_from_to(step.old, step.new):44}{_ms(change.write_ms):>10}{columns}")

    def finish(self, lines: Sequence[str]) -> None:
        for line in lines:
            _write(self._out, line)

    def invite(self, lines: Sequence[str]) -> None:
        self.finish(lines)

    def arrived(self, process: str, change: Arrived) -> None:
        said = f"process {process} sees {change.service}.{change.key}: {_from_to(change.old, change.new)}"
        by = f", by {change.by}" if change.by else ""
        after = "" if change.after_ms is None else f", {_ms(change.after_ms)} after the write"
        _write(self._out, f"{said} (revision {change.revision}{by}{after})")

    def close(self) -> None:
        """Nothing to put in order."""


class Terminal:
    """A live table on standard output, by rich. Needs the extra ``demo`` or ``cli``."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - an extra, of no use to --json

        self._console = Console(highlight=False)
        self._errors = Console(stderr=True, highlight=False)
        self._status = self._errors.status("starting …")
        self._live: Live | None = None
        self._open = ExitStack()
        self._waiting = False
        self._pause = threading.Event()
        self._changes: dict[Step, Measured] = {}
        self._seen: dict[tuple[str, str, int], dict[str, Arrived]] = {}

    def progress(self, line: str) -> None:
        self._errors.print(line, style="dim", markup=False)
        if not self._waiting:
            self._waiting = True
            self._open.enter_context(self._status)

    def begin(self) -> None:
        self.close()
        self._draw(self._round())

    def measured(self, change: Measured) -> None:
        self._changes[change.step] = change
        self._draw(self._round())
        self._pause.wait(PACE_S)

    def finish(self, lines: Sequence[str]) -> None:
        self.close()
        good = all(change.good for change in self._changes.values())
        for line in lines:
            self._console.print(line, style="bold green" if good else "bold red", markup=False)

    def invite(self, lines: Sequence[str]) -> None:
        self._console.print()
        for line in lines:
            # Whole lines, however narrow the terminal: they are to be copied.
            self._console.print(line, markup=False, soft_wrap=True)
        self._console.print()
        self._draw(self._arrivals())

    def arrived(self, process: str, change: Arrived) -> None:
        self._seen.setdefault((change.service, change.key, change.revision), {})[process] = change
        while len(self._seen) > MAX_ROWS:
            self._seen.pop(next(iter(self._seen)))
        self._draw(self._arrivals())

    def close(self) -> None:
        self._live = None
        self._open.close()

    def _draw(self, table: Table) -> None:
        """Draw in the place of the table before, if it is still open."""
        if self._live is None:
            from rich.live import Live  # noqa: PLC0415

            # No refreshing thread: it would compete with what is measured.
            self._live = self._open.enter_context(Live(console=self._console, auto_refresh=False))
        self._live.update(table, refresh=True)

    def _round(self) -> Table:
        table = _table("Eight changes, as two other processes see them", "what", "old → new", "written")
        table.caption, table.caption_justify = CAPTION, "left"
        for step in STEPS:
            change = self._changes.get(step)
            figures = [_colored(change.write_ms), *map(_colored, change.seen_ms.values())] if change else []
            table.add_row(step.what, _escaped(_from_to(step.old, step.new)), *figures)
        return table

    def _arrivals(self) -> Table:
        table = _table("Changes as they arrive — Ctrl-C ends", "what", "old → new", "revision", "by")
        for seen in self._seen.values():
            change = next(iter(seen.values()))
            # No colours: the write and its announcement may be minutes apart when they are made by hand.
            figures = [_after(seen.get(name)) for name in NAMES]
            what = f"{change.service}.{change.key}"
            values = _escaped(_from_to(change.old, change.new))
            table.add_row(what, values, str(change.revision), _escaped(change.by or ""), *figures)
        return table


def started_as(argument: str) -> str:
    """The command line as a shell would take it again, from ``sys.argv[0]``: ``hotconfig``, ``.venv/bin/hotconfig``."""
    path = Path(argument)
    if path.parts[-2:] == ("hotconfig", "__main__.py"):
        return f"{shlex.quote(sys.executable)} -m hotconfig"
    if path.name != "hotconfig" or not path.is_file():
        return "hotconfig"
    found = shutil.which("hotconfig")
    return "hotconfig" if found and path.samefile(found) else shlex.quote(argument)


def by_hand(place: Place, command: str = "hotconfig") -> list[str]:
    """What to type in another terminal. URLs that the user gave are not repeated: they hold the user's password."""
    if place.own:
        urls = [
            f"export HOTCONFIG_DATABASE_URL={shlex.quote(place.database_url)}",
            # redis-cli 7 takes redis://:password@ for a user without a name, whom the server refuses.
            f"export HOTCONFIG_REDIS_URL={shlex.quote(place.redis_url.replace('://:', '://default:', 1))}",
        ]
    else:
        urls = [
            "export HOTCONFIG_DATABASE_URL=…   # the two URLs that you gave",
            "export HOTCONFIG_REDIS_URL=…",
            f"export HOTCONFIG_SCHEMA={place.schema}",
        ]
    table = f"{place.schema}.service_configs"
    # Shown, not sent to a server; and the schema is one of two constants.
    update = f"UPDATE {table} SET value = '0.60' WHERE service = 'ai' AND key = 'threshold'"  # noqa: S608
    return [
        "Now change something yourself, from another terminal. It is shown as the attribute has it: 0.9 for 0.90.",
        *(f"  {line}" for line in urls),
        f"  {command} set ai threshold 0.80 --by you",
        "or with programs that know nothing of hotconfig; what nobody announces is found within about 12 s:",
        f'  psql "$HOTCONFIG_DATABASE_URL" -c "{update}"',
        '  redis-cli -u "$HOTCONFIG_REDIS_URL" PUBLISH config:ai:threshold 0.60',
    ]


def _table(title: str, *columns: str) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        number = column in ("written", "revision")
        table.add_column(column, justify="right" if number else "left", no_wrap=number or column == "what")
    for name in NAMES:
        table.add_column(f"seen by {name}", justify="right", no_wrap=True)
    return table


def _colored(figure: float | None) -> str:
    good = figure is not None and figure < LIMIT_MS
    return f"[{'green' if good else 'red'}]{_ms(figure)}[/]"


def _after(change: Arrived | None) -> str:
    if change is None:
        return ""
    return "seen" if change.after_ms is None else _ms(change.after_ms)


def _escaped(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(text)


def _from_to(old: str | None, new: str | None) -> str:
    return f"{_shown(old)} → {_shown(new)}"


def _shown(text: str | None) -> str:
    return "none" if text is None else text


def _ms(figure: float | None) -> str:
    return "not seen" if figure is None else f"{figure:.1f} ms"


def _write(stream: TextIO, line: str) -> None:
    stream.write(f"{line}\n")
    stream.flush()
