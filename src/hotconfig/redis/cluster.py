"""The way into a cluster: any node will do, since a cluster hands every PUBLISH to every node.

Owns which node is chosen, and how the others are learnt from it. Must not know what is published.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import redis
from redis.crc import key_slot
from redis.exceptions import NoPermissionError

from hotconfig.core.errors import ConfigurationError, HotConfigError, RedisUnavailableError
from hotconfig.core.names import commits_channel
from hotconfig.redis.connection import NO_ANSWER, RESP2, open_connection, translate_at
from hotconfig.redis.roster import Roster
from hotconfig.redis.route import Vital, Watch
from hotconfig.redis.url import Address, RedisUrl

Shard = tuple[int, int, Address]
"""The first and the last of some slots, and the master that owns them."""
SEARCH_LIMIT_S: Final = 3.0
"""No further node is tried after this, within one attempt to connect."""


class ClusterRoute:
    """To some node. See :class:`hotconfig.redis.route.Route` for what it promises."""

    vital: Vital = "PING"

    def __init__(self, url: RedisUrl) -> None:
        self.url = url
        self.roster: Roster = Roster(url.addresses, random.Random())  # noqa: S311 - spreads the load
        self._shards: tuple[Shard, ...] = ()

    def learn(self) -> None:
        """See :class:`hotconfig.redis.route.Route`."""
        self.connect("hotconfig-slots").disconnect()

    def shard_of(self, service: str) -> Address | None:
        """See :class:`hotconfig.redis.route.Route`."""
        if not self.url.sharded:
            return None
        slot = key_slot(commits_channel(service).encode())
        for first, last, owner in self._shards:
            if first <= slot <= last:
                return owner
        raise RedisUnavailableError(f"no node of the cluster is known to own slot {slot}, that of service {service!r}")

    def watch(self, connection: Any) -> Watch | None:  # noqa: ARG002 - any node will do
        """See :class:`hotconfig.redis.route.Route`."""
        return None

    def connect(self, client_name: str, shard: Address | None = None) -> Any:
        """Try one node after the other: first the last that answered, last those that did not."""
        if shard is not None:
            return self.connect_node(shard, client_name)
        deadline_s = monotonic() + SEARCH_LIMIT_S
        errors: list[HotConfigError] = []
        for address in self.roster.order():
            try:
                connection = self.connect_node(address, client_name)
            except HotConfigError as error:
                self.roster.shun(address)
                errors.append(error)
            else:
                self.roster.prefer(address)
                return connection
            if monotonic() > deadline_s:
                break
        raise _none_found(errors)

    def connect_node(self, address: Address, client_name: str) -> Any:
        """A connection to this very node, which is asked for the others. Raises as :meth:`connect`."""
        connection = open_connection(self.url, address, client_name=client_name, protocol=RESP2)
        try:
            connection.send_command("CLUSTER", "SLOTS", check_health=False)
            answer = connection.read_response()
            self.roster.learn(_nodes(answer, address))
            self._shards = _shards(answer, address)
        except NoPermissionError as error:
            if not self.url.sharded:
                return connection  # then only the nodes of the URL are known
            connection.disconnect()
            raise translate_at(error, str(address), "tell the cluster's slots, which sharded=yes needs") from error
        except NO_ANSWER as error:
            connection.disconnect()
            if type(error) is redis.ResponseError:  # a kind of its own is trouble within a cluster; this is none
                raise ConfigurationError(
                    f"Redis at {address} is not a node of a cluster ({error}): for one server write redis:// or rediss://"
                ) from error
            raise translate_at(error, str(address), "tell the cluster's nodes") from error
        return connection


def _shards(slots: Sequence[Any], answering: Address) -> tuple[Shard, ...]:
    return tuple(
        (int(first), int(last), Address(host.decode() if host else answering.host, int(port)))
        for first, last, (host, port, *_), *_ in slots
        if host != b"?"
    )


def _nodes(slots: Sequence[Any], answering: Address) -> set[Address]:
    """All nodes in an answer to ``CLUSTER SLOTS``: ranges with a master and its replicas.

    A node that does not know its own address stands there without one.
    """
    found = {answering}
    for _, _, *nodes in slots:
        found.update(
            Address(host.decode() if host else answering.host, int(port)) for host, port, *_ in nodes if host != b"?"
        )
    return found


def _none_found(errors: Sequence[HotConfigError]) -> HotConfigError:
    """Something to be mended only if there is nothing that waiting may mend."""
    retryable = [error for error in errors if not isinstance(error, ConfigurationError)]
    if not retryable:
        return errors[-1]
    return RedisUnavailableError(f"no node of the cluster to talk to: {'; '.join(map(str, errors))}")
