"""The relay's ear: hears what writers announce in Redis, as long as it can.

Owns the connection and what is known of Redis by it. Must not know what follows from what it hears. The relay's thread
uses it; without it the relay works on, and announces also what was announced already.
"""

from __future__ import annotations

import random
import selectors
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from hotconfig.core.chain import ChangeSet
from hotconfig.core.errors import HotConfigError, RetryableError
from hotconfig.core.ports import Confirmed, Event, Message, Pong
from hotconfig.core.wire import Keyring, decode
from hotconfig.runtime.inbox import Inbox
from hotconfig.runtime.link import Link, Opened, OpenFailed, OpenSubscription

BATCH: Final = 1000


class Ear:
    """At most one subscription to everything, opened anew when it breaks.

    Args:
        selector: The socket is registered here, with the ear as data.
        inbox: Brings what the connecting thread has made; hand it to :meth:`opened`.
        open_subscription: Subscribes to everything.
        rng: For jitter.
        confirmed: Told that it hears from now on.
        lost: Told that it does not, and why, after every failed attempt too.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        inbox: Inbox[Opened | OpenFailed],
        open_subscription: OpenSubscription,
        rng: random.Random,
        *,
        confirmed: Callable[[], None],
        lost: Callable[[HotConfigError], None],
    ) -> None:
        self.redis_away: bool = False
        """The last attempt failed for a reason that would keep everybody else out, too."""
        self.more: bool = False
        """More may have arrived than was taken; the driver holds it, where the selector does not see it."""
        self._selector = selector
        self._link = Link("Redis", open_subscription, inbox.post, rng)
        self._confirmed = confirmed
        self._lost = lost

    @property
    def hearing(self) -> bool:
        """Connected, and subscribed."""
        return self._link.connected

    def next_s(self, now_s: float) -> float:
        """When there is something to do here, if nothing else happens."""
        return now_s if self.more else self._link.next_s(now_s)

    def keep(self, now_s: float) -> None:
        """Open what is closed, and watch what is open."""
        try:
            self._link.maybe_open((), now_s)
            self._link.watch(now_s)
        except HotConfigError as error:
            self._drop(error)

    def opened(self, item: Opened | OpenFailed, *, wanted: bool) -> None:
        """Take over a new connection, if one is ``wanted`` still."""
        if isinstance(item, OpenFailed):
            self._drop(item.error)
        elif not wanted:
            self._link.refuse(item)
        else:
            try:
                fileno = self._link.opened(item, monotonic()).fileno()
                self._selector.register(fileno, selectors.EVENT_READ, self)
            except HotConfigError as error:
                self._drop(error)

    def listen(self, keyring: Keyring) -> Iterator[ChangeSet]:
        """The commits that were announced, with a signature that holds."""
        try:
            events = self._link.receive(BATCH, monotonic())
            self.more = len(events) == BATCH
        except HotConfigError as error:
            self._drop(error)
            return
        for event in events:
            change_set = self._take(event, keyring)
            if change_set is not None:
                yield change_set

    def dismiss(self) -> None:
        """Close the connection for now: nobody needs it."""
        self._forget()
        self._link.dismiss()
        self.redis_away = False

    def close(self) -> None:
        """Close it for good."""
        self._forget()
        self._link.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for a connection that is being made; False if it did not end in time. Any thread."""
        return self._link.join(timeout_s)

    def abandon(self) -> None:
        """In a forked child: let go without a word, and without touching the selector that the parent shares."""
        if self._link.subscription is not None:
            self._link.subscription.abandon()

    def _take(self, event: Event, keyring: Keyring) -> ChangeSet | None:
        if isinstance(event, Message):
            news = decode(event.channel, event.data, keyring)
            return news if isinstance(news, ChangeSet) else None
        if isinstance(event, Confirmed):
            self._link.confirmed()
            self.redis_away = False
            self._confirmed()
        elif isinstance(event, Pong):
            self._link.ponged()
        return None

    def _drop(self, error: HotConfigError) -> None:
        self._forget()
        self._link.drop(error, monotonic())
        # A missing right to subscribe does not keep anybody from publishing.
        self.redis_away = isinstance(error, RetryableError)
        self._lost(error)

    def _forget(self) -> None:
        self.more = False
        for key in list(self._selector.get_map().values()):
            if key.data is self:
                self._selector.unregister(key.fileobj)
