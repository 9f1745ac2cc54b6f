"""Where the connections of one URL lead: to its server, to a master that Sentinels name, or to a node of a cluster.

Owns the choice. A route is kept for the life of what uses it, since it remembers who answered; connections are not.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from hotconfig.redis.connection import RESP2, open_connection
from hotconfig.redis.url import RedisUrl

Vital = Literal["PING", "ROLE"]
"""The command whose answer shows that a server is still the one to talk to."""


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

    def connect(self, client_name: str) -> Any:
        """A new connection of redis-py's to the server that is the right one now.

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

    def connect(self, client_name: str) -> Any:
        """See :class:`Route`."""
        address = self.url.addresses[0] if self.url.addresses else None
        return open_connection(self.url, address, client_name=client_name, protocol=RESP2)
