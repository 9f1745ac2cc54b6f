"""How other threads hand something to the line's thread and wake it."""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue whose arrival a selector sees. Any thread posts, one takes."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def register(self, selector: selectors.BaseSelector) -> None:
        """Let the selector see arrivals."""
        selector.register(self._reading, selectors.EVENT_READ, self)

    def post(self, item: T) -> None:
        """Hand over an item. Never blocks."""
        self._items.append(item)
        self.wake()

    def wake(self) -> None:
        """Wake the taker, with or without an item."""
        try:
            self._writing.send(b"\0")
        except OSError:
            return  # full: it is awake already; closed: there is nobody to wake

    def take(self) -> Iterator[T]:
        """What has arrived, oldest first."""
        try:
            while self._reading.recv(4096):
                pass
        except OSError:
            pass  # drained
        # Only what is here now: who takes may post again, and has other things to do in between.
        for _ in range(len(self._items)):
            try:
                item = self._items.popleft()
            except IndexError:
                return  # at the end there may be two who take
            yield item

    def close(self) -> None:
        """Close the sockets. What still comes in is kept, and nobody takes it."""
        self._reading.close()
        self._writing.close()
