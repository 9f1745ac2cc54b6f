"""Hearing about commits: one connection, subscribed to the channels of the bound services.

redis-py connects, authenticates and sends; what arrives is read here, without waiting. Must not know what the
messages mean. After any error the object is of no more use: redis-py would reconnect by itself, behind Sentinel even to
a demoted master, and a PubSub whose first subscribe failed answers None for ever.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import redis
import redis.exceptions

from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.names import PREFIX, service_pattern
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.core.resp import FrameReader, ProtocolError, Value
from hotconfig.redis.connect import CALL_TIMEOUT_S, describe, open_client, translate

T = TypeVar("T")

ALL: Final = f"{PREFIX}*"
CHUNK_BYTES: Final = 65_536
OVERSIZE: Final = b"(too long to be looked at)"
"""Stands for data that was dropped. It is no signed message and no text that anybody has: a hint."""


class RedisSubscription:
    """See :class:`hotconfig.core.ports.Subscription` for what it promises. Make one with :meth:`open`."""

    def __init__(self, url: str, *, subscribe_all: bool) -> None:
        self._url = url
        self._all = subscribe_all
        self._client = open_client(url, client_name="hotconfig-reader", max_connections=1)
        self._connection: Any = self._do(self._client.connection_pool.get_connection, "connect")
        # redis-py offers no public way to wait on several things, nor to read without waiting.
        self._socket: Any = self._connection._sock  # noqa: SLF001
        self._frames = FrameReader()
        self._events: list[Event] = []

    @classmethod
    def open(cls, url: str, services: Iterable[str], *, subscribe_all: bool = False) -> RedisSubscription:
        """Connect and ask for the channels of at least one service.

        Blocks for at most the connect timeout, and name resolution.

        Raises:
            RedisUnavailableError, AccessDeniedError: it did not work; nothing is left open.
        """
        subscription = cls(url, subscribe_all=subscribe_all)
        try:
            subscription._subscribe([ALL] if subscribe_all else map(service_pattern, services))
        except BaseException:
            subscription.close()
            raise
        return subscription

    def fileno(self) -> int:
        """The socket to wait on."""
        return int(self._socket.fileno())

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too; True: confirmations follow. With ``subscribe_all`` they are heard already."""
        patterns = [] if self._all else [service_pattern(service) for service in services]
        if patterns:
            self._subscribe(patterns)
        return bool(patterns)

    def ping(self) -> None:
        """Ask for a pong. redis-py's own health check only sends, and never minds the missing answer."""
        self._send("PING")

    def receive(self, limit: int) -> list[Event]:
        """What has arrived, without blocking."""
        while len(self._events) < limit:
            data = self._do(self._read, "listen")
            if data is None:
                break
            frames = self._do(partial(self._frames.feed, data), "listen")
            self._events += [event for event in map(self._event, frames) if event is not None]
        taken, self._events = self._events[:limit], self._events[limit:]
        return taken

    def close(self) -> None:
        """Close the socket; never raises."""
        try:
            self._connection.disconnect()
            self._client.close()
        except (redis.RedisError, OSError):
            return

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        self._socket.close()

    def _subscribe(self, patterns: Iterable[str]) -> None:
        self._send("PSUBSCRIBE", *patterns)

    def _send(self, *command: str) -> None:
        def send() -> None:
            # The socket waits while something is sent, which is seldom, and never while something is received.
            self._socket.settimeout(CALL_TIMEOUT_S)
            self._connection.send_command(*command, check_health=False)
            self._socket.settimeout(0)

        self._do(send, command[0].lower())

    def _read(self) -> bytes | None:
        """Some bytes, or None when there are none now."""
        try:
            data: bytes = self._socket.recv(CHUNK_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def _event(self, frame: Value) -> Event | None:
        match frame:
            case [b"pmessage", _, bytes() as channel, data]:
                return Message(channel, data if isinstance(data, bytes) else OVERSIZE)
            case [b"psubscribe", bytes() as pattern, _]:
                return Confirmed(pattern.decode("utf-8", "replace"))
            case [b"pong", _] | b"PONG":
                return Pong()
            case bytes() as error if error.startswith(b"-"):
                said = error[1:].decode("utf-8", "replace")
                kind = redis.exceptions.NoPermissionError if said.startswith("NOPERM") else redis.ResponseError
                raise translate(kind(said), self._url, "subscribe")
            case _:
                return None

    def _do(self, call: Callable[[], T], action: str) -> T:
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            raise translate(error, self._url, action) from error
        except ProtocolError as error:
            raise RedisUnavailableError(f"Redis at {describe(self._url)} speaks another protocol: {error}") from error
