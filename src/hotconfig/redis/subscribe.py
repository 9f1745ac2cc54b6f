"""Hearing about commits: one connection, subscribed to the channels of the bound services.

redis-py connects, authenticates and sends; what arrives is read here, without waiting. Must not know what the
messages mean. After any error the object is of no more use: redis-py would reconnect by itself, behind Sentinel even to
a demoted master, and a PubSub whose first subscribe failed answers None for ever.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from typing import Any, Final

import redis
import redis.exceptions

from hotconfig.core.errors import HotConfigError, RedisUnavailableError
from hotconfig.core.names import PREFIX, commits_channel, service_pattern
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.core.resp import OVERSIZE, FrameReader, ProtocolError, Value
from hotconfig.redis.connect import find_route
from hotconfig.redis.connection import place_of, translate_at
from hotconfig.redis.route import Route
from hotconfig.redis.url import CALL_TIMEOUT_S, Address

logger: Final = logging.getLogger("hotconfig.redis")

_TROUBLE: Final = (redis.RedisError, OSError, ProtocolError)

ALL: Final = f"{PREFIX}*"
CHUNK_BYTES: Final = 65_536
CHUNKS_AT_ONCE: Final = 64
"""Read in one call, 4 MiB in all: a flood of large messages is not piled up here. The socket stays readable."""


class RedisSubscription:
    """See :class:`hotconfig.core.ports.Subscription` for what it promises. Make one with :meth:`open`."""

    def __init__(self, route: Route, *, subscribe_all: bool, shard: Address | None = None) -> None:
        self._route = route
        self._all = subscribe_all
        self._shard = shard
        self._connection: Any = route.connect("hotconfig-reader", shard)
        self._where = _where(self._connection, route)
        # redis-py offers no public way to wait on several things, nor to read without waiting.
        self._socket: Any = self._connection._sock  # noqa: SLF001
        self._frames = FrameReader()
        self._watch = route.watch(self._connection)
        logger.info("Redis at %s: connected, to hear news", self._where)

    @classmethod
    def open(cls, to: str | Route, services: Iterable[str], *, subscribe_all: bool = False) -> RedisSubscription:
        """Connect and ask for the channels of at least one service.

        ``to`` is a URL, or a route that has one: kept from one opening to the next, it knows whom to ask first.
        Blocks for as long as :meth:`Route.connect`.

        Raises:
            RedisUnavailableError, AccessDeniedError, ConfigurationError: it did not work; nothing is left open.
        """
        subscription = cls(find_route(to) if isinstance(to, str) else to, subscribe_all=subscribe_all)
        try:
            subscription.start([ALL] if subscribe_all else map(service_pattern, services))
        except BaseException:
            subscription.close()
            raise
        return subscription

    def start(self, patterns: Iterable[str], services: Iterable[str] = ()) -> None:
        """Ask for patterns, and for the shard's own news of ``services``; once, by whoever made it."""
        if wanted := list(patterns):
            self._send("PSUBSCRIBE", *wanted)
        self._subscribe_shard(services)

    def fileno(self) -> int:
        """The socket to wait on."""
        return int(self._socket.fileno())

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too; True: confirmations follow. With ``subscribe_all`` they are heard already."""
        names = list(services)
        patterns = [] if self._all else [service_pattern(name) for name in names]
        if patterns:
            self._send("PSUBSCRIBE", *patterns)
        return self._subscribe_shard(names) or bool(patterns)

    def ping(self) -> None:
        """Ask for a pong, behind Sentinel for the server's role: a demoted master would answer PING for ever.

        redis-py's own health check only sends, and never minds the missing answer. A master that the Sentinels have
        replaced does not know it yet: they are asked as well.
        """
        if self._watch is not None and (named := self._watch.look()) is not None:
            raise RedisUnavailableError(
                f"Redis at {self._where} is not the master any more: its Sentinels name {named}"
            )
        self._send(self._route.vital)

    def receive(self, limit: int) -> list[Event]:
        """What has arrived, without blocking. Fewer than ``limit``: nothing is left here, where no selector sees it."""
        try:
            return self._receive(limit)
        except _TROUBLE as error:
            raise self._translated(error, "listen") from error

    def close(self) -> None:
        """Close the socket; never raises."""
        if self._watch is not None:
            self._watch.close()
        try:
            self._connection.disconnect()
        except (redis.RedisError, OSError):
            return

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        if self._watch is not None:
            self._watch.abandon()
        self._socket.close()

    def _subscribe_shard(self, services: Iterable[str]) -> bool:
        if self._shard is None:
            return False
        for service in services:  # one by one: their slots may differ
            self._send("SSUBSCRIBE", commits_channel(service))
        return True

    def _send(self, *command: str) -> None:
        try:
            # The socket waits while something is sent, which is seldom, and never while something is received.
            self._socket.settimeout(CALL_TIMEOUT_S)
            self._connection.send_command(*command, check_health=False)
            self._socket.settimeout(0)
        except _TROUBLE as error:
            raise self._translated(error, command[0].lower()) from error

    def _holds_some_back(self) -> bool:
        """Whether TLS has decrypted more than was read, which no selector sees."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _read(self) -> bytes | None:
        """Some bytes, or None when there are none now."""
        try:
            data: bytes = self._socket.recv(CHUNK_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def _receive(self, limit: int) -> list[Event]:
        events = self._take(b"", limit) if self._frames.more else []
        chunks = 0
        while len(events) < limit and (chunks < CHUNKS_AT_ONCE or self._holds_some_back()):
            chunks += 1
            data = self._read()
            if data is None:
                break
            events += self._take(data, limit - len(events))
        return events

    def _take(self, data: bytes, limit: int) -> list[Event]:
        """Up to so many events: whoever asks for the first shall not wait until all that was read is taken apart."""
        events: list[Event] = []
        while True:
            frames = self._frames.feed(data, limit - len(events))
            events += [event for event in map(self._event, frames) if event is not None]
            if not self._frames.more or len(events) == limit:
                return events
            data = b""

    def _event(self, frame: Value) -> Event | None:
        match frame:
            case [b"pmessage", _, bytes() as channel, data]:
                return Message(channel, data if isinstance(data, bytes) else OVERSIZE)
            case [b"psubscribe", bytes() as pattern, _]:
                return Confirmed(pattern.decode("utf-8", "replace"))
            case [b"smessage", bytes() as channel, data]:
                return Message(channel, data if isinstance(data, bytes) else OVERSIZE)
            case [b"ssubscribe", bytes() as channel, _]:
                return Confirmed(channel.decode("utf-8", "replace"))
            case [b"sunsubscribe", *_]:
                raise RedisUnavailableError(f"Redis at {self._where} gave a slot away: its news come from another node")
            case [b"pong", _] | b"PONG" | [b"master", *_]:
                return Pong()
            case [b"slave", *_]:
                raise RedisUnavailableError(f"Redis at {self._where} is not the master any more")
            case bytes() as error if error.startswith(b"-"):
                said = error[1:].decode("utf-8", "replace")
                kind = redis.exceptions.NoPermissionError if said.startswith("NOPERM") else redis.ResponseError
                raise translate_at(kind(said), self._where, "subscribe")
            case _:
                return None

    def _translated(self, error: Exception, action: str) -> HotConfigError:
        if isinstance(error, ProtocolError):
            return RedisUnavailableError(f"Redis at {self._where} speaks another protocol: {error}")
        return translate_at(error, self._where, action)


def _where(connection: Any, route: Route) -> str:
    """The server that it led to, for messages."""
    return route.url.where if not route.url.addresses else str(place_of(connection))
