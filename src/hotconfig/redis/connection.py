"""Connections to one server of Redis, with every timeout set and no retries of their own; and what their errors mean.

Must not know which server is the right one; see :mod:`hotconfig.redis.route`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

import redis
import redis.exceptions

from hotconfig.core.errors import AccessDeniedError, ConfigurationError, HotConfigError, RedisUnavailableError
from hotconfig.redis.url import Address, RedisUrl, describe

RESP2: Final = 2
RESP3: Final = 3
_USER: Final = (
    "Check user and password in the URL, and the ACL: readers need +subscribe +psubscribe +ping and the literal "
    "pattern &config:<service>:*, writers +publish; behind Sentinel both need +role."
)
_SENTINELS_USER: Final = (
    "A Sentinel has users and passwords of its own: give ?sentinel_password=… in the URL, and sentinel_username=… "
    "where it has ACLs. If it is no Sentinel, the URL begins with redis:// or rediss://."
)
_A_SENTINEL: Final = "Only HELLO messages are accepted by Sentinel"
NO_ANSWER: Final = (redis.RedisError, OSError, ValueError, TypeError, LookupError, AttributeError)
"""What redis-py raises when a server is away, or says what no Redis says: it takes some answers apart unseen, and so
does who asks for a role. Around calls of the driver only; a commit that stands must not look like one that failed."""
_MISTAKES: Final = frozenset(
    {
        # OpenSSL's names for what no further attempt mends: no TLS at the other end, or a certificate that we lack.
        "WRONG_VERSION_NUMBER",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "KEY_VALUES_MISMATCH",
        "NO_CERTIFICATE_OR_CRL_FOUND",
        "NO_START_LINE",
    }
)


def open_connection(
    url: RedisUrl, address: Address | None, *, client_name: str, protocol: int, to_sentinel: bool = False
) -> Any:
    """A connection of redis-py's, connected and authenticated. The files that the URL names are read anew.

    Blocks for name resolution and for at most the connect timeout, then the call timeout per answer.

    Raises:
        RedisUnavailableError, AccessDeniedError, ConfigurationError: it did not work; nothing is left open.
    """
    options: Mapping[str, Any] = url.sentinel_options if to_sentinel else url.options
    place = address._asdict() if address is not None else {}
    connection: Any = None
    try:
        # redis-py reads a file or two before it connects.
        connection = url.connection_class(**{**options, **place, "client_name": client_name, "protocol": protocol})
        connection.connect()
    except NO_ANSWER as error:
        if connection is not None:
            connection.disconnect()
        secure = issubclass(url.connection_class, redis.SSLConnection)
        where = f"{address or url.where}{' with TLS' if secure else ''}"
        raise translate_at(error, where, "connect", to_sentinel=to_sentinel, to_tls=secure) from error
    return connection


def place_of(connection: Any) -> Address:
    """The server that a connection of redis-py's leads to; for those that are no unix socket."""
    return Address(connection.host, connection.port)


def translate(error: Exception, url: str, action: str) -> HotConfigError:
    """The error of ours that says what the caller can do about ``error``. The message names no user of ``url``."""
    return translate_at(error, describe(url), action, to_tls=url.startswith("rediss"))


def translate_at(
    error: Exception, where: str, action: str, *, to_sentinel: bool = False, to_tls: bool = False
) -> HotConfigError:
    """:func:`translate` with ``where`` in words: it stands in the message as it is."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
        advice = _SENTINELS_USER if to_sentinel else _USER
        return AccessDeniedError(f"Redis at {where} refused to {action}: {str(error).rstrip('.')}. {advice}")
    if (mistake := _mistake(error, to_tls=to_tls)) is not None:
        return ConfigurationError(f"Redis at {where}{mistake}")
    said = f"did not answer ({action}): {str(error).rstrip('.')}"
    return RedisUnavailableError(f"Redis at {where} {said}{_hint(error, action, to_tls=to_tls)}")


def _mistake(error: Exception, *, to_tls: bool) -> str | None:
    """What has to be mended in the URL or in what it names, and no further attempt mends."""
    if _A_SENTINEL in str(error):
        return " is a Sentinel, which tells no news: write redis+sentinel://…/<name of the master>/0"
    if to_tls and _is_about_files(error):
        return (
            ": a file that the URL names by ssl_ca_certs, ssl_certfile or ssl_keyfile cannot be read; "
            "check the paths and who may read them"
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f" shows a certificate that is not trusted: {cause.verify_message}. Name the file of the authority "
                "that signed it (?ssl_ca_certs=/path/ca.pem), and connect by a name that stands in it"
            )
        if isinstance(cause, ssl.SSLError) and "PEM lib" in str(cause):
            return " was not asked: ssl_certfile and ssl_keyfile hold no certificate and key that belong together"
        if isinstance(cause, ssl.SSLError) and cause.reason in _MISTAKES:
            return (
                f" and this URL do not agree on TLS: {cause.reason}. rediss:// is for a port with TLS, redis:// for "
                "one without; a server that asks for certificates needs ssl_certfile and ssl_keyfile"
            )
    return None


def _hint(error: Exception, action: str, *, to_tls: bool) -> str:
    """What a silence may mean, where the server was met.

    A server without TLS waits for the rest of what it takes for a command, or hangs up: it never says so. One that asks
    for a certificate hangs up, and so does one with TLS on somebody who begins without.
    """
    causes = list(_causes(error))
    never_met = (ConnectionRefusedError, socket.gaierror)
    met = not any(isinstance(cause, never_met) or _is_unreachable(cause) for cause in causes)
    if isinstance(error, redis.ResponseError) or not met:
        return ""
    if to_tls:
        return (
            "; or it asks for a certificate: then give ssl_certfile and ssl_keyfile; or it does not speak TLS: then "
            "write redis:// for rediss://"
        )
    if action == "connect" and any(isinstance(cause, ConnectionResetError) for cause in causes):
        return "; if it is not just restarting, it may speak TLS: then write rediss:// for redis://"
    return ""


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)


def _is_about_files(error: BaseException) -> bool:
    return any(isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what it came of. redis-py raises its own errors without ``from``."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
