"""The way to a master that Sentinels watch: asked for anew at every connect, and believed only when it says so itself.

Owns how Sentinels are asked. redis-py's own Sentinel support is not used: it pins a subscriber to the master that was,
which keeps its subscribers when it is demoted and goes on answering PING.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, cast

import redis
from redis.exceptions import NoPermissionError

from hotconfig.core.errors import ConfigurationError, HotConfigError, RedisUnavailableError
from hotconfig.redis.connection import NO_ANSWER, RESP2, RESP3, open_connection, place_of, translate_at
from hotconfig.redis.roster import Roster
from hotconfig.redis.route import Vital, Watch
from hotconfig.redis.url import SENTINEL_PORT, Address, RedisUrl
from hotconfig.redis.watch import SentinelWatch

SEARCH_LIMIT_S: Final = 3.0
"""No further Sentinel is asked after this, within one attempt to connect."""
FIRST_LOOK_S: Final = 0.05
"""How long a new connection waits for its Sentinel to name the server again."""
_DOWN: Final = frozenset({"s_down", "o_down"})


class SentinelRoute:
    """To the master. See :class:`hotconfig.redis.route.Route` for what it promises."""

    vital: Vital = "ROLE"

    def __init__(self, url: RedisUrl) -> None:
        self.url = url
        self.roster: Roster = Roster(url.addresses, random.Random())  # noqa: S311 - spreads the load

    def learn(self) -> None:
        """Nothing to find out: every connect does."""

    def shard_of(self, service: str) -> Address | None:  # noqa: ARG002 - there are no shards
        """See :class:`hotconfig.redis.route.Route`."""
        return None

    def watch(self, connection: Any) -> Watch | None:
        """The Sentinel that led to this master; None if it does not answer."""
        try:
            sentinel = self._open(self.roster.order()[0])
        except HotConfigError:
            return None
        watch = SentinelWatch(sentinel, self.url.master_name, place_of(connection))
        watch.look(FIRST_LOOK_S)
        return watch

    def connect(self, client_name: str, shard: Address | None = None) -> Any:  # noqa: ARG002 - there are no shards
        """Ask one Sentinel after the other until one names a server that says that it is a master.

        RESP3, because a subscriber may ask for its server's role in that protocol only. A Sentinel that has not heard
        of a failover yet does no harm: the next one is asked.
        """
        deadline_s = monotonic() + SEARCH_LIMIT_S
        errors: dict[str, HotConfigError] = {}
        tried: set[Address] = set()
        for sentinel in self.roster.order():
            try:
                master = self.ask(sentinel)
                if master not in tried:
                    tried.add(master)
                    connection = self._connect_master(master, client_name)
                    self.roster.prefer(sentinel)
                    return connection
            except HotConfigError as error:
                errors[str(error)] = error
            if monotonic() > deadline_s:
                break
        raise _none_found(self.url, list(errors.values()))

    def ask(self, sentinel: Address) -> Address:
        """The master's address, says this Sentinel. Blocks as :func:`open_connection`.

        Raises:
            RedisUnavailableError: the Sentinel does not answer, or says that the master is down.
            AccessDeniedError, ConfigurationError: it refuses, or knows no master of this name.
        """
        try:
            connection = self._open(sentinel)
        except HotConfigError:
            self.roster.shun(sentinel)
            raise
        try:
            return _master_said(self.url, sentinel, connection)
        except NO_ANSWER as error:
            if type(error) is redis.ResponseError:
                raise ConfigurationError(
                    f"Redis at {sentinel} is no Sentinel ({error}): the URL names the Sentinels, which usually "
                    f"listen on port {SENTINEL_PORT}, and they name the server"
                ) from error
            raise translate_at(error, f"{sentinel} (sentinel)", "name the master", to_sentinel=True) from error
        finally:
            connection.disconnect()

    def _open(self, sentinel: Address) -> Any:
        return open_connection(self.url, sentinel, client_name="hotconfig-sentinel", protocol=RESP2, to_sentinel=True)

    def _connect_master(self, master: Address, client_name: str) -> Any:
        connection = open_connection(self.url, master, client_name=client_name, protocol=RESP3)
        try:
            connection.send_command("ROLE", check_health=False)
            role = cast("list[Any]", connection.read_response())[0]
        except NO_ANSWER as error:
            connection.disconnect()
            raise translate_at(error, str(master), "tell its role") from error
        if role != b"master":
            connection.disconnect()
            raise RedisUnavailableError(f"Redis at {master} is named as the master and is none (any more)")
        return connection


def _master_said(url: RedisUrl, sentinel: Address, connection: Any) -> Address:
    """Both questions are needed: the first has the new address earlier, the second says whether the old one is down."""
    name = url.master_name
    commands = [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name)]
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    raw: list[bytes] | None = connection.read_response()
    if raw is None:
        connection.disconnect()
        raise ConfigurationError(
            f"the Sentinel at {sentinel} knows no master {name!r}: check the name in the URL's path, "
            "redis+sentinel://…/<name>/0"
        )
    named = Address(raw[0].decode(), int(raw[1]))
    standing = _fields(connection.read_response())
    down = _DOWN & set(standing.get("flags", "").split(","))
    if down and named == Address(standing.get("ip", ""), int(standing.get("port", "0"))):
        # Not worth the wait for a time-out: the Sentinels are about to choose another, or have.
        if (promoted := _promoted(connection, name)) is not None:
            return promoted
        raise RedisUnavailableError(f"its Sentinels say that {named} is down")
    return named


def _promoted(connection: Any, name: str) -> Address | None:
    """The replica that the Sentinel in charge is making a master, if it is this Sentinel.

    It says so up to a second before it names it as the master: it looks at replicas no more often.
    """
    connection.send_command("SENTINEL", "REPLICAS", name, check_health=False)
    try:
        replicas = cast("list[list[bytes]]", connection.read_response())
    except NoPermissionError:
        return None
    for fields in map(_fields, replicas):
        if "promoted" in fields.get("flags", "").split(","):
            return Address(fields["ip"], int(fields["port"]))
    return None


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    texts = [item.decode("utf-8", "replace") for item in flat]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _none_found(url: RedisUrl, errors: Sequence[HotConfigError]) -> HotConfigError:
    """Something to be mended only if there is nothing that waiting may mend."""
    retryable = [error for error in errors if not isinstance(error, ConfigurationError)]
    if not retryable:
        return errors[-1]
    said = "; ".join(map(str, errors))
    return RedisUnavailableError(f"no master {url.master_name!r} to talk to now: {said}")
