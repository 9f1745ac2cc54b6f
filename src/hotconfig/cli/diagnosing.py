"""``hotconfig doctor``: run the checks, say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from hotconfig.cli.checks.local import check_installation
from hotconfig.cli.command import Call, command
from hotconfig.cli.connections import NO_LIBPQ, Connections
from hotconfig.cli.exits import NO, OK
from hotconfig.cli.output import STYLES
from hotconfig.core.errors import ConfigurationError
from hotconfig.core.finding import PROBLEM, Finding
from hotconfig.core.names import check_service


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "doctor")(doctor)


def doctor(
    call: Call,
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Also whether programs can follow these.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Also make commits to the service hotconfig.doctor and time them.")
    ] = False,
) -> int:
    """Check everything between here and a live attribute, and say what to do.

    Libraries, servers, rights, whether programs take what is stored, and latency.

    Publishes to the reserved channels config:hotconfig.doctor:*. Exits with 1 if there is a problem.
    """
    names = [check_service(name) for name in dict.fromkeys(services or [])]
    findings = [_redacted(call.connections, finding) for finding in _examine(call.connections, names, write=write)]
    healthy = not any(finding.state == PROBLEM for finding in findings)
    if call.out.as_json:
        call.out.document({"healthy": healthy, "checks": [finding.document() for finding in findings]})
    else:
        call.out.table(
            ("CHECK", "STATE", "FOUND"), [(f.check, Text(f.state, STYLES[f.state]), f.found) for f in findings]
        )
        for finding in findings:
            if finding.advice:
                call.out.line("")
                call.out.line(f"{finding.state}, {finding.check}: {finding.found}", STYLES[finding.state])
                call.out.line(f"  {finding.advice}")
    return OK if healthy else NO


def _examine(connections: Connections, services: list[str], *, write: bool) -> Iterator[Finding]:
    installation = list(check_installation())
    yield from installation
    able = not any(finding.state == PROBLEM for finding in installation)
    database_url = None
    try:
        database_url = connections.database
    except ConfigurationError as error:
        found = "cannot be used" if connections.database_url else "not configured"
        yield Finding("PostgreSQL", "problem", found, str(error))
    reachable = False
    if database_url is not None:
        examined = list(_examine_database(database_url, connections.schema)) if able else [_unable()]
        yield from examined
        reachable = not any(finding.state == PROBLEM for finding in examined)
    if reachable:
        yield from _examine_stored(connections)
    if reachable and database_url is not None and connections.redis_url:
        yield from _examine_relay(database_url, connections.schema)
    try:
        yield from _examine_news(connections.redis, services)
    except ConfigurationError as error:
        yield Finding("Redis", "problem", "cannot be used", str(error))
    if write and database_url is not None and reachable:
        from hotconfig.cli.checks.rounds import time_everything  # noqa: PLC0415 - late, for speed

        yield from time_everything(database_url, connections.redis_url, connections.schema)


def _examine_database(url: str, schema: str) -> Iterator[Finding]:
    from hotconfig.cli.checks.database import check_database  # noqa: PLC0415 - psycopg may find no libpq
    from hotconfig.cli.checks.rounds import time_database  # noqa: PLC0415

    findings = list(check_database(url, schema))
    yield from findings
    if not any(finding.check == "PostgreSQL" and finding.state == PROBLEM for finding in findings):
        yield from time_database(url)


def _examine_stored(connections: Connections) -> Iterator[Finding]:
    from hotconfig.cli.checks.stored import check_stored  # noqa: PLC0415 - psycopg may find no libpq

    with connections.archive() as archive:
        yield from check_stored(archive)


def _examine_relay(url: str, schema: str) -> Iterator[Finding]:
    from hotconfig.cli.checks.relay import check_relay  # noqa: PLC0415 - psycopg may find no libpq

    yield from check_relay(url, schema)


def _examine_news(url: str | None, services: list[str]) -> Iterator[Finding]:
    if url is None:
        yield Finding(
            "Redis",
            "note",
            "not configured",
            "programs without Redis hear of changes through PostgreSQL's LISTEN within milliseconds; behind a pooler, "
            "where LISTEN cannot work, they look every 0.75 s. To announce changes set HOTCONFIG_REDIS_URL",
        )
        return
    from hotconfig.cli.checks.news import check_news  # noqa: PLC0415 - redis is slow to import
    from hotconfig.cli.checks.rounds import time_news  # noqa: PLC0415

    findings = list(check_news(url, services))
    yield from findings
    if all(finding.state == "ok" for finding in findings if finding.check in ("Redis", "subscribing", "publishing")):
        yield from time_news(url)


def _unable() -> Finding:
    return Finding("PostgreSQL", "problem", "cannot be examined", NO_LIBPQ)


def _redacted(connections: Connections, finding: Finding) -> Finding:
    hide = connections.redacted
    return Finding(finding.check, finding.state, hide(finding.found), hide(finding.advice))
