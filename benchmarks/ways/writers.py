"""The writing side of each way: a function that makes one change and says when it was committed (monotonic, ns)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any, Final

from benchmarks.places import SCHEMA, Place
from benchmarks.ways.readers import CHANNEL, NOTIFICATIONS

Write = Callable[[str], int]

_UPDATE: Final = f"UPDATE {SCHEMA}.ways_configs SET value = %s WHERE service = %s AND key = 'threshold'"
_INSERT: Final = f"INSERT INTO {SCHEMA}.ways_history (service, key, value, changed_by) VALUES (%s, 'threshold', %s, %s)"
_NOTIFY: Final = "SELECT pg_notify(%s, %s)"
_BY: Final = "ann@acme.example"
_TABLES: Final = f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.ways_configs (
        service text NOT NULL, key text NOT NULL, value text NOT NULL, PRIMARY KEY (service, key));
    CREATE TABLE IF NOT EXISTS {SCHEMA}.ways_history (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, service text NOT NULL, key text NOT NULL, value text,
        changed_by text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO {SCHEMA}.ways_configs VALUES ('quiet', 'threshold', '0.75'), ('prompt', 'threshold', '0.75')
        ON CONFLICT DO NOTHING"""


def select(service: str) -> str:
    """How a poller asks for its value."""
    return f"SELECT value FROM {SCHEMA}.ways_configs WHERE service = '{service}' AND key = 'threshold'"


@contextmanager
def by_hand(place: Place, service: str = "prompt") -> Generator[tuple[Write, Write, Write]]:
    """One write to a configuration and one to its history, and whatever tells of it.

    Lends three writers: with a notification in the same transaction, with a PUBLISH after it, with neither.
    """
    import psycopg
    import redis

    client: Any = redis.Redis.from_url(place.redis_url)
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        connection.execute(_TABLES)

        def write(text: str, *, notify: bool = False) -> int:
            with connection.transaction():
                connection.execute(_UPDATE, [text, service])
                connection.execute(_INSERT, [service, text, _BY])
                if notify:
                    connection.execute(_NOTIFY, [NOTIFICATIONS, text])
            return monotonic_ns()

        def publish(text: str) -> int:
            committed_ns = write(text)
            client.publish(CHANNEL, text)
            return committed_ns

        try:
            yield (lambda text: write(text, notify=True)), publish, write
        finally:
            client.close()
