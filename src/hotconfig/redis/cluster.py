"""The way into a cluster: any node will do, since a cluster hands every PUBLISH to every node.

Owns which node is chosen, and how the others are learnt from it. Must not know what is published.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError

from hotconfig.core.errors import ConfigurationError, HotConfigError, RedisUnavailableError
from hotconfig.redis.connection import RESP2, open_connection, translate_at
from hotconfig.redis.roster import Roster
from hotconfig.redis.route import Vital
from hotconfig.redis.url import Address, RedisUrl

SEARCH_LIMIT_S: Final = 3.0
"""No further node is tried after this, within one attempt to connect."""


class ClusterRoute:
    """To some node. See :class:`hotconfig.redis.route.Route` for what it promises."""

    vital: Vital = "PING"

    def __init__(self, url: RedisUrl) -> None:
        self.url = url
        self.roster = Roster(url.addresses, random.Random())  # noqa: S311 - spreads the load

    def connect(self, client_name: str) -> Any:
        """Try one node after the other: first the last that answered, last those that did not."""
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
            self.roster.learn(_nodes(connection.read_response(), address))
        except NoPermissionError:
            return connection  # then only the nodes of the URL are known
        except (redis.RedisError, OSError) as error:
            connection.disconnect()
            raise translate_at(error, str(address), "tell the cluster's nodes") from error
        return connection


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
