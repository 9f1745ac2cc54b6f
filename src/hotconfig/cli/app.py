"""The command ``hotconfig``: all commands put together, and the last word on errors of usage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated, Any, Final

import typer

from hotconfig.cli import (
    auditing,
    benchmarking,
    demonstrating,
    diagnosing,
    looking,
    migrating,
    relaying,
    watching,
    writing,
)
from hotconfig.cli.checks.local import installed
from hotconfig.cli.exits import MEANINGS, USAGE
from hotconfig.cli.output import Output, tolerate_any_text

_EPILOG: Final = "\n\n".join(["Exit codes:", *(f"* {code}: {meaning}" for code, meaning in MEANINGS.items())])
_USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""The base of everything that parsing raises. typer has it in different places from version to version."""

app: Final = typer.Typer(
    name="hotconfig",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it would print local variables, and with them URLs
    rich_markup_mode="markdown",
    epilog=_EPILOG,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hotconfig {installed('hotconfig')}")
        raise typer.Exit


@app.callback()
def _hotconfig(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Typed configuration that changes while your services run.

    PostgreSQL holds the values and their history, Redis carries the news. Every command finds both through
    HOTCONFIG_DATABASE_URL and HOTCONFIG_REDIS_URL, or through its options.
    """


demonstrating.add_to(app)
migrating.add_to(app)
looking.add_to(app)
writing.add_to(app)
watching.add_to(app)
relaying.add_to(app)
auditing.add_to(app)
diagnosing.add_to(app)
benchmarking.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error of ours or of usage is told, not raised."""
    tolerate_any_text()
    # To `bench` itself, --json is a file to write.
    as_json = "--json" in takewhile(lambda word: word != "--", arguments) and list(arguments[:1]) != ["bench"]
    try:
        result: Any = app(args=list(arguments), prog_name="hotconfig", standalone_mode=not as_json)
    except _USAGE_ERROR as error:
        describe = getattr(error, "format_message", error.__str__)
        Output(as_json=True).error("UsageError", describe())
        return USAGE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE
    return result if isinstance(result, int) else 0
