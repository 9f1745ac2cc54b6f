"""Subscriber processes: a bare loop of redis-py, and hotconfig."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_settings import BaseSettings

from benchmarks.declared import marked, wide
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
    follow(stamps, database_url, redis_url, [marked(service)], field="threshold", reconcile_s=reconcile_s)


def hot_fields(stamps: Stamps, database_url: str, redis_url: str, service: str, fields: int) -> None:
    """A class with many fields; stamps ``field_0``."""
    follow(stamps, database_url, redis_url, [wide(fields, service)], field="field_0")


def hot_services(stamps: Stamps, database_url: str, redis_url: str, services: list[str]) -> None:
    """Many services in one process."""
    follow(stamps, database_url, redis_url, [marked(service) for service in services], field="threshold")


def follow(
    stamps: Stamps,
    database_url: str,
    redis_url: str,
    classes: Sequence[type[BaseSettings]],
    *,
    field: str,
    reconcile_s: float = 10.0,
    meanwhile: Callable[[Any], object] = lambda _: threading.Event().wait(),
) -> None:
    """Bind the classes, stamp a field at each swap, and do on the main thread what ``meanwhile`` does with the last."""
    import hotconfig
    from hotconfig.core import line
    from hotconfig.core.live import swap

    def stamped(live: Any, candidate: Any) -> None:
        swap(live, candidate)
        stamps.stamp(getattr(candidate, field))

    line.__dict__["swap"] = stamped  # what the line calls
    timing = hotconfig.Timing(reconcile_s=reconcile_s, stale_after_s=3 * reconcile_s)
    with hotconfig.HotConfig(database_url, redis_url, schema=SCHEMA, timing=timing) as client:
        live = [client.bind(each) for each in classes][-1]
        stamps.ready()
        meanwhile(live)
