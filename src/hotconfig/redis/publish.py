"""Announcing commits: the signed change set and the plain form, in one write and one read of the socket."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import redis

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.wire import Keyring, messages
from hotconfig.redis.connect import find_route
from hotconfig.redis.connection import translate_at

MAX_IDLE: Final = 4

Command = tuple[str | bytes, ...]


class RedisAnnouncer:
    """Publishes, from any thread. See :class:`hotconfig.core.ports.Announcer` for what it promises.

    Uses redis-py's connections, but not its pipeline, which takes a quarter longer for the same round trip.
    """

    def __init__(self, url: str) -> None:
        self._route = find_route(url)
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish both forms in one round trip.

        Behind Sentinel the server is asked for its role in the same round trip: a demoted master takes a PUBLISH and
        tells its own last subscribers only. Then it is published once more, to the new master.
        """
        commands: list[Command] = [("PUBLISH", channel, data) for channel, data in messages(change_set, keyring)]
        if not self._publish(commands) and not self._publish(commands):
            raise RedisUnavailableError(f"Redis at {self._route.url.where}: what was the master is none any more")

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()

    def _publish(self, commands: Sequence[Command]) -> bool:
        """Whether the right server took them; connects if need be."""
        asked = [*commands, ("ROLE",)] if self._route.vital == "ROLE" else commands
        try:
            connection = self._take()
            try:
                connection.send_packed_command(connection.pack_commands(asked), check_health=False)
                answers = [connection.read_response() for _ in asked]
            except BaseException:
                connection.disconnect()
                raise
        except (redis.RedisError, OSError) as error:
            raise translate_at(error, self._route.url.where, "publish") from error
        if self._route.vital == "ROLE" and answers[-1][0] != b"master":
            connection.disconnect()
            return False
        self._give_back(connection)
        return True

    def _take(self) -> Any:
        """A connection that is open and silent: one with something to read has been closed by the server."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._route.connect("hotconfig-writer")
            if not _has_something_to_say(connection):
                return connection
            connection.disconnect()

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.disconnect()


def _has_something_to_say(connection: Any) -> bool:
    try:
        return bool(connection.can_read(0))
    except (redis.RedisError, OSError):
        return True
