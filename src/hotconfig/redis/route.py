"""Where the connections of one URL lead: to its server, to a master that Sentinels name, or to a node of a cluster.

Owns the choice. A route is kept for the life of what uses it, since it remembers who answered; connections are not.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from hotconfig.redis.connection import RESP2, open_connection
from hotconfig.redis.url import Address, RedisUrl

Vital = Literal["PING", "ROLE"]
"""The command whose answer shows that a server is still the one to talk to."""


class Watch(Protocol):
    """Somebody who knows of a change before the server itself does. For one thread at a time."""

    is_over: bool
    """Whether it will never say anything more."""

    def look(self, wait_s: float = 0.0) -> Address | None:
        """The server that is the right one instead, if there is another by now, and ask again.

        By the answer to the last question; with ``wait_s`` by the answer to this one, if it comes so soon. Raises
        nothing: who is silent says nothing.
        """
        ...

    def close(self) -> None:
        """Close its connection; never raises."""
        ...

    def abandon(self) -> None:
        """In a forked child: close the copy of its socket, send nothing."""
        ...


class Route(Protocol):
    """Finds the server to talk to. Used by any thread."""

    @property
    def url(self) -> RedisUrl:
        """What it was made from."""
        ...

    @property
    def vital(self) -> Vital:
        """What to ask a server now and then, and after publishing. ``ROLE`` is to be answered with ``master``."""
        ...

    def learn(self) -> None:
        """Find out anew who is where, after a server said that it is another's turn. Blocks and raises as connect."""
        ...

    def shard_of(self, service: str) -> Address | None:
        """The server that a service's signed change sets are published at by ``SPUBLISH``; None: by ``PUBLISH``.

        As last learnt; does no I/O.

        Raises:
            RedisUnavailableError: nobody is known to own the slot; :meth:`learn` may help.
        """
        ...

    def watch(self, connection: Any) -> Watch | None:
        """Who says whether the server of ``connection``, just made by :meth:`connect`, is still the right one.

        None: nobody but itself. Blocks as connect; raises nothing.
        """
        ...

    def connect(self, client_name: str, shard: Address | None = None) -> Any:
        """A new connection of redis-py's to the server that is the right one now, or to that of a shard.

        Blocks within the bounds of the topology; see ``docs/redis.md``.

        Raises:
            RedisUnavailableError, AccessDeniedError, ConfigurationError: there is none; nothing is left open.
        """
        ...


class SingleRoute:
    """To the one server, or the unix socket, that the URL names."""

    vital: Vital = "PING"

    def __init__(self, url: RedisUrl) -> None:
        self.url = url

    def learn(self) -> None:
        """Nothing to find out."""

    def shard_of(self, service: str) -> Address | None:  # noqa: ARG002 - there are no shards
        """See :class:`Route`."""
        return None

    def watch(self, connection: Any) -> Watch | None:  # noqa: ARG002 - it speaks for itself
        """See :class:`Route`."""
        return None

    def connect(self, client_name: str, shard: Address | None = None) -> Any:  # noqa: ARG002 - there are no shards
        """See :class:`Route`."""
        address = self.url.addresses[0] if self.url.addresses else None
        return open_connection(self.url, address, client_name=client_name, protocol=RESP2)
