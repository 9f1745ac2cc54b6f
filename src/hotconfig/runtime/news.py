"""The two ways in for news: Redis, and PostgreSQL's notifications while there is no Redis.

Owns which of them is open and what the selector waits on. Must not know what the news means. The line's thread uses it.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import monotonic

from hotconfig.core.errors import HotConfigError
from hotconfig.core.ports import Event
from hotconfig.runtime.link import Link, Opened


class News:
    """Links and their sockets. An error drops the link that it came from, and nothing else.

    Args:
        selector: The sockets are registered here, with their link as data.
        redis: The way through Redis, if one is configured.
        listen: The way through LISTEN, if it may be used; open only while Redis is not connected.
        on_trouble: Told every error, after the link was dropped.
        on_doubt: Told when Redis is late with an answer.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        redis: Link | None,
        listen: Link | None,
        on_trouble: Callable[[Link, HotConfigError], None],
        on_doubt: Callable[[], None],
    ) -> None:
        self.redis = redis
        self._selector = selector
        self._listen = listen
        self._on_trouble = on_trouble
        self._on_doubt = on_doubt
        self._links = tuple(link for link in (redis, listen) if link is not None)

    def redis_lost_at_s(self, now_s: float) -> float | None:
        """Since when Redis is not there, though it is configured; None if it is, or is not needed yet."""
        if self.redis is None or not self.redis.away(now_s):
            return None
        return now_s if self.redis.lost_at_s is None else self.redis.lost_at_s

    @property
    def hearing(self) -> bool:
        """Changes arrive without polling."""
        return any(link.connected and not link.doubted for link in self._links)

    def next_s(self, now_s: float) -> float:
        """When there is something to do here, if nothing else happens."""
        return min((link.next_s(now_s) for link in self._needed()), default=now_s + 1.0)

    def tick(self, services: Collection[str], now_s: float) -> None:
        """Open what is needed, close what is not, and watch what is open."""
        needed = self._needed()
        for link in needed:
            doubted = link.doubted
            with _Guard(self, link, now_s):
                link.maybe_open(services, now_s)
                link.watch(now_s)
                if link.doubted and not doubted:
                    self._on_doubt()
        if self._listen is not None and self._listen not in needed and self._listen.subscription is not None:
            self._forget(self._listen)
            self._listen.dismiss()

    def opened(self, opened: Opened, services: Collection[str], now_s: float) -> bool:
        """Take over a new connection. True: confirmations follow; False: what was missed has to be read now."""
        link = opened.link
        if link not in self._needed():
            link.refuse(opened)
            return True
        link.opened(opened, now_s)
        with _Guard(self, link, now_s):
            self._selector.register(opened.subscription.fileno(), selectors.EVENT_READ, link)
            confirms = link is self.redis
            link.follow(services)
            if not confirms:
                link.confirmed()
            return confirms
        return True

    def follow(self, service: str, now_s: float) -> bool:
        """Hear one more service. True: a confirmation follows, or a connection is being made; False: read now."""
        link = self.redis
        if link is None or (link.failures and link.subscription is None):
            return False
        if link.subscription is None:
            return True
        with _Guard(self, link, now_s):
            return link.follow([service])
        return False

    def receive(self, link: Link, limit: int, now_s: float) -> list[Event]:
        """What a link brought."""
        try:  # as _Guard does, which takes its time, and somebody waits for this
            return link.receive(limit, now_s)
        except HotConfigError as error:
            self.drop(link, error, now_s)
            return []

    def drop(self, link: Link, error: HotConfigError, now_s: float) -> None:
        """Discard a link's connection, whole."""
        self._forget(link)
        link.drop(error, now_s)
        self._on_trouble(link, error)

    def drop_all(self, error: HotConfigError, now_s: float) -> None:
        """Discard everything that is open."""
        for link in self._links:
            if link.subscription is not None:
                self.drop(link, error, now_s)

    def abandon(self) -> None:
        """In a forked child: let go without a word, and without touching the selector that the parent shares."""
        for link in self._links:
            link.abandon()

    def close(self) -> None:
        """Close what is open, for good."""
        for link in self._links:
            self._forget(link)
            link.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for connections that are being made; False if they did not end in time. Any thread."""
        deadline_s = monotonic() + timeout_s
        return all(link.join(max(0.0, deadline_s - monotonic())) for link in self._links)

    def _needed(self) -> tuple[Link, ...]:
        needed = [self.redis] if self.redis is not None else []
        if self._listen is not None and (self.redis is None or self.redis.failures):
            needed.append(self._listen)
        return tuple(needed)

    def _forget(self, link: Link) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is link:
                self._selector.unregister(key.fileobj)


@dataclass(frozen=True, slots=True)
class _Guard:
    """Around every call of a link: its error drops it."""

    news: News
    link: Link
    now_s: float

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, HotConfigError):
            return False
        self.news.drop(self.link, error, self.now_s)
        return True
