"""Hearing signed change sets by sharded publish: one connection to each node that owns a followed service's slot.

An option; see ``docs/redis.md`` for what it costs. Owns the bundle of connections; each of them reads for itself. Any
error of one is the end of all.
"""

from __future__ import annotations

import selectors
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hotconfig.core.errors import RedisUnavailableError
from hotconfig.core.names import service_pattern
from hotconfig.core.ports import Event, Pong, Subscription
from hotconfig.redis.route import Route
from hotconfig.redis.subscribe import ALL, RedisSubscription
from hotconfig.redis.url import Address


class ShardedSubscription:
    """See :class:`hotconfig.core.ports.Subscription` for what it promises. Make one with :meth:`open`."""

    def __init__(self, route: Route, *, subscribe_all: bool) -> None:
        self._route = route
        self._all = subscribe_all
        self._members: dict[Address | None, RedisSubscription] = {}
        self._selector = selectors.DefaultSelector()
        self._silent: set[Address | None] = set()

    @classmethod
    def open(cls, route: Route, services: Iterable[str], *, subscribe_all: bool) -> ShardedSubscription:
        """Learn who owns what, connect to each owner, and subscribe to both forms there.

        Blocks as :meth:`Route.connect`, once per node.

        Raises:
            RedisUnavailableError, AccessDeniedError, ConfigurationError: it did not work; nothing is left open.
        """
        bundle = cls(route, subscribe_all=subscribe_all)
        try:
            route.learn()
            for shard, names in bundle._by_shard(services).items():
                bundle._add(shard, names)
            if not bundle._members:
                bundle._add(None, ())
        except BaseException:
            bundle.close()
            raise
        return bundle

    def fileno(self) -> int:
        """The selector's own descriptor: readable when one of the sockets is. For epoll and kqueue."""
        return int(self._selector.fileno())

    def follow(self, services: Iterable[str]) -> bool:
        """Hear these services too; True: confirmations follow.

        Raises:
            RedisUnavailableError: one belongs to a node that is not connected, and connecting would block: open anew.
        """
        grouped = self._by_shard(services)
        if not grouped.keys() <= self._members.keys():
            raise RedisUnavailableError("a service's slot belongs to a further node of the cluster: connecting anew")
        for shard, names in grouped.items():
            self._members[shard].follow(names)
        return bool(grouped)

    def ping(self) -> None:
        """Ask every node for a pong."""
        self._silent = set(self._members)
        for member in self._members.values():
            member.ping()

    def receive(self, limit: int) -> list[Event]:
        """What has arrived; a pong when the last node has answered."""
        found: list[Event] = []
        for shard, member in self._members.items():
            while len(found) < limit:
                asked = limit - len(found)
                events = member.receive(asked)
                found += [event for event in events if self._matters(shard, event)]
                if len(events) < asked:
                    break  # nothing is left in its buffers, where no selector would see it
        return found

    def close(self) -> None:
        """Close all sockets; never raises."""
        for member in self._members.values():
            member.close()
        self._selector.close()

    def abandon(self) -> None:
        """In a forked child: close the copies, send nothing, and leave the shared epoll set as it is."""
        for member in self._members.values():
            member.abandon()
        self._selector.close()

    def _matters(self, shard: Address | None, event: Event) -> bool:
        if not isinstance(event, Pong):
            return True
        self._silent.discard(shard)
        return not self._silent

    def _by_shard(self, services: Iterable[str]) -> dict[Address, list[str]]:
        grouped: dict[Address, list[str]] = defaultdict(list)
        for service in services:
            shard = self._route.shard_of(service)
            if shard is not None:
                grouped[shard].append(service)
        return grouped

    def _add(self, shard: Address | None, services: Sequence[str]) -> None:
        # The plain form goes over the whole bus: to hear all of it, one node is enough.
        everything = [ALL] if not self._members else []
        member = RedisSubscription(self._route, subscribe_all=self._all, shard=shard)
        self._members[shard] = member
        self._selector.register(member.fileno(), selectors.EVENT_READ)
        member.start(everything if self._all else map(service_pattern, services), services)


def open_subscription(route: Route, services: Iterable[str], *, subscribe_all: bool) -> Subscription:
    """The subscription that the route's URL asks for. Blocks and raises as its ``open``."""
    if route.url.sharded:
        return ShardedSubscription.open(route, services, subscribe_all=subscribe_all)
    return RedisSubscription.open(route, services, subscribe_all=subscribe_all)
