"""Announcing commits: the signed change set and the plain form, in one write and one read of the socket."""

from __future__ import annotations

import threading
from typing import Any, Final

import redis

from hotconfig.core.chain import ChangeSet
from hotconfig.core.wire import Keyring, messages
from hotconfig.redis.connect import open_client, translate

MAX_IDLE: Final = 4


class RedisAnnouncer:
    """Publishes, from any thread. See :class:`hotconfig.core.ports.Announcer` for what it promises.

    Uses redis-py's connections, but not its pipeline, which takes a quarter longer for the same round trip.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = open_client(url, client_name="hotconfig-writer")
        self._lock = threading.RLock()  # a signal handler may close what its own thread is using
        self._idle: list[Any] = []

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish both forms in one round trip."""
        commands = [("PUBLISH", channel, data) for channel, data in messages(change_set, keyring)]
        try:
            connection = self._take()
            try:
                connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for _ in commands:
                    connection.read_response()
            except BaseException:
                connection.disconnect()
                raise
        except (redis.RedisError, OSError) as error:
            raise translate(error, self._url, "publish") from error
        self._give_back(connection)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()
        self._client.close()

    def abandon(self) -> None:
        """In a forked child: close the copies of the sockets, send nothing. Takes no lock: nobody can release it."""
        for connection in self._idle:
            if connection._sock is not None:  # noqa: SLF001 - its own disconnect() is for the process that connected
                connection._sock.close()  # noqa: SLF001

    def _take(self) -> Any:
        """A connection that is open and silent: one with something to read has been closed by the server."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._client.connection_pool.make_connection()
                connection.connect()
                return connection
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
