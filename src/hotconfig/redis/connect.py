"""From a URL to a way to Redis: the route that finds the server to talk to, and clients for looking around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import redis

from hotconfig.redis.cluster import ClusterRoute
from hotconfig.redis.connection import RESP2, translate
from hotconfig.redis.route import Route, SingleRoute
from hotconfig.redis.sentinel import SentinelRoute
from hotconfig.redis.url import RedisUrl, Topology, describe, parse_redis_url

__all__ = ["describe", "find_route", "open_client", "translate"]

_ROUTES: Final[dict[Topology, Callable[[RedisUrl], Route]]] = {
    "single": SingleRoute,
    "sentinel": SentinelRoute,
    "cluster": ClusterRoute,
}


def find_route(url: str) -> Route:
    """The route for a URL. Does no I/O.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    parsed = parse_redis_url(url)
    return _ROUTES[parsed.topology](parsed)


def open_client(url: str, *, client_name: str, max_connections: int = 8) -> Any:
    """A ``redis.Redis`` (its types are too loose for ours) for the server that is the right one now.

    For looking around: it does not follow a failover. To one server it connects when first used, not here.

    Raises:
        ConfigurationError: the URL cannot be read.
        RedisUnavailableError, AccessDeniedError: no Sentinel and no node of the cluster leads to a server.
    """
    route = find_route(url)
    options: dict[str, Any] = {**route.url.options, "client_name": client_name, "protocol": RESP2}
    if route.url.topology == "single":
        options |= route.url.addresses[0]._asdict() if route.url.addresses else {}
    else:
        connection = route.connect(client_name)
        options |= {"host": connection.host, "port": connection.port}
        connection.disconnect()
    pool: Any = redis.ConnectionPool(
        connection_class=route.url.connection_class, max_connections=max_connections, **options
    )
    return redis.Redis.from_pool(pool)
