"""Plain-SQL migrations: numbered, checksummed, applied under an advisory lock in one transaction.

Owns the table ``migrations`` and the order of the files beside it. Must not know what the SQL says.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

import psycopg

from hotconfig.core.errors import ConfigurationError
from hotconfig.postgres.connect import in_schema, open_session, translated

logger: Final = logging.getLogger("hotconfig.postgres")

DEFAULT_SCHEMA: Final = "hotconfig"
MIGRATE_TIMEOUT_S: Final = 120.0

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_BOOKKEEPING: Final = """\
DO $$ BEGIN -- because IF NOT EXISTS asks for the right to create schemas also where there is nothing to create
    IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF;
END $$;
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL DEFAULT '',
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user
);"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file. ``checksum`` is the SHA-256 of its text, in hexadecimal."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """All migrations of this version, in order."""
    folder = resources.files("hotconfig.postgres") / "migrations"
    found = [
        Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if (match := _FILE.fullmatch(entry.name))
    ]
    return tuple(sorted(found, key=lambda migration: migration.number))


def check_schema_name(schema: str) -> str:
    """Return ``schema`` if it is a lower-case SQL identifier, so that it means the same quoted and unquoted.

    Raises:
        ConfigurationError: it is not.
    """
    if _SCHEMA.fullmatch(schema) and not schema.startswith("pg_"):
        return schema
    raise ConfigurationError(
        f"{schema!r} cannot name the schema: use lower-case letters, digits and '_', not beginning with 'pg_'"
    )


def migrate(url: str, schema: str = DEFAULT_SCHEMA) -> tuple[Migration, ...]:
    """Bring ``schema`` up to this version and return what was applied; nothing when it is up to date.

    Runs in one transaction under an advisory lock, so any number of processes may call it at once.
    Blocks for at most ``MIGRATE_TIMEOUT_S`` seconds per statement.

    Raises:
        ConfigurationError: an applied file was edited, or the database is newer than this library.
        DatabaseUnavailableError, AccessDeniedError: as for any connection.
    """
    check_schema_name(schema)
    with (
        open_session(
            url,
            application_name="hotconfig migrate",
            writable=True,
            call_timeout_s=MIGRATE_TIMEOUT_S,
            statement_timeout_ms=None,
        ) as session,
        translated(url, "migrate"),
        session.transaction(),
    ):
        # A pooler's sessions may have another level preset; at that, what was done while this waits would not be seen.
        session.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        session.execute("SET LOCAL statement_timeout = 0")
        _lock(session, schema)
        _require_utf8(session)
        session.execute(in_schema(_BOOKKEEPING, schema))
        todo = _pending(session, schema)
        session.execute(in_schema("SET LOCAL search_path = {schema}, pg_temp", schema))
        for migration in todo:
            session.execute(migration.text.encode())
            session.execute(
                "INSERT INTO migrations (number, name, checksum) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.checksum],
            )
    return todo


def pending(url: str, schema: str = DEFAULT_SCHEMA) -> tuple[Migration, ...]:
    """What ``migrate`` would apply. Changes nothing. Raises as :func:`migrate` does."""
    check_schema_name(schema)
    with (
        open_session(url, application_name="hotconfig migrate") as session,
        translated(url, "look at the migrations"),
    ):
        found = session.execute("SELECT to_regclass(%s)", [f"{schema}.migrations"]).fetchone()
        return migrations() if found is None or found[0] is None else _pending(session, schema)


def as_sql(schema: str = DEFAULT_SCHEMA, *, after: int = 0) -> str:
    """All migrations numbered above ``after`` as one script for psql, to be reviewed and run by hand."""
    check_schema_name(schema)
    parts = [
        "\\set ON_ERROR_STOP on",
        "BEGIN;",
        f"SELECT pg_advisory_xact_lock(hashtext('hotconfig:{schema}'));",
        _BOOKKEEPING.replace("{schema}", f'"{schema}"'),
        f'SET LOCAL search_path = "{schema}", pg_temp;',
    ]
    for migration in migrations():
        if migration.number > after:
            parts += [
                migration.text,
                f"INSERT INTO migrations (number, name) VALUES ({migration.number}, '{migration.name}');",  # noqa: S608
                f"UPDATE migrations SET checksum = '{migration.checksum}' WHERE number = {migration.number};",  # noqa: S608
            ]
    return "\n".join([*parts, "COMMIT;", ""])


def _pending(session: psycopg.Connection[tuple[object, ...]], schema: str) -> tuple[Migration, ...]:
    rows = session.execute(in_schema("SELECT number, checksum FROM {schema}.migrations", schema)).fetchall()
    applied = {int(str(number)): str(checksum) for number, checksum in rows}
    known = {migration.number: migration for migration in migrations()}
    if newer := applied.keys() - known.keys():
        raise ConfigurationError(
            f'schema "{schema}" has migration {max(newer)}, which this hotconfig does not know: upgrade the library'
        )
    for number, checksum in applied.items():
        if known[number].checksum != checksum:
            raise ConfigurationError(
                f'schema "{schema}": migration {number:04d} was applied from another text than this version ships. '
                "Compare with `hotconfig migrate --sql`; never edit an applied migration."
            )
    return tuple(migration for number, migration in sorted(known.items()) if number not in applied)


def _lock(session: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
    key = [f"hotconfig:{schema}"]
    if session.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", key).fetchone() != (True,):
        logger.warning(
            "schema %r: another program migrates it; waiting until it is done, for %.0f s at most",
            schema,
            MIGRATE_TIMEOUT_S,
        )
        session.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", key)


def _require_utf8(session: psycopg.Connection[tuple[object, ...]]) -> None:
    row = session.execute("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()")
    encoding = row.fetchone()
    if encoding is None or encoding[0] != "UTF8":
        raise ConfigurationError(
            f"the database is encoded in {encoding[0] if encoding else 'an unknown way'}: hotconfig needs UTF8 "
            "(CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
        )


__all__ = ["DEFAULT_SCHEMA", "Migration", "as_sql", "migrate", "migrations", "pending"]
