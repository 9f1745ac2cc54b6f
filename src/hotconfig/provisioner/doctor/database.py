"""PostgreSQL: reachable, new enough, migrated, writable, and what the role may do there. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from hotconfig.core.errors import AccessDeniedError, HotConfigError
from hotconfig.core.finding import Finding
from hotconfig.postgres.address import describe
from hotconfig.postgres.connect import Session, open_session, translated
from hotconfig.postgres.encryption import check_encryption
from hotconfig.postgres.migrate import check_schema_name, migrations, pending

OLDEST: Final = 140_000
READ: Final = (
    *("migrations", "organizations", "organization_operations", "organization_history"),
    *("service_configs", "config_history", "heads"),
)
CALLED: Final = (
    *("tenant_json", "operation_json", "create_organization", "begin_operation", "protect_organization"),
    *("lease_organizations", "keep_lease", "record_step"),
)
"""What grant_provisioner grants; see 0002_tenants.sql."""

_LACKING: Final = """\
SELECT t.name FROM unnest(%(tables)s::text[]) AS t (name)
LEFT JOIN pg_class c ON c.relname = t.name AND c.relnamespace = to_regnamespace(%(schema)s)
WHERE NOT coalesce(has_table_privilege(c.oid, 'SELECT'), false)
UNION ALL
SELECT f.name || '()' FROM unnest(%(functions)s::text[]) AS f (name)
LEFT JOIN pg_proc p ON p.proname = f.name AND p.pronamespace = to_regnamespace(%(schema)s)
WHERE NOT coalesce(has_function_privilege(p.oid, 'EXECUTE'), false)"""


def check_database(url: str, schema: str) -> Iterator[Finding]:
    """Everything about the server, the schema and the role; stops at what makes the rest impossible."""
    where = describe(url)
    try:
        check_schema_name(schema)
        session = open_session(url, application_name="hotconfig-provisioner doctor")
    except HotConfigError as error:
        yield Finding("PostgreSQL", "problem", f"cannot be used at {where}", str(error))
        return
    with session:
        try:
            with translated(url, "be examined"):
                yield _server(session, where)
                yield check_encryption(session, url)
                yield _primary(session)
                yield _schema(url, schema)
                yield _role(session, schema)
        except HotConfigError as error:
            yield Finding("PostgreSQL", "problem", f"stopped answering at {where}", str(error))


def _server(session: Session, where: str) -> Finding:
    number = session.info.server_version
    found = f"{number // 10000}.{number % 10000} at {where}"
    if number < OLDEST:
        return Finding("PostgreSQL", "problem", found, "PostgreSQL 14 or newer is needed")
    return Finding("PostgreSQL", "ok", found)


def _primary(session: Session) -> Finding:
    row: Any = session.execute("SELECT pg_is_in_recovery()").fetchone()
    if row[0]:
        advice = "name the primary in the URL: leases and states are written"
        return Finding("primary", "problem", "this is a standby", advice)
    return Finding("primary", "ok", "accepts writes")


def _schema(url: str, schema: str) -> Finding:
    try:
        missing = pending(url, schema)
    except AccessDeniedError as error:
        return Finding("schema", "problem", f"{schema!r} cannot be looked at by this role", str(error))
    except HotConfigError as error:
        return Finding("schema", "problem", f"{schema!r} does not fit this version", str(error))
    if missing:
        names = ", ".join(f"{each.number:04d} {each.name}" for each in missing)
        return Finding("schema", "problem", f"{schema!r} lacks {names}", "run: hotconfig migrate")
    return Finding("schema", "ok", f"{schema!r} is at {migrations()[-1].number:04d}, the newest")


def _role(session: Session, schema: str) -> Finding:
    params = {"schema": schema, "tables": list(READ), "functions": list(CALLED)}
    lacking = [str(row[0]) for row in session.execute(_LACKING, params).fetchall()]
    role: Any = session.execute("SELECT current_user").fetchone()
    if lacking:
        advice = f"as the owner of the schema: SELECT \"{schema}\".grant_provisioner('{role[0]}')"
        return Finding("role", "problem", f"{role[0]} may not use {', '.join(lacking)}", advice)
    return Finding("role", "ok", f"{role[0]} may do what grant_provisioner grants")
