"""Lets PostgreSQL lose its newest commits, as the restore of an older backup does, and reads its history."""

from __future__ import annotations

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from tests.faults.harness.oracle import Row

_HISTORY: Final = (
    "SELECT revision, ordinal, key, op, new_value, encode(digest, 'hex') FROM hotconfig.config_history "
    "WHERE service = %s ORDER BY revision, ordinal"
)

_LOSE: Final[LiteralString] = """\
DELETE FROM hotconfig.config_history WHERE service = {service} AND revision > {to};
DELETE FROM hotconfig.service_configs WHERE service = {service};
INSERT INTO hotconfig.service_configs (service, key, value)
    SELECT service, key, new_value FROM (
        SELECT DISTINCT ON (key) service, key, op, new_value FROM hotconfig.config_history
        WHERE service = {service} ORDER BY key, revision DESC, ordinal DESC
    ) newest WHERE op <> 'delete';
UPDATE hotconfig.heads h SET
    revision = c.revision, digest = c.digest, ordinal = c.ordinal, xact = '0', moved_at = '-infinity',
    changed_at = c.changed_at, parent_digest = coalesce((
        SELECT p.digest FROM hotconfig.config_history p
        WHERE p.service = c.service AND p.revision = c.revision - 1 ORDER BY p.ordinal DESC LIMIT 1
    ), hotconfig.genesis(c.service))
FROM (
    SELECT * FROM hotconfig.config_history WHERE service = {service} ORDER BY revision DESC, ordinal DESC LIMIT 1
) c WHERE h.service = c.service;
"""


def history(connection: psycopg.Connection[Any], service: str) -> list[Row]:
    """All rows of a service, oldest first."""
    return [Row(*row) for row in connection.execute(_HISTORY, [service]).fetchall()]


def rewind(connection: psycopg.Connection[Any], service: str, commits: int) -> list[Row] | None:
    """Lose that many commits, at once for everybody. Returns the history as it was, or None if it is too short.

    Needs a superuser, whom alone PostgreSQL lets switch triggers off.
    """
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        connection.execute("SET LOCAL session_replication_role = replica")
        # In the order in which writers lock; reading goes on.
        connection.execute(
            "LOCK TABLE hotconfig.service_configs, hotconfig.heads, hotconfig.config_history IN EXCLUSIVE MODE"
        )
        before = history(connection, service)
        to = before[-1].revision - commits if before else 0
        if to < 1:
            return None
        connection.execute(sql.SQL(_LOSE).format(service=sql.Literal(service), to=sql.Literal(to)))
    return before
