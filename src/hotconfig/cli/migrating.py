"""``hotconfig migrate``: bring the schema up to this version, or tell what that would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hotconfig.cli.command import Call, command
from hotconfig.cli.connections import libpq_needed
from hotconfig.cli.exits import NO, OK
from hotconfig.core.errors import UsageError

if TYPE_CHECKING:
    from hotconfig.postgres.migrate import Migration


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "migrate")(migrate)


def migrate(
    call: Call,
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if migrations are pending.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for psql instead; needs no database.")] = False,
    after: Annotated[
        int | None, typer.Option(help="With --sql: leave out migrations up to this number.", min=0)
    ] = None,
) -> int:
    """Create or upgrade hotconfig's tables in PostgreSQL. Safe to run any number of times, from anywhere."""
    if check and sql:
        raise UsageError("--check asks the database and --sql needs none: give one of them")
    if after is not None and not sql:
        raise UsageError("--after goes with --sql: what is applied to a database follows from what it has")
    with libpq_needed():
        from hotconfig.postgres import migrate as migrations  # noqa: PLC0415 - psycopg may find no libpq

    schema = call.connections.schema
    if sql:
        script = migrations.as_sql(schema, after=after or 0)
        if call.out.as_json:
            call.out.document({"schema": schema, "sql": script})
        else:
            call.out.raw(script.rstrip("\n"))
        return OK
    if check:
        pending = migrations.pending(call.connections.database, schema)
        _report(call, "pending", pending, f"schema {schema!r} is up to date")
        return NO if pending else OK
    applied = migrations.migrate(call.connections.database, schema)
    _report(call, "applied", applied, f"schema {schema!r} was up to date already")
    return OK


def _report(call: Call, state: str, found: tuple[Migration, ...], otherwise: str) -> None:
    if call.out.as_json:
        rows = [{"number": m.number, "name": m.name, "checksum": m.checksum} for m in found]
        call.out.document({"schema": call.connections.schema, state: rows})
        return
    for migration in found:
        call.out.line(f"{state} {migration.number:04d} {migration.name}")
    if not found:
        call.out.line(otherwise)
