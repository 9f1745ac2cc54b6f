"""The two kinds of subscriber processes: a bare loop of redis-py, and hotconfig."""

from __future__ import annotations

import threading
from typing import Any

from benchmarks.declared import marked
from benchmarks.places import SCHEMA
from benchmarks.processes import Stamps


class Holder:
    """Where a program without hotconfig would keep its value."""

    value: bytes = b""


def bare(stamps: Stamps, redis_url: str, channel: str) -> None:
    """The least there can be: listen, and store what comes."""
    import redis

    holder = Holder()
    client: Any = redis.Redis.from_url(redis_url, socket_timeout=None)
    pubsub = client.pubsub()
    pubsub.subscribe(channel)
    for message in pubsub.listen():
        if message["type"] == "message":
            holder.value = message["data"]
            stamps.stamp(0.0)
        else:
            stamps.ready()


def hot(stamps: Stamps, database_url: str, redis_url: str, service: str, reconcile_s: float) -> None:
    """A bound class. The stamp is taken at the swap, where the bare loop takes it: right after storing."""
    import hotconfig
    from hotconfig.core import line
    from hotconfig.core.live import swap

    def stamped(live: Any, candidate: Any) -> None:
        swap(live, candidate)
        stamps.stamp(candidate.threshold)

    line.__dict__["swap"] = stamped  # what the line calls
    timing = hotconfig.Timing(reconcile_s=reconcile_s, stale_after_s=3 * reconcile_s)
    with hotconfig.HotConfig(database_url, redis_url, schema=SCHEMA, timing=timing) as client:
        client.bind(marked(service))
        stamps.ready()
        threading.Event().wait()
