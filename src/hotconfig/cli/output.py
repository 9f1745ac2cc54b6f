"""Where answers, notes and errors go: tables and lines for people, one JSON document for programs.

Owns both streams. Must not know what is told. Values are never taken for markup or terminal commands.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hotconfig.cli.exits import OUTPUT_CLOSED
from hotconfig.core.printable import printable

MAX_CELL: Final = 200
"""Characters of a value in a table. ``get SERVICE KEY`` and ``--json`` give all of it."""
EMPTY: Final = "(empty)"
NULL: Final = "NULL"
WITHHELD: Final = "(sensitive)"
_PIPE_WIDTH: Final = 100_000
"""Lines of a table are not folded when a program reads them."""
STYLES: Final = {"problem": "bold red", "warning": "yellow", "note": "cyan", "ok": "green"}


class Output:
    """What one command says. Used by one thread.

    With ``as_json`` notes are collected and go into the document; else they go to stderr at once.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._notes: list[str] = []
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)

    @property
    def interactive(self) -> bool:
        """Whether a person watches stdout."""
        return self._out.is_terminal

    def document(self, document: Mapping[str, Any]) -> None:
        """The one JSON document of a command, with the notes so far if there are any."""
        whole = dict(document) | ({"notes": self._notes} if self._notes else {})
        self.raw(json.dumps(whole, ensure_ascii=False, indent=2))

    def json_line(self, document: Mapping[str, Any]) -> None:
        """One of several documents, on a line of its own."""
        self.raw(json.dumps(document, ensure_ascii=False))

    def raw(self, text: str) -> None:
        """Text exactly as it is, and a line feed."""
        try:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            _give_up()

    def line(self, text: str, style: str = "") -> None:
        """One line for people."""
        self._print(Text(shown(text), style=style))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
        """Aligned columns."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
        self._print(table)

    def note(self, text: str) -> None:
        """Something worth knowing that is no answer."""
        if self.as_json:
            self._notes.append(text)
        else:
            self._complain("note: ", text, STYLES["note"])

    def urgent(self, text: str) -> None:
        """A note that cannot wait for the end of the command: always to stderr, at once."""
        if self.as_json:
            sys.stderr.write(json.dumps({"note": text}, ensure_ascii=False) + "\n")
            sys.stderr.flush()
        else:
            self._complain("note: ", text, STYLES["note"])

    def error(self, kind: str, text: str) -> None:
        """Why the command failed."""
        if self.as_json:
            sys.stderr.write(json.dumps({"error": {"type": kind, "message": text}}, ensure_ascii=False) + "\n")
            sys.stderr.flush()
        else:
            self._complain("error: ", text, STYLES["problem"])

    def _complain(self, label: str, text: str, style: str) -> None:
        self._err.print(Text.assemble((label, style), shown(text)), soft_wrap=True)

    def _print(self, what: Table | Text) -> None:
        try:
            self._out.print(what, soft_wrap=isinstance(what, Text))
            self._out.file.flush()
        except BrokenPipeError:
            _give_up()


class _Console(Console):
    """Lets a broken pipe be seen; rich would exit by itself, with another code."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def shown(text: str) -> str:
    """``text`` on one line and harmless to a terminal: what cannot be printed stands as an escape."""
    return printable(text)


def cell(value: str | None) -> str | Text:
    """A value for a table; NULL and the empty text look different from the texts ``NULL`` and ``""``."""
    if value is None:
        return Text(NULL, style="dim italic")
    if not value:
        return Text(EMPTY, style="dim italic")
    return value if len(value) <= MAX_CELL else f"{value[:MAX_CELL]}… ({len(value):,} characters)"


def tolerate_any_text() -> None:
    """Let both streams escape characters that the terminal's encoding lacks, rather than fail on them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _PIPE_WIDTH
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _give_up() -> None:
    """Nobody reads any more. What is still buffered must not fail again when Python exits."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    raise typer.Exit(OUTPUT_CLOSED)
