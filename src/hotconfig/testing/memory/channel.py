"""Redis in memory, as far as hotconfig needs one: published messages reach whoever is subscribed at that moment.

Owns who hears what. Must not know what messages mean, nor the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.names import PREFIX, service_pattern
from hotconfig.core.ports import Confirmed, Message
from hotconfig.core.resp import MAX_BULK_BYTES, OVERSIZE
from hotconfig.core.wire import Keyring, messages
from hotconfig.testing.memory.mailbox import Mailbox

ALL: Final = f"{PREFIX}*"


class MemoryChannel:
    """Any number of publishers and subscribers, in any threads. An ``Announcer``, and opens ``Subscription`` objects.

    See :mod:`hotconfig.core.ports` for what they promise.
    """

    def __init__(self) -> None:
        self._subscriptions: list[MemorySubscription] = []
        self._error: RedisUnavailableError | None = None

    def open(self, services: Iterable[str], *, subscribe_all: bool = False) -> MemorySubscription:
        """Subscribe to the channels of some services, or to all.

        Raises:
            RedisUnavailableError: after :meth:`fail`.
        """
        self._check()
        subscription = self._make(services, subscribe_all)
        self._subscriptions = [each for each in self._subscriptions if not each.closed]
        self._subscriptions.append(subscription)
        return subscription

    def announce(self, change_set: ChangeSet, keyring: Keyring) -> None:
        """Publish the signed and the plain form.

        Raises:
            RedisUnavailableError: after :meth:`fail`.
        """
        for channel, data in messages(change_set, keyring):
            self.publish(channel, data)

    def publish(self, channel: str, data: bytes) -> int:
        """Publish as ``redis-cli PUBLISH`` does; returns how many heard it.

        Raises:
            RedisUnavailableError: after :meth:`fail`.
        """
        self._check()
        message = Message(channel.encode(), data if len(data) <= MAX_BULK_BYTES else OVERSIZE)
        hearing = [each for each in tuple(self._subscriptions) if each.hears(channel)]
        for subscription in hearing:
            subscription.put(message)
        return len(hearing)

    def cut(self) -> None:
        """End all connections, as ``CLIENT KILL`` does; new ones can be opened."""
        error = RedisUnavailableError("Redis in memory: the connection was closed")
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.cut(error)

    def fail(self) -> None:
        """Go away: connections break, and nothing works until :meth:`recover`."""
        self._error = RedisUnavailableError("Redis in memory is down, as this test wants it")
        self.cut()

    def recover(self) -> None:
        """Be there again. What was published meanwhile is lost."""
        self._error = None

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """In a forked child: nobody is subscribed there yet."""
        self._subscriptions = []

    def _make(self, services: Iterable[str], subscribe_all: bool) -> MemorySubscription:
        return MemorySubscription(services, subscribe_all=subscribe_all)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error


class MemorySubscription(Mailbox):
    """Made by :meth:`MemoryChannel.open`."""

    def __init__(self, services: Iterable[str], *, subscribe_all: bool = False) -> None:
        super().__init__()
        self._all = subscribe_all
        self._prefixes: set[str] = set()
        self.closed = False
        if subscribe_all:
            self._subscribe(ALL)
        else:
            self.follow(services)

    def hears(self, channel: str) -> bool:
        """Whether it is subscribed to a channel."""
        return not self.closed and channel.startswith(tuple(self._prefixes))

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too; True: confirmations follow. Raises as :meth:`receive`."""
        self.check()
        if self._all:
            return False
        names = list(services)
        for name in names:
            self._subscribe(service_pattern(name))
        return bool(names)

    def close(self) -> None:
        """Close the sockets, and hear nothing any more."""
        self.closed = True
        super().close()

    def _subscribe(self, pattern: str) -> None:
        self._prefixes = self._prefixes | {pattern.removesuffix("*")}
        self.confirm(pattern)

    def confirm(self, pattern: str) -> None:
        """Say that it is subscribed, as the server does."""
        self.put(Confirmed(pattern))
