"""A Sentinel that is asked now and then, without waiting for it, whether it names another master by now.

A master that was replaced by ``SENTINEL FAILOVER`` goes on saying that it is one, and keeps its subscribers, until the
Sentinels tell it otherwise, some ten seconds later; they name the new one at once.
"""

from __future__ import annotations

import logging
import ssl
from time import monotonic
from typing import Any, Final

import redis

from hotconfig.core.resp import FrameReader, ProtocolError, Value
from hotconfig.redis.connection import place_of
from hotconfig.redis.url import Address

logger: Final = logging.getLogger("hotconfig.redis")

DOUBT_S: Final = 5.0
"""A Sentinel that has not named our server yet may be about to: it says a second late whom it promotes."""
_CHUNK_BYTES: Final = 4096
_CHUNKS_AT_ONCE: Final = 16
_LATER: Final = (BlockingIOError, TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_HIGHEST_PORT: Final = 65_535


class SentinelWatch:
    """See :class:`hotconfig.redis.route.Watch` for what it promises.

    Args:
        connection: Of redis-py's, to a Sentinel, open; the watch's own from now on.
        master_name: As the Sentinels know it.
        ours: The server that it led to.
    """

    def __init__(self, connection: Any, master_name: str, ours: Address) -> None:
        self._connection = connection
        self._ours = ours
        self._agreed = False
        self._doubted_at_s: float | None = None
        self._question = b"".join(connection.pack_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master_name))
        self._socket: Any = connection._sock  # noqa: SLF001 - redis-py offers no public way to read without waiting
        self._socket.settimeout(0)
        self._frames = FrameReader()
        self._is_asked = False
        self.is_over: bool = False
        """Whether the connection is lost, and this will never say anything more."""

    def look(self, wait_s: float = 0.0) -> Address | None:
        """See :class:`hotconfig.redis.route.Watch`."""
        if self.is_over:
            return None
        try:
            answers = self._read()
            if not self._is_asked:  # else it is slow, and would only have more to answer
                self._socket.send(self._question)
                self._is_asked = True
            if wait_s:
                answers += self._read(wait_s)
            return self._judge(answers[-1]) if answers else None
        except _LATER:
            return None
        except (OSError, ValueError, ProtocolError) as error:  # what it said last is no reason to leave
            self.is_over = True
            self.close()
            logger.info("the Sentinel at %s is not asked any more: %s", place_of(self._connection), error)
            return None

    def close(self) -> None:
        """See :class:`hotconfig.redis.route.Watch`."""
        try:
            self._connection.disconnect()
        except (redis.RedisError, OSError):
            return

    def abandon(self) -> None:
        """See :class:`hotconfig.redis.route.Watch`."""
        self.is_over = True
        self._socket.close()

    def _read(self, wait_s: float = 0.0) -> list[Value]:
        """All answers that are there; with ``wait_s`` the first may take so long."""
        answers: list[Value] = []
        try:
            self._socket.settimeout(wait_s)
            for _ in range(_CHUNKS_AT_ONCE):
                data: bytes = self._socket.recv(_CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("it closed the connection")
                answers += self._frames.feed(data)
                self._socket.settimeout(0)
        except _LATER:
            pass  # that was all, for now
        self._socket.settimeout(0)
        self._is_asked = self._is_asked and not answers
        return answers

    def _judge(self, answer: Value) -> Address | None:
        match answer:
            case [bytes() as host, bytes() as port] if host and port.isdigit() and len(port) <= len(str(_HIGHEST_PORT)):
                named = Address(host.decode(), int(port))
            case _:
                return None  # it does not know the master, or refuses
        if not 0 < named.port <= _HIGHEST_PORT:
            return None
        if named == self._ours:
            self._agreed, self._doubted_at_s = True, None
            return None
        if self._doubted_at_s is None:
            self._doubted_at_s = monotonic()
        return named if self._agreed or monotonic() - self._doubted_at_s > DOUBT_S else None
