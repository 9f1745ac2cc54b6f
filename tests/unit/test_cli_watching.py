"""What ``hotconfig watch`` does with a subscription that holds more than it gives at once."""

from __future__ import annotations

import select
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from hotconfig.cli.watching import _BATCH, _Ear
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.ports import Event, Message


class Subscription:
    """Has all in its buffers: the socket is readable once."""

    def __init__(self, events: int) -> None:
        self.socket, other = socket.socketpair()
        other.sendall(b"x")
        self.other = other
        self.left: list[Event] = [Message(b"config:ai:threshold", b"1")] * events

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self, limit: int) -> list[Event]:
        if not self.left:
            raise RedisUnavailableError("the end of the test")
        if select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(1)
        taken, self.left = self.left[:limit], self.left[limit:]
        if not self.left:
            self.other.sendall(b"x")
        return taken


@pytest.mark.timeout(10)
@pytest.mark.parametrize("events", [1, _BATCH - 1, _BATCH, _BATCH + 1, 3 * _BATCH])
def test_what_lies_in_the_buffers_of_a_silent_connection_is_told_at_once(events: int) -> None:
    heard: list[int] = []
    call: Any = SimpleNamespace(out=SimpleNamespace(urgent=lambda _: None), connections=None)
    tail: Any = SimpleNamespace(hear=lambda given, _: heard.append(len(given)), look=lambda: pytest.fail("too late"))
    subscription: Any = Subscription(events)
    with subscription.socket, subscription.other, pytest.raises(RedisUnavailableError):
        _Ear(call, tail, ["ai"], {})._follow(subscription)
    assert sum(heard) == events
