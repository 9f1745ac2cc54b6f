"""Redis URLs, taken apart: one server, a master found through Sentinels, or a cluster.

Owns which forms there are and what may stand in them. Must not connect. See ``docs/redis.md`` for the forms.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import redis
import redis.connection
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from hotconfig.core.errors import ConfigurationError

CONNECT_TIMEOUT_S: Final = 1.0
CALL_TIMEOUT_S: Final = 1.0
SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
SENTINEL_PORT: Final = 26379
PORT: Final = 6379
_FORMS: Final = {
    "": "{scheme}://user:password@host:6379/0",
    "sentinel": "{scheme}://user:password@sentinel1:26379,sentinel2:26379/mymaster/0",
    "cluster": "{scheme}://user:password@host1:6379,host2:6379",
}
_YES: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
OPTIONS: Final = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
    "ssl_cert_reqs",
    "sentinel_username",
    "sentinel_password",
    "sharded",
    "socket_connect_timeout",
    "socket_timeout",
)
"""What a URL may end with, as docs/redis.md explains. redis-py takes more."""
_FOR: Final = {"ssl": "rediss://", "sentinel": "redis+sentinel://", "sharded": "redis+cluster://"}
_UNREADABLE: Final = "<unreadable URL>"
_OF_A_POOL: Final = ("max_connections", "timeout", "connection_class")
"""What redis-py takes in a URL and its connections do not."""

Topology = Literal["single", "sentinel", "cluster"]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a URL says. Its options hold passwords and appear in no repr.

    Attributes:
        topology: What the addresses are those of.
        where: For messages: hosts and ports, or the socket's path.
        addresses: At least one, but for a unix socket, which has none.
        connection_class: redis-py's.
        options: What redis-py's connections to the data servers are made with.
        sentinel_options: The same, to Sentinels.
        master_name: As the Sentinels know it.
        sharded: Whether signed change sets go by sharded publish.
    """

    topology: Topology
    where: str
    addresses: tuple[Address, ...]
    connection_class: Any
    options: Mapping[str, Any] = field(repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    master_name: str = ""
    sharded: bool = False


def parse_redis_url(url: str) -> RedisUrl:
    """Take a URL apart. Does no I/O.

    Raises:
        ConfigurationError: it cannot be read. The message repeats neither user nor password.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES:
        found = f", not {scheme}://" if separator else ""  # what is no URL may be a password
        raise ConfigurationError(f"a Redis URL begins with {', '.join(s + '://' for s in SCHEMES)}{found}")
    base, _, kind = scheme.partition("+")
    _check_options(url, base, kind)
    try:
        if kind == "":
            return _unix(url) if scheme == "unix" else _single(url, rest)
        return _sentinel(base, rest) if kind == "sentinel" else _cluster(base, rest)
    except (ValueError, TypeError, redis.RedisError):
        # The parsers' own words quote parts of the URL, possibly of the password: they go no further.
        raise ConfigurationError(
            f"the Redis URL for {describe(url)} cannot be read: write {_FORMS[kind].format(scheme=scheme)}, with "
            "special characters in user and password percent-encoded"
        ) from None


def describe(url: str) -> str:
    """Hosts and ports, or the socket's path, for messages: never user or password."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return urlsplit(url).path
    try:
        default = SENTINEL_PORT if scheme.endswith("+sentinel") else PORT
        addresses = ", ".join(map(str, _addresses(_parts(rest)[1], default)))
        return addresses if "+" not in scheme else f"{addresses} ({scheme.partition('+')[2]})"
    except ValueError:
        return _UNREADABLE


def _unix(url: str) -> RedisUrl:
    options, connection_class = _options(url)
    return RedisUrl("single", describe(url), (), connection_class, options)


def _single(url: str, rest: str) -> RedisUrl:
    _parts(rest)
    options, connection_class = _options(url)
    address = Address(options.pop("host", "localhost"), options.pop("port", PORT))
    return RedisUrl("single", describe(url), (address,), connection_class, options)


def _sentinel(base: str, rest: str) -> RedisUrl:
    user, hosts, path, query = _parts(rest)
    name, _, db = path.strip("/").partition("/")
    if not name:
        raise ConfigurationError(
            f"the Redis URL for {describe(f'{base}+sentinel://{rest}')} names no master: write its name after the "
            f"Sentinels, {_FORMS['sentinel'].format(scheme=f'{base}+sentinel')}"
        )
    if db and not db.isdigit():
        raise ValueError("no database number")
    options, connection_class = _options(f"{base}://{user}host/{db}{query}")
    theirs = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    for option in ("username", "password"):
        if (value := options.pop(f"sentinel_{option}", None)) is not None:
            theirs[option] = value
    addresses = _addresses(hosts, SENTINEL_PORT)
    where = f"{', '.join(map(str, addresses))} (sentinel)"
    for mine in ("host", "port"):
        options.pop(mine, None)
    return RedisUrl(
        "sentinel", where, addresses, connection_class, options, _complete(theirs), master_name=unquote(name)
    )


def _cluster(base: str, rest: str) -> RedisUrl:
    user, hosts, path, query = _parts(rest)
    if path.strip("/") not in ("", "0"):
        raise ConfigurationError(f"the Redis URL for {hosts}: a cluster has database 0 only; leave the number out")
    options, connection_class = _options(f"{base}://{user}host{query}")
    sharded = _YES[_said(query).get("sharded", "no")]
    addresses = _addresses(hosts, PORT)
    for mine in ("host", "port"):
        options.pop(mine, None)
    where = f"{', '.join(map(str, addresses))} (cluster)"
    return RedisUrl("cluster", where, addresses, connection_class, options, sharded=sharded)


def _check_options(url: str, base: str, kind: str) -> None:
    """Whether each option has a value that it can have, and belongs to this kind of URL.

    Raises:
        ConfigurationError: one does not. The message repeats no value.
    """
    where = f"the Redis URL for {describe(url)}"
    if where.endswith(_UNREADABLE):
        return  # the rest of a password, perhaps: told without a word of it
    said = _said(url)
    unknown = sorted(name for name in said if name not in _known() and name.isidentifier())
    if unknown:
        there_are = ", ".join(name for name in OPTIONS if _fits(name, base, kind))
        raise ConfigurationError(f"{where} has unknown options: {', '.join(unknown)}. There are: {there_are}")
    for name in said.keys() & set(OPTIONS):
        if not _fits(name, base, kind) and _YES.get(said[name], True):  # sharded=no fits everywhere
            raise ConfigurationError(f"{where}: {name} is for {_FOR[name.partition('_')[0]]} URLs; leave it out")
    if said.get("sharded", "no") not in _YES:
        raise ConfigurationError(f"{where}: sharded is yes or no")
    for name in said.keys() & {"socket_timeout", "socket_connect_timeout"}:
        if not _is_time(said[name]):
            raise ConfigurationError(f"{where}: {name} is a number of seconds, above 0")
    if "ssl_keyfile" in said and "ssl_certfile" not in said:
        raise ConfigurationError(f"{where}: ssl_keyfile belongs to an ssl_certfile; name both")


def _said(url: str) -> dict[str, str]:
    """The options; of several values the first counts, as for redis-py."""
    return {name: values[0] for name, values in parse_qs(url.partition("?")[2].partition("#")[0]).items()}


def _is_time(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _fits(option: str, base: str, kind: str) -> bool:
    match option.partition("_")[0]:
        case "ssl":
            return base == "rediss"
        case "sentinel":
            return kind == "sentinel"
        case "sharded":
            return kind == "cluster"
        case _:
            return True


def _parts(rest: str) -> tuple[str, str, str, str]:
    """User with ``@``, hosts, path, query with ``?``."""
    front, mark, query = rest.partition("?")
    authority, slash, path = front.partition("/")
    if "@" in path:
        raise ValueError("a bare slash in the password: what stands before it is no host")
    if not slash and ("#" in authority or ("@" in query and query.partition("=")[0] not in _known())):
        raise ValueError("a bare question mark or number sign in the password: what stands before it is no host")
    user, at, hosts = authority.rpartition("@")
    return user + at, hosts, slash + path, mark + query


def _addresses(hosts: str, default: int) -> tuple[Address, ...]:
    found: list[Address] = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        found.append(Address(unquote(parts.hostname or "localhost"), parts.port or default))
    return tuple(dict.fromkeys(found))


def _options(url: str) -> tuple[dict[str, Any], Any]:
    options = cast("dict[str, Any]", redis.connection.parse_url(url))  # type: ignore[no-untyped-call]
    connection_class: Any = options.get("connection_class", redis.Connection)
    for name in _OF_A_POOL:
        options.pop(name, None)
    options.pop("sharded", None)  # ours alone
    made = _complete(options)
    ours = {name: value for name, value in made.items() if not name.startswith("sentinel_")}
    connection_class(**ours)  # refuses what it does not know; connects later
    return made, connection_class


def _known() -> frozenset[str]:
    """What the connections of redis-py take, and what is ours."""
    takers: tuple[Any, ...] = (
        redis.Connection,
        redis.SSLConnection,
        redis.UnixDomainSocketConnection,
        redis.connection.AbstractConnection,
    )
    theirs = (inspect.signature(taker.__init__).parameters for taker in takers)
    return frozenset(OPTIONS).union(_OF_A_POOL, *theirs)


def _complete(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": CALL_TIMEOUT_S,
        **options,
        # Retrying is decided by whoever knows what is at stake. redis-py would otherwise retry three times.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        # Asked for at every connect, refused by everybody but Redis Cloud, and of no use to what is discarded whole.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
