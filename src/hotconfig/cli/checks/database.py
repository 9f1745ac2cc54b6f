"""PostgreSQL: reachable, new enough, migrated, and what the role may do there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

from hotconfig.core.errors import AccessDeniedError, ConfigurationError, HotConfigError
from hotconfig.core.finding import Finding, ok
from hotconfig.postgres.address import describe
from hotconfig.postgres.connect import Session, in_schema, open_session, translated
from hotconfig.postgres.encryption import check_encryption
from hotconfig.postgres.migrate import check_schema_name, migrations, pending
from hotconfig.postgres.triggers import find_faults, way_out

OLDEST: Final = 140_000
READ: Final = ("service_configs", "config_history", "heads", "signing_keys", "service_schemas", "migrations")
"""What grant_reader grants; see 0001_truth.sql."""

_SERVER: Final = """\
SELECT pg_encoding_to_char(d.encoding), pg_is_in_recovery(), current_user, r.rolsuper,
    current_setting('fsync'), current_setting('synchronous_commit'), current_setting('max_connections')::int,
    (SELECT count(*)::int FROM pg_stat_activity)
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user"""

_TABLES: Final = """\
SELECT t.name, coalesce(has_table_privilege(c.oid, 'SELECT'), false),
    coalesce(has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'), false)
FROM unnest(%(tables)s::text[]) AS t (name)
LEFT JOIN pg_class c ON c.relname = t.name
    AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)"""

_FUNCTIONS: Final = """\
SELECT p.proname, bool_and(has_function_privilege(p.oid, 'EXECUTE')) FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s GROUP BY p.proname"""

_MAY_READ: Final = "SELECT has_schema_privilege(%(schema)s, 'USAGE') AND has_table_privilege(%(table)s, 'SELECT')"
_KEYS: Final = """\
SELECT count(*)::int, floor(extract(epoch FROM now() - max(created_at)) / 86400)::int FROM {schema}.signing_keys"""


def check_database(url: str, schema: str) -> Iterator[Finding]:
    """Everything about the server and the schema; stops at what makes the rest impossible."""
    where = describe(url)
    try:
        check_schema_name(schema)
        session = open_session(url, application_name="hotconfig doctor")
    except HotConfigError as error:
        yield Finding("PostgreSQL", "problem", f"cannot be used at {where}", str(error))
        return
    with session:
        try:
            with translated(url, "be examined"):
                superuser = yield from _check_server(session, url)
                migrated = yield from _check_migrations(url, schema)
                if migrated:
                    yield from _check_triggers(session, schema)
                    yield from _check_privileges(session, schema, superuser=superuser)
                    yield from _check_signing_keys(session, schema)
        except HotConfigError as error:
            yield Finding("PostgreSQL", "problem", f"stopped answering at {where}", str(error))


def _check_server(session: Session, url: str) -> Generator[Finding, None, bool]:
    number = session.info.server_version
    found = f"{number // 10000}.{number % 10000} at {describe(url)}"
    if number < OLDEST:
        yield Finding("PostgreSQL", "problem", found, "PostgreSQL 14 or newer is needed")
    else:
        yield ok("PostgreSQL", found)
    yield check_encryption(session, url)
    row: Any = session.execute(_SERVER).fetchone()
    encoding, in_recovery, role, superuser, fsync, synchronous, allowed, used = row
    if encoding != "UTF8":
        yield Finding("encoding", "problem", encoding, "make the database anew with ENCODING 'UTF8' TEMPLATE template0")
    else:
        yield ok("encoding", encoding)
    yield _check_primary(in_recovery=bool(in_recovery))
    if session.pooled:
        yield Finding(
            "pooler",
            "note",
            "a connection pooler stands between",
            "everything works but LISTEN: without Redis, programs look at PostgreSQL every Timing.poll_s",
        )
    yield from _check_durability(fsync, synchronous)
    yield _check_room(used, allowed)
    if superuser:
        yield Finding(
            "role",
            "note",
            f"{role} is a superuser",
            "it could switch the triggers off that keep the history; give programs a role with grant_writer",
        )
    else:
        yield ok("role", str(role))
    return bool(superuser)


def _check_primary(*, in_recovery: bool) -> Finding:
    if in_recovery:
        return Finding(
            "primary", "warning", "this is a standby", "reading works; for writing name the primary in the URL as "
            "well (postgresql://…@standby:5432,primary:5432/…): the one that accepts writes is found"
        )  # fmt: skip
    return ok("primary", "accepts writes")


def _check_durability(fsync: str, synchronous: str) -> Iterator[Finding]:
    if fsync != "on":
        yield Finding("durability", "warning", "fsync is off", "a power failure loses the database; switch it on")
    elif synchronous == "off":
        yield Finding(
            "durability",
            "warning",
            "synchronous_commit is off",
            "a crash loses commits that readers have applied already; they notice and go back. Switch it on",
        )
    else:
        yield ok("durability", f"fsync on, synchronous_commit {synchronous}")


def _check_room(used: int, allowed: int) -> Finding:
    found = f"{used} of {allowed} connections in use"
    if used > 0.8 * allowed:
        return Finding(
            "connections", "warning", found, "each program with hotconfig takes one, and up to four for writing: raise "
            "max_connections or put a pooler in between"
        )  # fmt: skip
    return ok("connections", found)


def _check_migrations(url: str, schema: str) -> Generator[Finding, None, bool]:
    try:
        missing = pending(url, schema)
    except AccessDeniedError as error:
        yield Finding("schema", "problem", f"{schema!r} cannot be looked at by this role", str(error))
        return False
    except ConfigurationError as error:
        yield Finding("schema", "problem", f"{schema!r} does not fit this version", str(error))
        return False
    if missing:
        names = ", ".join(f"{migration.number:04d} {migration.name}" for migration in missing)
        yield Finding("schema", "problem", f"{schema!r} lacks {names}", "run: hotconfig migrate")
        return len(missing) < len(migrations())
    yield ok("schema", f"{schema!r} is at {migrations()[-1].number:04d}, the newest")
    return True


def _check_triggers(session: Session, schema: str) -> Iterator[Finding]:
    faults = find_faults(session, schema)
    for trigger, fault in faults:
        yield Finding(
            "triggers",
            "problem",
            f"{trigger.name} of {trigger.table} is {fault}",
            f"what is written now leaves no history, or an edited history goes unnoticed. As the owner: "
            f"{way_out(schema, trigger, fault)}; then run: hotconfig audit verify",
        )
    if not faults:
        yield ok("triggers", "all that keep the history are there and enabled")


def _check_signing_keys(session: Session, schema: str) -> Iterator[Finding]:
    readable = session.execute(_MAY_READ, {"schema": schema, "table": f'"{schema}".signing_keys'}).fetchone()
    if readable is None or not readable[0]:
        return  # told by the check of privileges
    row: Any = session.execute(in_schema(_KEYS, schema)).fetchone()
    count, days = row
    if count:
        yield ok("signing keys", f"{count}, the newest {days} days old")
    else:
        yield Finding(
            "signing keys",
            "problem",
            "there is none",
            "commits are announced unsigned, so every reader asks PostgreSQL for each of them. "
            f'As the owner: SELECT "{schema}".rotate_signing_key()',
        )


def _check_privileges(session: Session, schema: str, *, superuser: bool) -> Iterator[Finding]:
    tables = session.execute(_TABLES, {"tables": list(READ), "schema": schema}).fetchall()
    functions = {str(name): bool(may) for name, may in session.execute(_FUNCTIONS, {"schema": schema}).fetchall()}
    unreadable = [str(name) for name, readable, _ in tables if not readable]
    if unreadable:
        yield Finding(
            "reading",
            "problem",
            f"this role may not read {', '.join(unreadable)}",
            f"as the owner: SELECT \"{schema}\".grant_reader('role')",
        )
    else:
        yield ok("reading", "this role may follow services")
    if functions.get("write_config"):
        yield ok("writing", "this role may write through write_config")
    else:
        yield Finding(
            "writing",
            "note",
            "this role may only read",
            f"right for readers; for a writer, as the owner: SELECT \"{schema}\".grant_writer('role')",
        )
    direct = [str(name) for name, _, writable in tables if writable]
    if direct and not superuser:
        yield Finding(
            "rights",
            "note",
            f"this role may also change {', '.join(direct)} directly",
            "more than a program needs: write_config is enough. Keep such a role for migrations and psql",
        )
