"""Redis beyond one node: whether the Sentinels answer and agree, and which nodes of a cluster do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hotconfig.core.errors import HotConfigError
from hotconfig.core.finding import Finding, ok
from hotconfig.redis.cluster import ClusterRoute
from hotconfig.redis.connect import find_route
from hotconfig.redis.route import Route
from hotconfig.redis.sentinel import SentinelRoute
from hotconfig.redis.url import Address

QUORUM_ADVICE: Final = "three or more, on different machines, so that one may fail; name all of them in the URL"


def check_topology(url: str) -> Iterator[Finding]:
    """What stands between the URL and the server that answers; nothing where there is only one."""
    try:
        route: Route = find_route(url)
    except HotConfigError:
        return  # told by the check of the server itself
    if isinstance(route, SentinelRoute):
        yield _check_sentinels(route)
    elif isinstance(route, ClusterRoute):
        yield _check_nodes(route)


def _check_sentinels(route: SentinelRoute) -> Finding:
    named: list[Address] = []
    errors: list[HotConfigError] = []
    for sentinel in route.url.addresses:
        try:
            named.append(route.ask(sentinel))
        except HotConfigError as error:
            errors.append(error)
    return judge_sentinels(route.url.master_name, named, errors)


def judge_sentinels(name: str, named: Sequence[Address], errors: Sequence[HotConfigError]) -> Finding:
    """What the answers of the Sentinels, and their failures, mean."""
    asked = len(named) + len(errors)
    if not named:
        return Finding("Sentinels", "problem", f"none of {asked} names the master {name!r}", str(errors[0]))
    if len(set(named)) > 1:
        told = ", ".join(sorted(set(map(str, named))))
        advice = "right during a failover, for seconds; else some are cut off from the others: SENTINEL CKQUORUM"
        return Finding("Sentinels", "warning", f"they name different masters: {told}", advice)
    if errors:
        found = f"{len(named)} of {asked} name {named[0]} as {name!r}"
        return Finding("Sentinels", "warning", found, str(errors[0]))
    if asked < 3:
        return Finding("Sentinels", "note", f"{asked} in the URL, naming {named[0]} as {name!r}", QUORUM_ADVICE)
    return ok("Sentinels", f"all {asked} name {named[0]} as {name!r}")


def _check_nodes(route: ClusterRoute) -> Finding:
    try:
        route.connect("hotconfig-doctor").disconnect()  # learns the nodes
    except HotConfigError as error:
        return Finding("cluster", "problem", "no node can be used", str(error))
    nodes = sorted(route.roster.order())
    errors: list[HotConfigError] = []
    for address in nodes:
        try:
            route.connect_node(address, "hotconfig-doctor").disconnect()
        except HotConfigError as error:
            errors.append(error)
    found = f"{len(nodes) - len(errors)} of {len(nodes)} nodes answer"
    if errors:
        which = "each is needed for sharded publish" if route.url.sharded else "any one will do"
        return Finding("cluster", "warning", found, f"{which}; the first that does not: {errors[0]}")
    return ok("cluster", found)
