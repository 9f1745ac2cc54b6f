"""Clients of Redis, made from a URL, with every timeout set and no retries of their own."""

from __future__ import annotations

from typing import Any, Final, cast
from urllib.parse import urlsplit

import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from hotconfig.core.errors import AccessDeniedError, ConfigurationError, HotConfigError, RedisUnavailableError

CONNECT_TIMEOUT_S: Final = 1.0
CALL_TIMEOUT_S: Final = 1.0
SCHEMES: Final = ("redis", "rediss", "unix")


def open_client(url: str, *, client_name: str, max_connections: int = 8) -> Any:
    """A ``redis.Redis`` (its types are too loose for ours) for ``redis://``, ``rediss://`` or ``unix://``.

    Connects when first used, not here.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    # urlsplit raises for some URLs, and quotes them.
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in SCHEMES:
        raise ConfigurationError(f"a Redis URL begins with {', '.join(s + '://' for s in SCHEMES)}, not {scheme!r}")
    options: dict[str, Any] = {
        "client_name": client_name,
        "protocol": 2,  # what core/resp reads; RESP3 brings nothing that is used here
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": CALL_TIMEOUT_S,
        # Retrying is decided by whoever knows what is at stake. redis-py would otherwise retry three times.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "max_connections": max_connections,
        # Asked for at every connect, refused by everybody but Redis Cloud, and of no use to what is discarded whole.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    try:
        return cast("Any", redis.Redis).from_url(url, **options)
    except (ValueError, TypeError):
        # The parser's own words quote parts of the URL, possibly of the password: they go no further.
        raise ConfigurationError(
            f"the Redis URL for {describe(url)} cannot be read: write {scheme}://user:password@host:6379/0, with "
            "special characters in user and password percent-encoded"
        ) from None


def translate(error: Exception, url: str, action: str) -> HotConfigError:
    """The error of ours that says what the caller can do about ``error``."""
    where = describe(url)
    if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
        return AccessDeniedError(
            f"Redis at {where} refused to {action}: {str(error).rstrip('.')}. "
            "Check user and password in the URL, and the ACL: readers need +subscribe "
            "+psubscribe +ping and the literal pattern &config:<service>:*, writers +publish."
        )
    return RedisUnavailableError(f"Redis at {where} did not answer ({action}): {error}")


def describe(url: str) -> str:
    """Host and port, or the socket's path, for messages: never user or password."""
    try:
        parts = urlsplit(url)
        address = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    except ValueError:
        return "<unreadable URL>"
    return parts.path if parts.scheme == "unix" else address
