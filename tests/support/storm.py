"""Storms: many commits at once, and their news sent as fast as Redis takes them.

Commits are made by PostgreSQL itself in a loop that commits each, so that Python does not hold them up; their change
sets are read back from the history and signed with the real key, as a relay would.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
import redis

from hotconfig.core.chain import Change, ChangeSet, Head, genesis
from hotconfig.core.wire import Keyring, messages

# One revision more than was asked for, because the first one's parent is in it.
_CHAIN = """
SELECT revision, key, new_value, op, digest, changed_by, reason, hotconfig.utc_text(changed_at)
FROM hotconfig.config_history WHERE service = %(service)s AND revision >= %(after)s ORDER BY revision, ordinal
"""

Messages = list[tuple[str, bytes]]


def commit_many(database_url: str, service: str, key: str, count: int, *, value: str = "i") -> float:
    """Make so many commits of one key; each is a transaction. Returns commits per second.

    ``value`` is SQL of the number ``i``, from 1.
    """
    began_s = time.monotonic()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute(
            "INSERT INTO hotconfig.service_configs VALUES (%s, %s, NULL, '0') ON CONFLICT DO NOTHING", [service, key]
        )
        connection.execute(
            "DO $$ BEGIN FOR i IN 1.." + str(int(count)) + " LOOP"  # a DO block takes no parameters
            f" UPDATE hotconfig.service_configs SET value = {value} WHERE service = '{service}' AND key = '{key}';"
            " COMMIT; END LOOP; END $$"
        )
    return count / (time.monotonic() - began_s)


def change_sets(database_url: str, service: str, *, after: int = 0) -> list[ChangeSet]:
    """What was, or should have been, announced of a service's commits after a revision."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(_CHAIN, {"service": service, "after": after}).fetchall()
    made: list[ChangeSet] = []
    parent = genesis(service)
    for revision, of in groupby(rows, key=itemgetter(0)):
        changes = list(of)
        _, _, _, _, digest, by, reason, at = changes[-1]
        head = Head(int(revision), bytes(digest))
        told = tuple(Change(key, text, deleted=op == "delete") for _, key, text, op, *_ in changes)
        if revision > after:
            made.append(ChangeSet(service, parent, head, told, at, by, reason))
        parent = head
    return made


def keyring(database_url: str) -> Keyring:
    """The real signing keys."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT id, secret FROM hotconfig.signing_keys").fetchall()
    return {int(number): bytes(secret) for number, secret in rows}


def news(made: Iterable[ChangeSet], keys: Keyring) -> Messages:
    """Everything that is published for these commits, in order."""
    return [message for change_set in made for message in messages(change_set, keys)]


class Blower:
    """Publishes on one connection, many messages in one write; measures what came of it."""

    def __init__(self, redis_url: str, *, at_once: int = 200) -> None:
        self._client = redis.Redis.from_url(redis_url, socket_timeout=30)
        self._connection: Any = self._client.connection_pool.get_connection()
        self._at_once = at_once

    def blow(self, storm: Messages, *, per_s: float | None = None) -> float:
        """Send everything, at this rate or as fast as it goes. Returns messages per second."""
        began_s = time.monotonic()
        pause = threading.Event()
        for begin in range(0, len(storm), self._at_once):
            part = storm[begin : begin + self._at_once]
            commands = [("PUBLISH", channel, data) for channel, data in part]
            self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
            for _ in part:
                self._connection.read_response()
            if per_s is not None:
                early_s = (begin + len(part)) / per_s - (time.monotonic() - began_s)
                pause.wait(max(0.0, early_s))
        return len(storm) / (time.monotonic() - began_s)

    def close(self) -> None:
        self._connection.disconnect()
        self._client.close()
