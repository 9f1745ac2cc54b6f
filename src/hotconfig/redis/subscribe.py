"""Hearing about commits: one connection, subscribed to the channels of the bound services.

Must not know what the messages mean. After any error the object is of no more use: redis-py would reconnect by itself,
behind Sentinel even to a demoted master, and a PubSub whose first subscribe failed answers None for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import redis

from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.names import PREFIX, service_pattern
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.redis.connect import describe, open_client, translate

ALL: Final = f"{PREFIX}*"
_MESSAGES: Final = ("pmessage", "message")
_CONFIRMATIONS: Final = ("psubscribe", "subscribe")


class RedisSubscription:
    """See :class:`hotconfig.core.ports.Subscription` for what it promises. Make one with :meth:`open`."""

    def __init__(self, url: str, *, subscribe_all: bool) -> None:
        self._url = url
        self._all = subscribe_all
        self._client = open_client(url, client_name="hotconfig-reader")
        self._pubsub: Any = self._client.pubsub()

    @classmethod
    def open(cls, url: str, services: Iterable[str], *, subscribe_all: bool = False) -> RedisSubscription:
        """Connect and ask for the channels of at least one service.

        Blocks for at most the connect timeout, and name resolution.

        Raises:
            RedisUnavailableError, AccessDeniedError: it did not work; nothing is left open.
        """
        subscription = cls(url, subscribe_all=subscribe_all)
        try:
            subscription._start(services)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def fileno(self) -> int:
        """The socket to wait on."""
        connection = self._pubsub.connection
        sock = getattr(connection, "_sock", None)  # redis-py offers no public way to wait on several things
        if sock is None:
            raise RedisUnavailableError(f"Redis at {describe(self._url)}: the connection is closed")
        return int(sock.fileno())

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too; True: confirmations follow. With ``subscribe_all`` they are heard already."""
        patterns = [] if self._all else [service_pattern(service) for service in services]
        if patterns:
            self._do(lambda: self._pubsub.psubscribe(*patterns), "subscribe")
        return bool(patterns)

    def ping(self) -> None:
        """Ask for a pong. redis-py's own health check only sends, and never minds the missing answer."""
        self._do(self._pubsub.ping, "ping")

    def receive(self, limit: int) -> list[Event]:
        """What has arrived, without blocking."""
        events: list[Event] = []
        while len(events) < limit:
            raw = self._do(lambda: self._pubsub.get_message(timeout=0), "listen")
            if raw is None:
                break
            event = _event(raw)
            if event is not None:
                events.append(event)
        return events

    def close(self) -> None:
        """Close the socket; never raises."""
        try:
            self._pubsub.close()
            self._client.close()
        except (redis.RedisError, OSError):
            return

    def abandon(self) -> None:
        """In a forked child: close the copy of the socket, send nothing."""
        sock = getattr(self._pubsub.connection, "_sock", None)
        if sock is not None:
            sock.close()

    def _start(self, services: Iterable[str]) -> None:
        patterns = [ALL] if self._all else [service_pattern(service) for service in services]
        self._do(lambda: self._pubsub.psubscribe(*patterns), "subscribe")

    def _do(self, call: Any, action: str) -> Any:
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            raise translate(error, self._url, action) from error


def _event(raw: dict[str, Any]) -> Event | None:
    kind = raw["type"]
    if kind in _MESSAGES:
        return Message(bytes(raw["channel"]), bytes(raw["data"]))
    if kind in _CONFIRMATIONS:
        return Confirmed(bytes(raw["channel"]).decode("utf-8", "replace"))
    return Pong() if kind == "pong" else None
