"""A mailbox with a file descriptor: what the line can wait on. Must not know who writes, or what it means."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import Final

from hotconfig.core.errors import HotConfigError, RetryableError
from hotconfig.core.ports import Event, Message, Pong

MAX_TAKEN_BYTES: Final = 4 * 1024 * 1024
"""In one call, as from a Redis socket: a flood of large messages is taken in pieces."""


class Mailbox:
    """Events for one reader. Any thread may put; one takes. See :class:`hotconfig.core.ports.Subscription`."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._error: HotConfigError | None = None
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def fileno(self) -> int:
        """The socket to wait on; readable while there is something to receive."""
        return self._reading.fileno()

    def ping(self) -> None:
        """Ask for a pong; it is there at once. Raises as :meth:`receive`."""
        self.check()
        self.put(Pong())

    def put(self, event: Event) -> None:
        """Let the reader hear an event. Once closed, it is lost."""
        self._events.append(event)
        self._wake()

    def receive(self, limit: int) -> list[Event]:
        """What has arrived: at most ``limit`` events, and not many MiB at once. Never blocks.

        Raises:
            HotConfigError: what :meth:`cut` was given, or ``RetryableError`` once it is closed.
        """
        self.check()
        with contextlib.suppress(BlockingIOError):
            while self._reading.recv(4096):
                continue
        taken: list[Event] = []
        size = 0
        while self._events and len(taken) < limit and size < MAX_TAKEN_BYTES:
            event = self._events.popleft()
            size += len(event.data) if isinstance(event, Message) else 0
            taken.append(event)
        if self._events:
            self._wake()
        return taken

    def cut(self, error: HotConfigError) -> None:
        """Break the connection, as a server does that goes away: every further call raises ``error``."""
        self._error = error
        self._wake()

    def close(self) -> None:
        """Close the sockets; never raises."""
        self._error = self._error or RetryableError("this connection in memory was closed")
        self._reading.close()
        self._writing.close()

    def abandon(self) -> None:
        """In a forked child: close the copies of the sockets; the original is not touched."""
        self.close()

    def check(self) -> None:
        """Raises as :meth:`receive`."""
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is readable already; closed: nobody reads
            self._writing.send(b"\0")
