"""A Sentinel that is asked now and then, without waiting for it, whether it names another master by now.

A master that was replaced by ``SENTINEL FAILOVER`` goes on saying that it is one, and keeps its subscribers, until the
Sentinels tell it otherwise, some ten seconds later; they name the new one at once.
"""

from __future__ import annotations

import select
import ssl
from time import monotonic
from typing import Any, Final

import redis

from hotconfig.core.resp import FrameReader, ProtocolError, Value
from hotconfig.redis.url import Address

DOUBT_S: Final = 2.0
"""A Sentinel that has not named our server yet may be about to: it says a second late whom it promotes."""
_CHUNK_BYTES: Final = 4096
_LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


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
        self._is_silent = False

    def look(self, wait_s: float = 0.0) -> Address | None:
        """See :class:`hotconfig.redis.route.Watch`."""
        if self._is_silent:
            return None
        try:
            frames = self._read()
            self._socket.send(self._question)
            if wait_s:
                select.select([self._socket], [], [], wait_s)
                frames += self._read()
        except _LATER:
            return None
        except (OSError, ValueError, ProtocolError):  # gone: what it said last was no reason to leave
            self._is_silent = True
            self.close()
            return None
        return self._judge(frames[-1]) if frames else None

    def close(self) -> None:
        """See :class:`hotconfig.redis.route.Watch`."""
        try:
            self._connection.disconnect()
        except (redis.RedisError, OSError):
            return

    def abandon(self) -> None:
        """See :class:`hotconfig.redis.route.Watch`."""
        self._is_silent = True
        self._socket.close()

    def _read(self) -> list[Value]:
        try:
            data: bytes = self._socket.recv(_CHUNK_BYTES)
        except _LATER:
            return []
        if not data:
            raise ConnectionResetError
        return self._frames.feed(data)

    def _judge(self, answer: Value) -> Address | None:
        match answer:
            case [bytes() as host, bytes() as port] if port.isdigit():
                named = Address(host.decode("utf-8", "replace"), int(port))
            case _:
                return None  # it does not know the master, or refuses
        if named == self._ours:
            self._agreed, self._doubted_at_s = True, None
            return None
        if self._doubted_at_s is None:
            self._doubted_at_s = monotonic()
        return named if self._agreed or monotonic() - self._doubted_at_s > DOUBT_S else None
