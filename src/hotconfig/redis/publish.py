"""Announcing commits: the signed change set and the plain form, in one write and one read of the socket."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import redis
from redis.exceptions import MovedError

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.names import COMMITS
from hotconfig.core.wire import Keyring, messages
from hotconfig.redis.connect import find_route
from hotconfig.redis.connection import NO_ANSWER, place_of, translate_at
from hotconfig.redis.route import Watch
from hotconfig.redis.url import Address

MAX_IDLE: Final = 4
LOOK_S: Final = 0.05
"""How long the word of a Sentinel counts; what it has said by then counts at once."""
LOOK_WAIT_S: Final = 0.05
"""How long a commit's announcement waits for it; in a healthy network it takes a fraction of a millisecond."""

Command = tuple[str | bytes, ...]


class RedisAnnouncer:
    """Publishes, from any thread. See :class:`hotconfig.core.ports.Announcer` for what it promises.

    Uses redis-py's connections, but not its pipeline, which takes a quarter longer for the same round trip.
    """

    def __init__(self, url: str) -> None:
        self._route = find_route(url)
        self._lock = threading.RLock()  # a signal handler may close what its own thread is using
        self._idle: list[tuple[Address | None, Any]] = []
        self._watch: Watch | None = None
        self._looked_at_s = 0.0
        self._master: Address | None = None

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish both forms in one round trip.

        Behind Sentinel the server is asked for its role in the same round trip: a demoted master takes a PUBLISH and
        tells its own last subscribers only. Then it is published once more, to the new master. One that was replaced
        and does not know it yet is left when its Sentinels name another.
        """
        self._leave_replaced()
        sent = list(messages(change_set, keyring))
        if not self._publish(change_set.service, sent) and not self._publish(change_set.service, sent):
            raise RedisUnavailableError(f"Redis at {self._route.url.where} is changing masters: nobody took the news")

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._leave(None)

    def abandon(self) -> None:
        """In a forked child: close the copies of the sockets, send nothing. Takes no lock: nobody can release it."""
        if self._watch is not None:
            self._watch.abandon()
        for _, connection in self._idle:
            if connection._sock is not None:  # noqa: SLF001 - its own disconnect() is for the process that connected
                connection._sock.close()  # noqa: SLF001

    def _publish(self, service: str, sent: Sequence[tuple[str, bytes]]) -> bool:
        """Whether the right server took them; connects if need be."""
        shard = self._shard_of(service)
        asked: list[Command] = [(_verb(channel, shard), channel, data) for channel, data in sent]
        if self._route.vital == "ROLE":
            asked.append(("ROLE",))
        try:
            connection = self._take(shard)
            try:
                connection.send_packed_command(connection.pack_commands(asked), check_health=False)
                answers = [connection.read_response() for _ in asked]
                is_right = self._route.vital != "ROLE" or answers[-1][0] == b"master"
            except BaseException:
                connection.disconnect()
                raise
        except MovedError:
            self._route.learn()
            return False
        except NO_ANSWER as error:
            raise translate_at(error, self._route.url.where, "publish") from error
        if not is_right:
            connection.disconnect()
            return False
        self._give_back(connection, shard)
        return True

    def _shard_of(self, service: str) -> Address | None:
        try:
            return self._route.shard_of(service)
        except RedisUnavailableError:
            self._route.learn()
            return self._route.shard_of(service)

    def _take(self, shard: Address | None) -> Any:
        """A connection that is open and silent: one with something to read has been closed by the server."""
        while True:
            with self._lock:
                at = next((at for at, (place, _) in enumerate(self._idle) if place == shard), None)
                connection = None if at is None else self._idle.pop(at)[1]
            if connection is None:
                return self._connect(shard)
            if not _has_something_to_say(connection):
                return connection
            connection.disconnect()

    def _connect(self, shard: Address | None) -> Any:
        connection = self._route.connect("hotconfig-writer", shard)
        if self._route.vital != "ROLE":
            return connection
        with self._lock:
            if (master := place_of(connection)) != self._master:
                self._leave(master)
            is_watched = self._watch is not None and not self._watch.is_over
        if not is_watched and (watch := self._route.watch(connection)):
            with self._lock:
                if master == self._master:  # no other thread has found another meanwhile
                    watch, self._watch = self._watch, watch
            if watch is not None:
                watch.close()
        return connection

    def _leave_replaced(self) -> None:
        """Behind Sentinel: leave the master if there is another by now."""
        with self._lock:
            if self._watch is None:
                return
            now_s = monotonic()
            is_fresh = now_s - self._looked_at_s < LOOK_S
            self._looked_at_s = now_s
            if self._watch.look(0.0 if is_fresh else LOOK_WAIT_S) is not None:
                self._leave(None)

    def _leave(self, master: Address | None) -> None:
        """Another is the master, known or not: let go of all that leads to the one that was. Holding the lock."""
        watch, self._watch = self._watch, None
        idle, self._idle = self._idle, []
        self._master = master
        if watch is not None:
            watch.close()
        for _, connection in idle:
            connection.disconnect()

    def _give_back(self, connection: Any, shard: Address | None) -> None:
        with self._lock:
            is_right = self._route.vital != "ROLE" or place_of(connection) == self._master
            if is_right and len(self._idle) < MAX_IDLE:  # else its server was left meanwhile
                self._idle.append((shard, connection))
                return
        connection.disconnect()


def _verb(channel: str, shard: Address | None) -> str:
    return "SPUBLISH" if shard is not None and channel.endswith(f":{COMMITS}") else "PUBLISH"


def _has_something_to_say(connection: Any) -> bool:
    try:
        return bool(connection.can_read(0))
    except (redis.RedisError, OSError):
        return True
