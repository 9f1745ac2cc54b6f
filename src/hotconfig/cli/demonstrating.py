"""``hotconfig demo``: registers the demo; what it does is not here."""

from __future__ import annotations

from typing import Annotated

import typer

from hotconfig.cli.connections import Connections, libpq_needed
from hotconfig.cli.exits import code_of
from hotconfig.cli.output import Output
from hotconfig.core.errors import HotConfigError


def add_to(app: typer.Typer) -> None:
    """Register the command. Its URLs never come from the environment: it would write to a production database."""
    app.command("demo")(demo)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Show one round, then end; needs no terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A PostgreSQL instead of the embedded one; the schema 'hotconfig_demo' is made there, and stays.",
        ),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(metavar="URL", help="A Redis instead of the embedded Valkey.")
    ] = None,
) -> None:
    """Watch changes reach other processes within milliseconds, on a real PostgreSQL and a real Valkey.

    Starts both for itself and takes them away again; nothing has to be installed or set up. Exits with 1 if a change
    took 100 ms or more, or was not seen. Without --once it goes on showing what you change, until Ctrl-C.
    """
    try:
        with libpq_needed():
            from hotconfig.demo import run_demo  # noqa: PLC0415 - pulls in much that no other command needs

        code = run_demo(once=once, as_json=as_json, database_url=database_url, redis_url=redis_url)
    except HotConfigError as error:
        told = Connections(database_url, redis_url, "").redacted(str(error))
        Output(as_json=as_json).error(type(error).__name__, told)
        code = code_of(error)
    raise typer.Exit(code)
